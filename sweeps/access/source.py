"""Where a command finds a study: a database, or a team's server; and the process that may change it."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from results.database.urls import named
from results.reader import Reader
from runner.errors import UserError
from sweeps.access import runfile
from sweeps.access.remote import Remote, server_option

_DEFAULT = "sqlite:///sweeps.db"  # where the command line looks


@dataclass(frozen=True)
class Source:
    """What --storage, --server and --token-file say.

    Attributes:
        storage: URL of the database, used where there is no server.
        server: URL of a team's server, None for the database.
        token_file: file that holds the server's token; without it SWEEP_TOKEN does.
    """

    storage: str
    server: str | None = None
    token_file: Path | None = None

    @property
    def option(self) -> str:
        """What a command line that is suggested needs to find the same server or database, with a space before it."""
        if self.server:
            return server_option(self.server)
        if self.storage in (_DEFAULT, os.environ.get("SWEEP_STORAGE")):
            return ""
        return f" --storage {shlex.quote(named(self.storage))}"

    def reader(self, patience: float = 0.0) -> Reader | Remote:
        """Reads studies and trials; use as a context manager. `patience`: as for `Remote`.

        Raises:
            UserError, ResultsError: there is nothing to read from, in one line.
        """
        if self.server:
            return Remote(self.server, self.token(), patience=patience)
        from results.store import Store

        return Store.open(self.storage, readonly=True)

    @contextlib.contextmanager
    def owner(self, study: str | None = None) -> Iterator[Remote]:
        """The process that owns the studies, which all changes go through; one is started for the moment if none is.

        Args:
            study: the one that the change is about; all where it is not known yet.

        Raises:
            UserError, ResultsError: it cannot be reached or started, or runs another study; in one line.
        """
        if self.server:
            with Remote(self.server, self.token()) as remote:
                yield remote
            return
        run = runfile.read(self.storage)
        if run:
            self._check_serves(run, study)
            with Remote(run.url, run.token, run.certificate or None) as remote:
                yield remote
            return
        with _own_for_a_moment(self.storage, study) as remote:
            yield remote

    def _check_serves(self, run: runfile.RunFile, study: str | None) -> None:
        """A process that runs one study of the database knows no other; a study that is nowhere is told by who looks.

        Raises:
            UserError: it runs another one.
        """
        if study is None or run.study in ("", study):
            return
        with self.reader() as reader:
            if reader.study(study) is not None:
                raise UserError(
                    f"process {run.pid} runs study {run.study} on the database {named(self.storage)}, and only "
                    f"that one; wait, or end it with: sweep stop{self.option}"
                )

    def token(self) -> str:
        """The server's token.

        Raises:
            UserError: there is none, or its file cannot be read.
        """
        return read_token(self.token_file)


def read_token(path: Path | None) -> str:
    """The token from a file, else from SWEEP_TOKEN.

    Raises:
        UserError: there is none, or its file cannot be read.
    """
    if path is None:
        token = os.environ.get("SWEEP_TOKEN", "").strip()
        if not token:
            raise UserError("the server's token is needed: set SWEEP_TOKEN, or name a file with --token-file")
    else:
        try:
            token = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"--token-file {path} cannot be read: {getattr(error, 'strerror', None) or error}"
            ) from error
        if not token:
            raise UserError(f"--token-file {path} is empty")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise UserError("a token has letters, digits and signs of ASCII, and no spaces")
    return token


@contextlib.contextmanager
def _own_for_a_moment(storage: str, study: str | None) -> Iterator[Remote]:
    from results.store import Store
    from sweeps.server.app import Server, create_app
    from sweeps.server.team import Team

    lock = runfile.own(storage)
    if lock is None:
        raise UserError(f"the database {named(storage)} is in use by another process; try again in a moment")
    try:
        with Store.open(storage, readonly=True):
            pass  # a clear line where no sweep has run yet
        with Store.open(storage) as store, tempfile.TemporaryDirectory() as folder:
            # trainings go on, plugins run as in `sweep start`, and nothing is written where the user stands
            team = Team(store, storage, Path(folder), plugins=True)
            team.reopen(shared=True, only=study)
            token = secrets.token_urlsafe(32)
            with Server(create_app(team.registry, token)) as server, Remote(server.url, token) as remote:
                yield remote
    finally:
        lock.release()
