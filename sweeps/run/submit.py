"""``sweep start --server``: hands a study to a team's server, and watches it there."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click
import httpx

from runner.errors import INTERRUPTED, UserError
from runner.protocol import DataPaths, Scale
from runner.wire.artifacts import Transfer
from sweeps.access.remote import Remote
from sweeps.access.source import Source
from sweeps.access.watch import PATIENCE, watch
from sweeps.imports.imports import ImportedTable, announce
from sweeps.server.submission import AWAITED, PluginText, Submission
from sweeps.show import print_standing
from sweeps.space import travel
from sweeps.space.schema import SearchSpace


def submit_and_watch(
    source: Source, space: SearchSpace, scale: Scale, data: DataPaths, table: ImportedTable | None = None
) -> int:
    """Submits a study that was checked here, then shows what becomes of it; Ctrl-C ends the watching only.

    Args:
        table: results from elsewhere that its sampler may learn from.

    Returns:
        The exit code: 0 if a trial is complete, 1 if none is, 130 if interrupted.

    Raises:
        UserError: the server cannot be reached, or refuses the study; one line a mistake.
    """
    assert source.server
    with Remote(source.server, source.token(), patience=PATIENCE) as server:
        submit(server, space, scale, data)
        if table:
            announce(server.bring_in(space.study, table), table, space.study, source.option)
        click.echo(
            f"study {space.study} is at {server.shown}; workers come with: sweep worker{source.option}", err=True
        )
        try:
            state = watch(server, space.study)
        except KeyboardInterrupt:
            click.echo(
                f"\nthe study goes on; watch it with: sweep status --watch --study {space.study}{source.option}",
                err=True,
            )
            return INTERRUPTED
        ranked = print_standing(server, space.study, source.option)
        if state == "paused":
            record = server.study(space.study)
            click.echo(f"study {space.study} is paused: {(record and record.reason) or 'by a user'}", err=True)
        return 0 if ranked else 1


def submit(server: Remote, space: SearchSpace, scale: Scale, data: DataPaths) -> None:
    """Hands a study over, with the label files that its workers will ask for.

    Raises:
        UserError: the server cannot be reached, or refuses the study; one line a mistake.
    """
    taken = server.submit(_submission(space, scale, data))
    if taken.reason == AWAITED:
        _send_labels(server, taken.name, data)
        server.order(f"studies/{taken.name}/resume")


def _send_labels(server: Remote, study: str, data: DataPaths) -> None:
    """Workers fetch the label files: a split has made them, or they lie on this machine only."""
    for path in dict.fromkeys((data.train_annotations, data.val_annotations)):
        click.echo(f"sending {path}", err=True)
        try:
            server.insist(partial(Transfer(server.http).upload_labels, study, Path(path)))
        except httpx.HTTPError as error:
            raise UserError(f"{path} cannot be sent: {error}; start again to go on") from error


def _submission(space: SearchSpace, scale: Scale, data: DataPaths) -> Submission:
    texts = []
    for plugin in space.plugins:
        path = Path(plugin.path)
        try:
            texts.append(PluginText(name=path.name, text=path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise UserError(f"plugin {path} cannot be sent: {error}") from error
    return Submission(space=travel.to_text(travel.document(space, scale)), scale=scale, data=data, plugins=tuple(texts))
