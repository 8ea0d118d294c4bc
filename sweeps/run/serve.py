"""A long-lived study server: opens what the database holds, answers until it is told to end."""

from __future__ import annotations

import ipaddress
import logging
import os
import resource
import secrets
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import click

from results.database.outage import Notice
from results.database.urls import named
from results.store import Store
from runner.errors import INTERRUPTED, UserError
from sweeps.access import artifact_store, runfile
from sweeps.access.source import read_token
from sweeps.server.app import Address, Server, create_app
from sweeps.server.housekeeping import Housekeeper
from sweeps.server.team import Team

_TICK_SECONDS = 1.0
_OPEN_FILES = 65_536
log = logging.getLogger("sweep.server")


@dataclass(frozen=True)
class ServeOptions:
    """What ``sweep serve`` was told.

    Attributes:
        plugins: whether code that a study brings may run here.
        artifacts: folder or ``s3://BUCKET/PREFIX``; None for a folder beside the database.
        disk_budget: bytes that artifacts may take; None for no limit.
    """

    storage: str
    work_dir: Path
    address: Address
    token_file: Path | None
    plugins: bool
    artifacts: str | None = None
    disk_budget: int | None = None


def serve_until_stopped(options: ServeOptions) -> int:
    """Serves until SIGTERM, Ctrl-C or ``sweep stop``. Workers go on training meanwhile and find the next server.

    Returns:
        The exit code: 0 after a stop that was asked for, 130 after Ctrl-C.

    Raises:
        UserError, ResultsError: what stands in the way, in one line.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    for noisy in ("httpx", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    _check(options.address)
    _allow_many_connections()
    lock = runfile.own(options.storage)
    if lock is None:
        run = runfile.read(options.storage)
        who = f"process {run.pid}" if run else "another process"
        raise UserError(f"the database {named(options.storage)} is in use: {who} serves it; end it with: sweep stop")
    try:
        token = _token(options)
        with Store.open(options.storage) as store:
            return _serve(options, store, token)
    finally:
        runfile.remove(options.storage)
        lock.release()


def _serve(options: ServeOptions, store: Store, token: str) -> int:
    ended = threading.Event()
    caught: list[int] = []

    def end(number: int, _: object) -> None:
        caught.append(number)
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    with artifact_store.opened(store, options.storage, options.artifacts, options.disk_budget) as artifacts:
        team = Team(store, options.storage, options.work_dir, options.plugins, artifacts)
        team.reopen()
        _answer(options, team, token, ended)
    return INTERRUPTED if signal.SIGINT in caught else 0


def _answer(options: ServeOptions, team: Team, token: str, ended: threading.Event) -> None:
    housekeeper, notice = Housekeeper(team.registry, team.artifacts), Notice(log.error)
    told: str | None = None
    with Server(create_app(team.registry, token, team, team.artifacts), options.address) as server:
        runfile.write(options.storage, _run_file(options, server, token))
        names = ", ".join(study.name for study in team.registry.studies())
        click.echo(f"{server.url} serves {names or 'no study yet'}; Ctrl-C ends it", err=True)
        while not ended.wait(_TICK_SECONDS) and not team.registry.stopping:
            with notice.of_trouble():
                back = team.store.keep_claims()
                for study in team.registry.studies():
                    if study.name in back:
                        team.reopen(shared=True, only=study.name)
                team.registry.tick()
                if line := housekeeper.tick():
                    log.error("%s", line)
            fault, team.registry.fault = team.registry.fault, None
            if fault and fault != told:
                log.error("%s", fault)
            told = fault


def _run_file(options: ServeOptions, server: Server, token: str) -> runfile.RunFile:
    certificate = str(options.address.certificate.absolute()) if options.address.certificate else ""
    return runfile.RunFile(server.url, token, os.getpid(), "", certificate)


def _allow_many_connections() -> None:
    """Every connection is an open file, and many systems allow a process 1,024 unless it asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _check(address: Address) -> None:
    """Refuses to send the token over a network in the clear without saying so."""
    if (address.certificate is None) != (address.key is None):
        raise UserError("--certificate and --key belong together: name both PEM files")
    try:
        inside = ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        inside = address.host == "localhost"
    if not inside and address.certificate is None:
        click.echo(
            "sweep: no --certificate: whoever can read the network between workers and server can read the token",
            err=True,
        )


def _token(options: ServeOptions) -> str:
    """The token that was given; else the one beside the database, made at the first start."""
    if options.token_file or os.environ.get("SWEEP_TOKEN"):
        return read_token(options.token_file)
    path = runfile.beside(options.storage, ".token")
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    click.echo(f"the token is in {path}: workers and people take it with --token-file, or in SWEEP_TOKEN", err=True)
    return read_token(path)
