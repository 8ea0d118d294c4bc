"""A study server as people use it: what `results.reader.Reader` reads from a database, read over HTTP; and orders."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Collection
from typing import Annotated, Any, TypeVar

import click
import httpx
from pydantic import AfterValidator, TypeAdapter, ValidationError

from results.errors import NotFoundError
from results.reader import Reader
from results.records import AttemptRecord, EpochRecord, HeldRecord, ImportRecord, StudyRecord, TrialRecord, TrialState
from results.text import clean_lines
from runner.errors import UserError
from runner.protocol import StudyName
from runner.wire.client import Client, ServerTroubleError, in_trouble, no_tls, shown
from sweeps.imports.imports import Imported, ImportedTable
from sweeps.server.confirmation import Asked, HeldScore
from sweeps.server.submission import Submission

_NAME = TypeAdapter(StudyName)


def _named(record: StudyRecord) -> StudyRecord:
    """A study's name becomes a part of file names here, whoever runs the server."""
    _NAME.validate_python(record.name)
    return record


_Study = Annotated[StudyRecord, AfterValidator(_named)]
_STUDY = TypeAdapter[StudyRecord](_Study)
_STUDIES = TypeAdapter(list[_Study])
_IMPORTS = TypeAdapter(list[ImportRecord])
_IMPORTED = TypeAdapter(Imported)
_TRIAL = TypeAdapter(TrialRecord)
_TRIALS = TypeAdapter(list[TrialRecord])
_EPOCHS = TypeAdapter(list[EpochRecord])
_SCORES = TypeAdapter(dict[int, dict[int, float]])
_HELD = TypeAdapter(dict[int, HeldScore])
_ATTEMPTS = TypeAdapter(list[AttemptRecord])
_DOCUMENT = TypeAdapter(dict[str, Any])
_DOCUMENTS = TypeAdapter(list[dict[str, Any]])
_T = TypeVar("_T")
_PAUSE_SECONDS = 2.0  # between two questions to a server that does not answer
# In JSON: control characters as escapes or as they are (line ends and tabs stay), and what turns the direction of text.
_OBEYED = re.compile(
    rb"(?<!\\)((?:\\\\)*)(?:\\u00(?:0[0-8bcef]|1[0-9a-f]|7f|[89][0-9a-f])|\\u20(?:0[ef]|2[a-e]|6[6-9])|\\[bfr])"
    rb"|()(?:\x7f|\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xaa-\xae]|\xe2\x81[\xa6-\xa9])",
    re.IGNORECASE,
)


class Remote(Client):
    """Reads from a study server and gives it orders.

    Every method raises `UserError` with one line where the server does not answer, refuses the token or the order,
    and `NotFoundError` for a study or trial that it does not have.

    Args:
        url: of the server.
        token: the server's.
        certificate: as for `Client`.
        patience: seconds for which a server that has answered before is asked again while it does not answer, or
            cannot serve (`in_trouble`). With any, orders must be such as change nothing the second time.

    Attributes:
        patience: as above; 0 gives up at once.
    """

    def __init__(self, url: str, token: str, certificate: str | None = None, patience: float = 0.0) -> None:
        super().__init__(url, token, certificate)
        self.patience, self._answered = patience, False

    def study(self, name: str) -> StudyRecord | None:
        """The study of that name, None if there is none."""
        return next((one for one in self.studies() if one.name == name), None)

    def studies(self) -> list[StudyRecord]:
        """All studies, the one started last at the end."""
        return self._read("/studies", _STUDIES)

    def trials(self, study: str) -> list[TrialRecord]:
        """All trials of a study by number."""
        return self._read(f"/studies/{study}/trials", _TRIALS)

    def trial(self, study: str, number: int) -> TrialRecord | None:
        """One trial, None if the study has none of that number."""
        try:
            return self._read(f"/studies/{study}/trials/{number}", _TRIAL)
        except NotFoundError:
            return None

    def epochs(self, study: str, number: int) -> list[EpochRecord]:
        """Every validation of a trial, in order."""
        return self._read(f"/studies/{study}/trials/{number}/epochs", _EPOCHS)

    def scores(self, study: str) -> dict[int, dict[int, float]]:
        """The score of every epoch of every trial, by number and epoch."""
        return self._read(f"/studies/{study}/scores", _SCORES)

    def attempts(self, study: str, number: int) -> list[AttemptRecord]:
        """Every lease of a trial and how it ended."""
        return self._read(f"/studies/{study}/trials/{number}/attempts", _ATTEMPTS)

    def config(self, study: str, number: int) -> str | None:
        """Text of the trial's rendered config, None until it has finished with one."""
        try:
            return self._ask("GET", f"/studies/{study}/trials/{number}/config").text
        except NotFoundError:
            return None

    def evidence(self, study: str, numbers: Collection[int]) -> dict[int, bytes]:
        """What each validation image contributed to the scores of these trials, of those that have it."""
        found: dict[int, bytes] = {}
        for number in numbers:
            with contextlib.suppress(NotFoundError):
                found[number] = self._ask("GET", f"/studies/{study}/trials/{number}/evidence").content
        return found

    def imports(self, study: str) -> list[ImportRecord]:
        """Results from elsewhere."""
        return self._read(f"/studies/{study}/imports", _IMPORTS)

    def holdout(self, study: str) -> dict[int, HeldRecord]:
        """What was scored on the images held out, by trial."""
        return {trial: one.record() for trial, one in self._read(f"/studies/{study}/holdout", _HELD).items()}

    def add_holdout(self, study: str, number: int, held: HeldRecord) -> None:
        """Keeps what a trial scores on the images held out; the first one counts."""
        body = HeldScore.of(held).model_dump_json().encode()
        self._ask("POST", f"/studies/{study}/trials/{number}/holdout", content=body)

    def counts(self, study: str) -> dict[TrialState, int]:
        """How many trials are in each state."""
        found: dict[TrialState, int] = self.status(study)["trials"]
        return found

    def status(self, study: str) -> dict[str, Any]:
        """The study's status document."""
        return self._read(f"/studies/{study}/status", _DOCUMENT)

    def workers(self) -> list[dict[str, Any]]:
        """Who works for the server."""
        return self._read("/workers", _DOCUMENTS)

    def log(self, study: str, number: int, offset: int) -> bytes:
        """A trial's log from a byte on: a piece of it, empty at its end."""
        return self._ask("GET", f"/studies/{study}/trials/{number}/log", params={"offset": offset}).content

    def submit(self, submission: Submission) -> StudyRecord:
        """Hands a study over; the record of the one that it begins or goes on with."""
        answer = self._ask("POST", "/studies", content=submission.model_dump_json().encode())
        return self._understood(answer, _STUDY)

    def confirm(self, study: str, asked: Asked) -> StudyRecord:
        """Orders further seeds; the record of the study, with the order."""
        answer = self._ask("POST", f"/studies/{study}/confirmation", content=asked.model_dump_json().encode())
        return self._understood(answer, _STUDY)

    def bring_in(self, study: str, table: ImportedTable) -> Imported:
        """Hands a table of results from elsewhere over; what became of its rows."""
        answer = self._ask("POST", f"/studies/{study}/imports", content=table.model_dump_json().encode())
        return self._understood(answer, _IMPORTED)

    def order(self, what: str, **body: Any) -> None:
        """Sends an order, e.g. ``studies/models/pause``."""
        self._ask("POST", f"/{what}", json=body or None)

    def insist(self, send: Callable[[], _T]) -> _T:
        """Asks until there is an answer, or patience is at its end; tells once that it waits, and that this is over.

        Raises:
            httpx.TransportError: no answer; `ServerTroubleError`, which is one: the server cannot serve it.
        """
        told, until = False, None
        while True:
            try:
                answer = send()
            except httpx.TransportError as error:
                until = until or time.monotonic() + self.patience  # it may have been served for long before
                if not self._answered or no_tls(error) or time.monotonic() + _PAUSE_SECONDS > until:
                    raise
                if not told:
                    what = f"is in trouble ({error})" if isinstance(error, ServerTroubleError) else "does not answer"
                    click.echo(f"the study server {self.shown} {what}; looking again", err=True)
                told = True
                time.sleep(_PAUSE_SECONDS)
            else:
                self._answered = True
                if told:
                    click.echo("the study server answers again", err=True)
                return answer

    def _read(self, path: str, adapter: TypeAdapter[_T]) -> _T:
        return self._understood(self._ask("GET", path), adapter)

    def _understood(self, answer: httpx.Response, adapter: TypeAdapter[_T]) -> _T:
        try:
            return adapter.validate_json(tame(answer.content))
        except ValidationError as error:
            raise UserError(f"{self.shown} is another version of sweep: {error.errors()[0]['msg']}") from error

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self.insist(lambda: _served(self.http.request(method, path, **options)))
        except ServerTroubleError as error:
            raise UserError(str(error)) from error
        except httpx.HTTPError as error:
            raise UserError(_unanswered(self.shown, error)) from error
        if response.status_code == httpx.codes.UNAUTHORIZED:
            raise UserError(f"the study server {self.shown} refuses this token (SWEEP_TOKEN or --token-file)")
        if response.is_error:
            detail = _detail(response)
            raise NotFoundError(detail) if response.status_code == httpx.codes.NOT_FOUND else UserError(detail)
        return response


def server_option(where: Reader | Remote | str | None) -> str:
    """What a command line that is suggested needs to find the same server, with a space before it.

    Args:
        where: what is read from, or the server's URL; nothing is needed for a database, or where there is no URL.
    """
    url = where.shown if isinstance(where, Remote) else shown(where) if isinstance(where, str) else None
    return f" --server {url}" if url else ""


def _served(response: httpx.Response) -> httpx.Response:
    if in_trouble(response):
        raise ServerTroubleError(_detail(response))
    return response


def _unanswered(url: str, error: httpx.HTTPError) -> str:
    if line := no_tls(error):
        return f"the study server {url} cannot be talked to: {line}"
    hint = ""
    if url.lower().startswith("http:") and isinstance(error, (httpx.RemoteProtocolError, httpx.ReadError)):
        hint = "; if it speaks TLS, write https:// instead of http://"
    return f"the study server {url} does not answer: {str(error) or type(error).__name__}{hint}"


def _detail(response: httpx.Response) -> str:
    """The server's own line."""
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = response.text
    return clean_lines(str(detail)[:20_000]) or f"the study server answers {response.status_code}"


def tame(document: bytes) -> bytes:
    """A JSON document without what a terminal would obey: whoever runs the server is not to move our cursor."""
    return _OBEYED.sub(lambda found: (found[1] or b"") + b"?", document)
