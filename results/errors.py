"""What a user can mend: one clear line each, never a traceback."""


class ResultsError(Exception):
    """The database, a file to write or a name asked for is not as it should be; one line says what to do."""


class ClaimedError(ResultsError):
    """Another process, maybe on another machine, has the right to write a study."""


class NotFoundError(ResultsError):
    """There is no study or trial of the name that was asked for."""
