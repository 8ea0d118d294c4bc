"""The images held out: trials are scored on them once, and what they say is put in words."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from statistics import fmean

import click

from results.heldout import Outcome, Side
from results.records import HeldRecord, StudyRecord, TrialRecord, now
from results.store import Store
from runner import scoring
from runner.data.files import write_bytes
from runner.paths import TrialPaths
from runner.protocol import Holdout, Plugin


def score(
    store: Store,
    record: StudyRecord,
    plugins: tuple[Plugin, ...],
    holdout: Holdout,
    trials: Iterable[TrialRecord],
    gpus: Sequence[str],
) -> None:
    """Scores the checkpoints of trials that were not scored yet; one that is gone is told and left out.

    Raises:
        UserError, ResultsError: the images are others now, or one cannot be scored.
    """
    known = store.holdout(record.name)
    for trial in trials:
        if trial.number not in known:
            _score(store, record, plugins, holdout, trial, gpus)


def _score(
    store: Store,
    record: StudyRecord,
    plugins: tuple[Plugin, ...],
    holdout: Holdout,
    trial: TrialRecord,
    gpus: Sequence[str],
) -> None:
    paths = TrialPaths.of(record.work_dir, record.name, trial.number)
    checkpoint = paths.best if record.at == "best" else paths.last
    text = store.config(record.name, trial.number)
    where = f"trial {trial.number} of study {record.name}"
    if not checkpoint.is_file() or text is None:
        click.echo(f"{where} is not scored: its checkpoint {checkpoint} is gone", err=True)
        return
    click.echo(f"{where}: scoring {holdout.count} held-out images", err=True)
    folder = paths.folder / "holdout"
    config = folder / "config.py"
    write_bytes(config, text.encode())
    asked = scoring.Order(
        config=str(config), checkpoint=str(checkpoint), holdout=holdout, kind=record.objective.split("_", 1)[0],
        plugins=plugins,
    )  # fmt: skip
    environment = {"CUDA_VISIBLE_DEVICES": gpus[0] if gpus else "", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    found = scoring.score(asked, folder, environment)
    blob = base64.b64decode(found.evidence) if found.evidence else None
    store.add_holdout(record.name, trial.number, HeldRecord(dict(found.metrics), blob, now()))


def lines(held: Outcome, winner: str, baseline: str, lucks: Sequence[float] = ()) -> list[str]:
    """What the images say, for a terminal.

    Args:
        held: the two on these images.
        winner, baseline: how they are called.
        lucks: by how much each of several that were confirmed had promised more than its fresh seeds gave.
    """
    over = f"{held.images} held-out images" + ("" if held.noise is None else " and seeds")
    found = [f"on {held.images} images that no trial and no ranking saw, {held.objective}, 95 % over {over}:"]
    found.append(f"  winner    {_side(held.winner)}  {winner}")
    if held.difference:
        gap, low, high = held.difference
        found.append(f"  baseline  {_side(held.baseline)}  {baseline}")
        found.append(f"  winner - baseline  {gap:+.4f}, 95 % {low:+.4f} to {high:+.4f}: {held.verdict}")
    else:
        found.append(f"  {held.verdict}")
    found += _promise(held, lucks)
    if held.looks > 2:
        found.append(f"{held.looks} combinations were scored there so far: with each look they tell a little less")
    return found


def _promise(held: Outcome, lucks: Sequence[float]) -> list[str]:
    """How much the ranking had promised too much, and whose luck that was.

    Where several were confirmed, the winner is who did best with its fresh seeds too: what these say of it is lucky as
    well. The mean over all that were confirmed is not, since they were chosen before.
    """
    side = held.winner
    more = side.promised - side.mean
    much = f"{more:.4f} too much" if more > 0 else f"{-more:.4f} too little"
    line = f"the ranking had promised {side.promised:.4f} for the winner: {much}"
    if len(lucks) > 1:
        line += f"; by their seeds the {len(lucks)} best had promised {fmean(lucks):+.4f} too much on average"
    elif side.fresh is not None:
        line += f" ({side.promised - side.fresh:+.4f} its seeds, {side.fresh - side.mean:+.4f} its images)"
    if held.difference is None:
        return [line]
    promised, kept = side.promised - held.baseline.promised, held.difference[0]
    return [line, f"it had promised a gain of {promised:+.4f} over the baseline; {kept:+.4f} is left of it"]


def _side(side: Side) -> str:
    return f"{side.mean:.4f}, {side.low:.4f} to {side.high:.4f} ({seeds(len(side.trials))})"


def seeds(count: int) -> str:
    """``3 seeds``."""
    return f"{count} seed{'s' * (count != 1)}"
