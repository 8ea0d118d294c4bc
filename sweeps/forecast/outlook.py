"""What `sweep plan` says of GPU hours: the forecast, what it comes from, and how far it was off in the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

from results.reader import Reader
from results.records import TrialRecord
from runner.protocol import DataPaths, Scale
from sweeps.forecast.calibration import mean_seconds
from sweeps.forecast.forecast import Forecast, Point, Review, points, review
from sweeps.space.schema import Budget, SearchSpace
from sweeps.space.walk import planned


def history(reader: Reader, scale: Scale, data: DataPaths) -> list[TrialRecord]:
    """All trials of a database that were trained on these data at this scale."""
    names = [study.name for study in reader.studies() if (study.scale, study.data_hash) == (scale, data.hash)]
    return [trial for name in names for trial in reader.trials(name)]


def outlook(
    space: SearchSpace, scale: Scale, data: DataPaths, trials: Sequence[TrialRecord], measured: Sequence[Point],
    machine: tuple[str, int], failed: Mapping[str, str] | None = None, workers: int = 1,
    possible: SearchSpace | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The forecast of a study.

    What the study's own trials took is not foretold from themselves: they are compared with a forecast from what was
    known before the first of them began.

    Args:
        trials: of the database, on the same data at the same scale.
        measured: short measurements on this machine.
        machine: (device, threads) of a trial here.
        failed: what could not be measured just now, and why; None where nothing was to be measured.
        workers: trainings at a time.
        possible: all that may be trained, of which a trial takes the mean; None for what the space says.

    Returns:
        ``gpu_hours`` (None where something was never measured, or no number of trials and no hours limit the study);
        ``trials`` (about how many that is); ``limit`` (what ends the study before all of its trials are done:
        ``budget.gpu_hours``, ``budget.hours``; None for nothing); ``unlimited`` (GPU hours of all its trials, None
        where their number is open); ``workers`` (as given); ``missing`` (what was never measured); ``failed`` (as
        given); ``from`` (``{"trials", "measurements"}``, how many it was learnt from); ``review`` (None without
        complete trials, or where nothing was known before them): ``{"trials", "foretold_hours", "took_hours",
        "error"}``.
    """
    own = [trial for trial in trials if trial.study == space.study]
    others = [trial for trial in trials if trial.study != space.study]
    known = [*points(trials, *machine), *measured]
    mean, missing = mean_seconds(possible or space, scale, data.n_train, Forecast(known))
    number = planned(space)[1]
    every = None if mean is None or number is None else mean * number / 3600
    hours, limit = (None, None) if mean is None else within(every, space.budget, "budget", workers)
    return {
        "gpu_hours": hours,
        "trials": number if limit is None or not mean else max(1, round(3600 * (hours or 0.0) / mean)),
        "limit": limit,
        "unlimited": every,
        "workers": workers,
        "missing": missing,
        "failed": None if failed is None else dict(failed),
        "from": {"trials": len(known) - len(measured), "measurements": len(measured)},
        "review": _review(own, [*points(others, *machine), *measured]),
    }


def campaign_outlook(stages: Sequence[Mapping[str, Any]], total: Budget) -> dict[str, Any]:
    """The forecast of a campaign.

    Args:
        stages: the outlook of each.
        total: what all of them together may take.

    Returns:
        The same as for a study, of all stages together; ``limit`` is ``total.gpu_hours`` or ``total.hours``, and
        ``trials`` is None where one of them decides.
    """
    missing = list(dict.fromkeys(what for one in stages for what in one["missing"]))
    every, trials = _sum(one["gpu_hours"] for one in stages), _sum(one["trials"] for one in stages)
    workers = stages[0]["workers"]
    hours, limit = (None, None) if missing else within(every, total, "total", workers)
    reviews = [one["review"] for one in stages if one["review"]]
    foretold, took = (sum(one[key] for one in reviews) for key in ("foretold_hours", "took_hours"))
    return {
        "gpu_hours": hours,
        "trials": trials if limit is None else None,
        "limit": limit,
        "unlimited": every,
        "workers": workers,
        "missing": missing,
        "failed": stages[0]["failed"],
        "from": stages[0]["from"],
        "review": _document(Review(sum(one["trials"] for one in reviews), foretold, took)) if reviews else None,
    }


def _sum(numbers: Iterable[float | None]) -> float | None:
    """None where one of them is not known."""
    found = list(numbers)
    return None if None in found else sum(one for one in found if one is not None)


def within(every: float | None, budget: Budget, key: str, workers: int) -> tuple[float | None, str | None]:
    """(GPU hours until the first limit, that limit); (None, None) where there is none.

    Args:
        every: of all trials, None where their number is open.
        budget: which GPU hours and hours of the clock are allowed.
        key: under which it stands in the file.
        workers: trainings at a time.
    """
    clock = None if budget.hours is None else budget.hours * workers
    limits = [(every, None), (budget.gpu_hours, f"{key}.gpu_hours"), (clock, f"{key}.hours")]
    return min(
        ((hours, limit) for hours, limit in limits if hours is not None), key=itemgetter(0), default=(None, None)
    )


def _review(own: Sequence[TrialRecord], known: Sequence[Point]) -> dict[str, Any] | None:
    begun: list[datetime] = [trial.started_at for trial in own if trial.started_at]
    if not begun:
        return None
    found = review(Forecast(point for point in known if point.at < min(begun)), own)
    if found is None:
        return None
    return _document(found)


def _document(found: Review) -> dict[str, Any]:
    return {
        "trials": found.trials, "foretold_hours": found.foretold, "took_hours": found.took, "error": found.error,
    }  # fmt: skip


def lines(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Rows of the plan's table; the document is the plan's, of a study or a campaign."""
    forecast = document["forecast"]
    if document["gpu_hours"] is None:
        rows = [("GPU hours", _unknown(forecast["missing"], forecast["failed"]))]
    else:
        rows = [("GPU hours", f"{about(document)}{limited(document)}, from {_sources(forecast['from'])}")]
    if found := forecast["review"]:
        rows.append(
            (
                "took so far",
                f"{_hours(found['took_hours'])} in {found['trials']} complete trials, foretold at "
                f"{_hours(found['foretold_hours'])}: error {found['error']:.0%}",
            )
        )
    return rows


def about(document: dict[str, Any]) -> str:
    """The hours that are foretold; what is stopped early takes less."""
    return ("" if document["pruner"] == "none" else "at most ") + _hours(document["gpu_hours"])


def limited(document: dict[str, Any]) -> str:
    """Which limit decides, and what it leaves of the trials; nothing where all of them are within it."""
    forecast = document["forecast"]
    limit, trials, every = forecast["limit"], forecast["trials"], forecast["unlimited"]
    if limit is None:
        return ""
    found = f", when {limit} ends it"
    if limit.endswith(".hours"):
        found += f" with {forecast['workers']} training{'s' * (forecast['workers'] != 1)} at a time"
    if trials is not None:
        of = "" if every is None else f" of {document['trials']}"
        found += f": {'about' if document['pruner'] == 'none' else 'at least'} {trials}{of} trials"
    return found if every is None else f"{found} (without it {_hours(every)})"


def _unknown(missing: Sequence[str], failed: Mapping[str, str] | None) -> str:
    """Why no hours are foretold."""
    if not missing:
        return "open"
    found = "not measured: " + ", ".join(missing[:6]) + (f" and {len(missing) - 6} more" if missing[6:] else "")
    if failed is None:
        return f"{found}; `sweep plan SPACE --measure` does it"
    for error in dict.fromkeys(failed.values()):
        found += f"; {', '.join(what for what, why in failed.items() if why == error)} could not be: {error}"
    return found


def _sources(source: dict[str, int]) -> str:
    named = {"trials": "earlier trials", "measurements": "short measurements"}
    return " and ".join(f"{source[key]} {word}" for key, word in named.items() if source[key])


def _hours(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.1f} min"
