"""What `sweep plan` says of GPU hours: the forecast, what it comes from, and how far it was off in the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from results.reader import Reader
from results.records import TrialRecord
from runner.protocol import DataPaths, Scale
from sweeps.calibration import mean_seconds
from sweeps.forecast import Forecast, Point, points, review
from sweeps.space.schema import SearchSpace
from sweeps.space.walk import planned


def history(reader: Reader, scale: Scale, data: DataPaths) -> list[TrialRecord]:
    """All trials of a database that were trained on these data at this scale."""
    names = [study.name for study in reader.studies() if (study.scale, study.data_hash) == (scale, data.hash)]
    return [trial for name in names for trial in reader.trials(name)]


def outlook(
    space: SearchSpace, scale: Scale, data: DataPaths, trials: Sequence[TrialRecord], measured: Sequence[Point],
    machine: tuple[str, int], failed: Mapping[str, str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The forecast of a study.

    What the study's own trials took is not foretold from themselves: they are compared with a forecast from what was
    known before the first of them began.

    Args:
        trials: of the database, on the same data at the same scale.
        measured: short measurements on this machine.
        machine: (device, threads) of a trial here.
        failed: what could not be measured just now, and why; None where nothing was to be measured.

    Returns:
        ``gpu_hours`` (None where something was never measured, or no number of trials limits the study); ``missing``
        (what was never measured); ``failed`` (as given); ``from`` (``{"trials", "measurements"}``, how many it was
        learnt from); ``review`` (None without complete trials, or where nothing was known before them): ``{"trials",
        "foretold_hours", "took_hours", "error"}``.
    """
    own = [trial for trial in trials if trial.study == space.study]
    others = [trial for trial in trials if trial.study != space.study]
    known = [*points(trials, *machine), *measured]
    mean, missing = mean_seconds(space, scale, data.n_train, Forecast(known))
    number = planned(space)[1]
    return {
        "gpu_hours": None if mean is None or number is None else mean * number / 3600,
        "missing": missing,
        "failed": None if failed is None else dict(failed),
        "from": {"trials": len(known) - len(measured), "measurements": len(measured)},
        "review": _review(own, [*points(others, *machine), *measured]),
    }


def _review(own: Sequence[TrialRecord], known: Sequence[Point]) -> dict[str, Any] | None:
    begun: list[datetime] = [trial.started_at for trial in own if trial.started_at]
    if not begun:
        return None
    found = review(Forecast(point for point in known if point.at < min(begun)), own)
    if found is None:
        return None
    return {
        "trials": found.trials, "foretold_hours": found.foretold, "took_hours": found.took, "error": found.error,
    }  # fmt: skip


def lines(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Rows of the plan's table; the document is the plan's."""
    hours, forecast = document["gpu_hours"], document["forecast"]
    if hours is None:
        rows = [("GPU hours", _unknown(forecast["missing"], forecast["failed"]))]
    else:
        most = "" if document["pruner"] == "none" else "at most "  # what is stopped early takes less
        rows = [("GPU hours", f"{most}{_hours(hours)}, from {_sources(forecast['from'])}")]
    if found := forecast["review"]:
        rows.append(
            (
                "took so far",
                f"{_hours(found['took_hours'])} in {found['trials']} complete trials, foretold at "
                f"{_hours(found['foretold_hours'])}: error {found['error']:.0%}",
            )
        )
    return rows


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
