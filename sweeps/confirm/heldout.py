"""The images held out: trials are scored on them once, and what they say is put in words."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import click
from pydantic import ValidationError

from results.ranking.heldout import Outcome, Side
from results.records import HeldRecord, StudyRecord, TrialRecord, now
from results.store import Store
from runner import scoring
from runner.errors import UserError
from runner.paths import TrialPaths
from runner.protocol import Combination, DataPaths, Holdout, Lease, Objective, Plugin
from runner.worker.trust import distrusted
from sweeps.access import exports
from sweeps.access.remote import Remote

_WORK_DIR = "work_dirs"  # below it, what a server's trial leaves here: config and log of its scoring


@dataclass(frozen=True)
class Scorer:
    """Scores checkpoints on the images held out, in processes of this machine.

    Attributes:
        reader: of the studies: their store, or a team's server.
        storage: URL of the store's database; of no use for a server.
        gpus: of this machine, as CUDA_VISIBLE_DEVICES names them; the first one is used.
        holdout: where the images lie here; None for where they lay when the study was started.
    """

    reader: Store | Remote
    storage: str
    gpus: Sequence[str]
    holdout: Holdout | None = None

    def score(self, record: StudyRecord, plugins: tuple[Plugin, ...], trials: Iterable[TrialRecord]) -> None:
        """Scores trials that were not scored yet, each once; one whose checkpoint is gone is told and left out.

        Raises:
            UserError, ResultsError: the study has no images held out, they are others now, or one cannot be scored.
        """
        begun = DataPaths.model_validate(record.data).holdout
        if begun is None:
            raise UserError(f"the data of study {record.name} have no images held out")
        holdout = (self.holdout or begun).model_copy(update={"check": begun.check})
        known = self.reader.holdout(record.name)
        for trial in trials:
            if trial.number not in known:
                self._score(record, plugins, holdout, trial)

    def _score(self, record: StudyRecord, plugins: tuple[Plugin, ...], holdout: Holdout, trial: TrialRecord) -> None:
        here = isinstance(self.reader, Store)
        folder = TrialPaths.of(record.work_dir if here else _WORK_DIR, record.name, trial.number).folder / "holdout"
        text = self.reader.config(record.name, trial.number)
        where = f"trial {trial.number} of study {record.name}"
        lease = trained(record, plugins, trial)
        if not here:
            check_trusted(lease)
        with exports.borrowed(self.storage, self.reader, record, trial.number, folder) as checkpoint:
            if checkpoint is None or text is None:
                click.echo(f"{where} is not scored: its checkpoint is gone", err=True)
                return
            click.echo(f"{where}: scoring {holdout.count} held-out images", err=True)
            threads = trial.versions.get("threads", "")[:4]
            asked = scoring.Order(
                lease=lease, config=text, threads=int(threads) if threads.isdecimal() else None,
                checkpoint=str(checkpoint), holdout=holdout,
            )  # fmt: skip
            environment = {"CUDA_VISIBLE_DEVICES": self.gpus[0] if self.gpus else "", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
            found = scoring.score(asked, folder, environment)
        blob = base64.b64decode(found.evidence) if found.evidence else None
        self.reader.add_holdout(record.name, trial.number, HeldRecord(dict(found.metrics), blob, now()))


def trained(record: StudyRecord, plugins: tuple[Plugin, ...], trial: TrialRecord) -> Lease:
    """What was trained, as its worker had it.

    Raises:
        UserError: a server has made it up.
    """
    try:
        return Lease(
            study=record.name, trial=trial.number, fence=trial.fence,
            combination=Combination.model_validate(trial.trained), seed=trial.seed,
            scale=record.scale, data=DataPaths.model_validate(record.data),
            objective=Objective.model_validate({"metric": record.objective, "at": record.at}),
            detections=record.detections, work_dir=record.work_dir, plugins=plugins,
        )  # fmt: skip
    except (ValidationError, KeyError, TypeError) as error:
        raise UserError(f"trial {trial.number} of study {record.name} is none of this version of sweep") from error


def check_trusted(lease: Lease) -> None:
    """Whether a trial that a server names can be rendered here: its config is a program.

    Raises:
        UserError: it has what no catalog has.
    """
    if problem := distrusted(lease.combination):
        raise UserError(
            f"trial {lease.trial} of study {lease.study} is not scored here: {problem}; confirm it where the database "
            "lies, while no server has it"
        )


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
