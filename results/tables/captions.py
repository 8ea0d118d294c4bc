"""The lines below the weekly table: what a reader must know to trust its numbers."""

from __future__ import annotations

from results.ranking import tried
from results.ranking.rows import Ranking
from results.records import ImportRecord

_SHOWN = 20  # imported results below a table


def captions(ranking: Ranking) -> list[str]:
    """What was measured how, what all trials share, the baseline, and what is not shown."""
    lines = [_measured(ranking)]
    if ranking.rows and ranking.common:
        lines.append("all with: " + ", ".join(_pairs(ranking)))
    lines += _rescued(ranking)
    lines += _trust(ranking)
    if ranking.against:
        lines.append(f"front: no other row has at least this score for less {ranking.against.replace('_', ' ')}")
    if ranking.baseline:
        what = "the combination of trial" if ranking.merged else "trial"
        lines.append(f"+/-: difference to {what} {ranking.baseline.trial} ({ranking.baseline.label})")
    if ranking.confirmed:
        lines.append(_confirmed(ranking))
    if ranking.promising:
        numbers = ", ".join(map(str, ranking.promising))
        lines.append(
            f"stopped, though higher than each of the first three was at that epoch: {numbers}; taken up again with: "
            f"{_command(ranking, f'trials retry {ranking.promising[0]}')}"
        )
    if not ranking.rows:
        lines.append("no trial is complete yet" if not ranking.all_states else "no trial yet")
    if ranking.hidden:
        total = sum(ranking.hidden.values())
        states = ", ".join(f"{count} {state}" for state, count in sorted(ranking.hidden.items()))
        noun = "trial is" if total == 1 else "trials are"
        lines.append(f"{total} {noun} not complete ({states}); see them with: {_command(ranking, 'rank --all')}")
    return lines + _imported(ranking)


def _rescued(ranking: Ranking) -> list[str]:
    """What ranked trials trained with that had run out of memory; those alike share a line."""
    alike: dict[str, list[str]] = {}
    for trial in ranking.rescued:
        proposed, trained = trial.parts["settings"], trial.trained["settings"]
        before, after = proposed.get("batch_size"), trained.get("batch_size")
        what = f"batch_size {before} and trained with {after}, accumulated {trained.get('accumulate')}"
        alike.setdefault(what, []).append(str(trial.number))
    return [
        f"trial{'s' * (len(numbers) > 1)} {', '.join(numbers)} ran out of memory with {what}"
        for what, numbers in alike.items()
    ]


def _command(ranking: Ranking, words: str) -> str:
    """A command line about this study, wherever it lies and whatever others lie there."""
    return f"sweep {words} --study {ranking.study.name}{ranking.option}"


def _confirmed(ranking: Ranking) -> str:
    """Which combination was confirmed, whatever its place, and what is exported of it."""
    seeds = [row for row in ranking.every if row.combination == ranking.confirmed]
    best = max(seeds, key=lambda row: (row.score or 0.0, -row.trial))
    mean = f"mean {best.mean:.10f} of {best.seeds} seed{'s' * (best.seeds != 1)}"
    return f"confirmed: {best.what}, {mean}; sweep best exports its best seed, trial {best.trial}"


def _imported(ranking: Ranking) -> list[str]:
    """Results from elsewhere, the best of each metric first; no place, for nothing else is known of them."""
    lines = []
    for metric in dict.fromkeys(one.metric for one in ranking.imported):
        rows = sorted((one for one in ranking.imported if one.metric == metric), key=lambda one: -one.score)
        informing = sum(one.assignment is not None for one in rows)
        told = f"the sampler learns from {informing}" if informing else "the sampler learns from none"
        lines.append(f"imported, apart from the ranking: {len(rows)} with {metric}; {told}")
        lines += [_row(one) for one in rows[:_SHOWN]]
        if len(rows) > _SHOWN:
            command = _command(ranking, "rank --format json")
            lines.append(f"imported: {len(rows) - _SHOWN} more; see them with: {command}")
    return lines


def _row(one: ImportRecord) -> str:
    """A result from elsewhere, with what the sampler assumes of it."""
    assumed = f"; {one.note}" if one.assignment is not None and one.note else ""
    return f"imported {one.score:.10f} {one.owner or '-'}: {one.what} ({one.source}){assumed}"


def _trust(ranking: Ranking) -> list[str]:
    """What means, intervals and places are."""
    lines = []
    known = ranking.standings
    if ranking.merged:
        lines.append(
            f"a line is a combination with the means over its seeds; {_command(ranking, 'rank --runs')} lists every "
            "training"
        )
    if known is None or not known.images:
        return [*lines, *(known.notes if known else ())]
    over = f"95 %: where the {'mean' if known.repeated else 'score'} may lie, over {known.images} validation images"
    if known.noise is None:
        lines.append(
            f"{over} only: no combination was trained with two seeds, so nothing is told apart; "
            "write repeats: 3 in the space, or give --seed-noise"
        )
    else:
        source = "as given" if known.freedom is None else f"from {known.freedom:.0f} degrees of freedom"
        lines.append(f"{over} and seeds (standard deviation between seeds {known.noise:.4f}, {source})")
        lines.append(
            "place: 2-4 is not told apart from two others; one in twenty such claims of being better may be wrong"
        )
    return [*lines, *known.notes]


def _measured(ranking: Ranking) -> str:
    study = ranking.study
    epoch = "the best epoch" if study.at == "best" else "the last epoch"
    words = [
        f"{study.name}: {ranking.objective} of {epoch}",
        f"at most {study.detections} detections an image",
    ]
    if study.data.get("n_val") is not None:
        words.append(f"{study.data['n_val']} validation images")
    if study.data.get("name"):
        words.append(f"data {study.data['name']}")
    words.append(f"scale {study.scale}")
    return ", ".join(words)


def _pairs(ranking: Ranking) -> list[str]:
    return [f"{name} {tried.show(value)}" for name, value in ranking.common.items()]
