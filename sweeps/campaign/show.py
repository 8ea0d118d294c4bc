"""Which stage of a campaign gained what: the table, and its JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import click

from results.errors import ResultsError
from results.ranking.heldout import Outcome
from results.ranking.stages import Gain, Stage, Stages, campaign_of, held_out, weigh
from results.ranking.standings import Standing
from results.reader import Reader
from results.records import StudyRecord
from runner.errors import UserError
from sweeps.access.remote import Remote, server_option
from sweeps.confirm.heldout import lines as lines_of
from sweeps.show import print_table


def campaigns(studies: list[StudyRecord]) -> list[str]:
    """The campaigns among the studies, by what stands before the last dot of their names; the latest at the end."""
    names = [campaign_of(study.name) for study in studies]
    return list(dict.fromkeys(name for name in reversed(names) if name))[::-1]


def chosen(reader: Reader | Remote, name: str | None) -> str:
    """The campaign asked for; else the only one; else the one started last, named on stderr.

    Raises:
        UserError: there is none, or not that one.
    """
    there = campaigns(reader.studies())
    if not there:
        raise UserError("no campaign yet; start one with: sweep start search_spaces/campaign.yaml")
    if name is None:
        if len(there) > 1:
            click.echo(f"campaign {there[-1]} (of {len(there)}; --study names another)", err=True)
        return there[-1]
    if name not in there:
        raise UserError(f"there is no campaign {name}; there are: {', '.join(there)}")
    return name


def winning(reader: Reader | Remote, name: str) -> tuple[str, Standing | None]:
    """The best of a campaign and its study; any other name as it is, with nothing."""
    studies = reader.studies()
    if any(study.name == name for study in studies) or name not in campaigns(studies):
        return name, None
    winner = stages_of(reader, name).winner
    return (winner.record.name, winner.best) if winner else (name, None)


def stages_of(reader: Reader | Remote, campaign: str) -> Stages:
    """The stages of a campaign that have begun, in the order in which they did."""
    begun = [study for study in reader.studies() if campaign_of(study.name) == campaign]
    begun.sort(key=lambda study: study.created_at)
    if isinstance(reader, Remote):  # a server knows when a study has ended, its store does not
        stands = [reader.status(study.name) for study in begun]
        begun = [replace(study, state=s["state"], reason=s["reason"]) for study, s in zip(begun, stands, strict=True)]
    return weigh(campaign, [(study, reader.trials(study.name)) for study in begun], reader.evidence)


def print_stages(reader: Reader | Remote, stages: Stages, form: str) -> None:
    """Writes the stages to stdout, as a table with captions or as JSON; with what the images held out say of them."""
    held = None
    try:
        held = held_out(stages, reader.holdout)
    except ResultsError as error:  # they have no objects of the size that counts: the stages stand all the same
        click.echo(error, err=True)
    if form == "json":
        document = stages.document() | {"holdout": held.document() if held else None}
        click.echo(json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False))
        return
    objective = stages.stages[0].record.objective
    repeated = any(stage.best and stage.best.seeds > 1 for stage in stages.stages)
    intervals = any(stage.gain and stage.gain.interval for stage in stages.stages)
    head = ["stage", "trials", objective, *["seeds"] * repeated, "gain", *["95 %"] * intervals, "best combination"]
    rows = [_row(stage, repeated, intervals) for stage in stages.stages]
    print_table(head, rows)
    option = server_option(reader)
    for line in [*captions(stages, option), *_held(stages, held, option)]:
        click.echo(line)


def _row(stage: Stage, repeated: bool, intervals: bool) -> list[str]:
    best, trials = stage.best, str(stage.complete)
    if stage.complete < len(stage.trials):
        trials += f" of {len(stage.trials)}"
    seeds = [str(best.seeds) if best else "-"] * repeated
    gain = stage.gain.value if stage.gain else None
    return [
        stage.name, trials, "-" if best is None else f"{best.mean:.10f}", *seeds,
        "-" if gain is None else f"{gain:+.4f}", *[_interval(stage.gain)] * intervals,
        stage.label if stage.leads or not best else f"{stage.label} (not taken over)",
    ]  # fmt: skip


def _interval(gain: Gain | None) -> str:
    if gain is None or gain.interval is None:
        return "-"
    return f"{gain.interval[0]:+.4f} to {gain.interval[1]:+.4f}"


def captions(stages: Stages, option: str = "") -> list[str]:
    """What a reader must know to trust the table; `option`: of the command lines that are suggested."""
    lines = [f"gain: mean of the stage's best minus that of the best before it; in the first stage minus that of "
             f"{stages.baseline or 'the first combination'}, the first of its list"]  # fmt: skip
    if stages.images:
        over = f"95 %: over {stages.images} validation images"
        lines.append(
            f"{over} and seeds (standard deviation between seeds {stages.noise:.4f})"
            if stages.noise is not None
            else f"{over} alone: one seed each says nothing about the next one; write repeats: 3"
        )
    lines.append("each best is the highest of its stage, so it promises a little too much, and so do the gains")
    if anew := [stage.name for stage in stages.stages if stage.best and stage.gain is None]:
        lines.append(
            f"{' and '.join(anew)}: with other epochs, image sizes or training images than before, so that figures "
            "cannot be compared, and what came before leads no longer"
        )
    winner = stages.winner
    if winner and winner.trial:
        total = f"{stages.total.value:+.4f}" if stages.total else "not to be compared"
        if stages.total and stages.total.interval:
            total += f" (95 % {_interval(stages.total)})"
        lines.append(
            f"all stages together: {total}; the best is trial {winner.trial.number} of study {winner.record.name}: "
            f"sweep best --study {stages.campaign}{option} --export config"
        )
    return lines


def _held(stages: Stages, held: Outcome | None, option: str) -> list[str]:
    """What the images held out say, and how to know it better."""
    winner = stages.winner
    if not winner or not winner.record.data.get("holdout"):
        return []
    if held is None:
        seen = "no stage has seen the images held out; what they say of the best, and of the first of all: "
        return [f"{seen}sweep confirm --study {stages.campaign}{option} --seeds 3"]
    names = [f"{stages.baseline}, the first of the first stage", f"{winner.label}, the best of stage {winner.name}"]
    lines = ["", *lines_of(held, names[1], names[0])]
    if held.noise is None:
        lines.append(
            f"further seeds of both, and what they say: sweep confirm --study {stages.campaign}{option} --seeds 3"
        )
    return lines
