"""The smaller sections of a space: name, data, objective, sampler, pruner, budget, and what comes later."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from runner.catalog import Parameter
from runner.data.files import unreadable
from runner.errors import UserError
from runner.named import named
from runner.protocol import Cost, Objective
from sweeps.space.datafile import mistakes
from sweeps.space.problems import Report, near_file, nearest, shown
from sweeps.space.schema import ALSO, PRUNERS, SAMPLERS, Budget, PrunerSpec, SamplerSpec

SCALES = ("auto", "tiny", "standard")
METRICS = ("segm_mAP", "segm_mAP_50", "bbox_mAP")
COSTS: tuple[Cost, ...] = get_args(Cost)
DEMO = "demo"

_NAME = re.compile(r"\w(?:[\w.-]{0,78}[\w-])?")
_RANGE = re.compile(r"segm_mAP@([^:]+):([^:]+)(?::([^:]+))?")
_KEEP = Parameter("int", 3, 1, help="trials whose checkpoints are kept")
_SEED = Parameter("int", 0, 0, 2**31 - 1)
_POPULATION = Parameter("int", SamplerSpec.population, 2, 1000)
_BUDGET = {
    "trials": Parameter("int", None, 1),
    "gpu_hours": Parameter("float", None, 0),
    "hours": Parameter("float", None, 0),
    "until": Parameter("float", None, 0, 1),
    "trial_hours": Parameter("float", None, 0),
    "patience": Parameter("int", None, 1),
    "gain": Parameter("float", None, 0, 1),
}


def study_name(raw: Any, report: Report, key: str = "study") -> str:
    """The name of the study (or campaign), which is also the name of its folder."""
    if raw is None:
        report.add(key, f"expected the name of the {key}, found none", f"write {key}: NAME")
    elif not isinstance(raw, str):
        report.add(key, f"expected a text, found {shown(raw)}", f'write {key}: "{shown(raw)}"')
    elif not _NAME.fullmatch(raw):
        better = re.sub(r"[^\w.-]+", "_", raw).strip("._-")[:80] or "NAME"
        message = f"expected letters, digits, '_', '-' and '.' (it names a folder), found {shown(raw)}"
        report.add(key, message, f"write {key}: {better}")
    else:
        return raw
    return ""


def data_file(raw: Any, base: Path, option: Path | None, report: Report) -> str:
    """``demo``, or the absolute path of a data file; its own mistakes are noted with the space's.

    Args:
        raw: what the space says.
        base: the folder its path is relative to.
        option: what ``--data`` named instead, relative to the current folder.
        report: takes the mistakes.
    """
    if option is not None:
        raw, base = str(option), Path.cwd()
    if raw is None:
        report.add("data", "expected demo or a data file, found none", "write data: demo, or use --data FILE")
        return ""
    if raw == DEMO:
        return DEMO
    if not isinstance(raw, str):
        report.add("data", f"expected demo or the path of a data file, found {shown(raw)}")
        return ""
    try:
        path = named(base, raw).resolve()
    except UserError as error:
        report.add("data", str(error))
        return ""
    try:
        folder, there = path.is_dir(), path.is_file()
    except OSError as error:
        message, advice = unreadable(error)
        report.add("data", f"{path} {message}", advice)
        return str(path)
    if folder:
        hint = f"did you mean {Path(raw) / 'data.yaml'}?" if (path / "data.yaml").is_file() else None
        report.add("data", f"expected a data file, found the folder {raw}", hint)
    elif not there:
        message = f"expected demo or a data file, found {raw}, and there is no such file in {path.parent}"
        report.add("data", message, near_file(path))
    else:
        report.problems += mistakes(path)
    return str(path)


def scale(raw: Any, report: Report) -> Any:
    """auto, tiny or standard."""
    return _one_of(raw, SCALES, "scale", "auto", report)


def objective(raw: Any, report: Report) -> Objective:
    """What is maximised, and what is minimised beside it."""
    at, metric, key, against = "last", raw, "objective", None
    if isinstance(raw, list):
        metric, against = _two_goals(raw, report)
    if isinstance(raw, dict):
        entries = report.mapping(raw, key, ("metric", "at", "against"))
        at = _one_of(entries.get("at"), ("last", "best"), "objective.at", "last", report)
        metric, key = entries.get("metric"), "objective.metric"
        against = _cost(entries.get("against"), "objective.against", report)
    if metric is None:
        metric = METRICS[0]
    expected = f"expected {', '.join(METRICS)} or segm_mAP@LOW:HIGH[:STEP]"
    match = _RANGE.fullmatch(metric) if isinstance(metric, str) else None
    if match:
        problem = _bad_range(*match.groups())
        if problem:
            report.add(key, f"{problem}, found {metric}", "write e.g. segm_mAP@0.3:0.6")
            metric = METRICS[0]
    elif metric not in METRICS:
        names = [*METRICS, "segm_mAP@LOW:HIGH"]
        report.add(key, f"{expected}, found {shown(metric)}", nearest(metric, names))
        metric = METRICS[0]
    return Objective.model_validate({"metric": metric, "at": at, "against": against})


def _two_goals(raw: list[Any], report: Report) -> tuple[Any, str | None]:
    """``[segm_mAP, seconds_per_image]``: what is maximised, then what is minimised."""
    if len(raw) != 2:
        message = f"expected a metric and what it is weighed against, found {len(raw)} entries"
        report.add("objective", message, f"write [{METRICS[0]}, {COSTS[0]}], or {METRICS[0]} alone")
        return None, None
    return raw[0], _cost(raw[1], "objective[1]", report)


def _cost(raw: Any, key: str, report: Report) -> str | None:
    if raw is None:
        return None
    if raw in COSTS:
        return str(raw)
    report.add(key, f"expected one of {', '.join(COSTS)}, found {shown(raw)}", _near(raw, COSTS))
    return None


def _bad_range(low: str, high: str, step: str | None) -> str | None:
    try:
        numbers = [float(low), float(high), float(step or 0.05)]
    except ValueError:
        return "expected numbers in LOW:HIGH[:STEP]"
    if not all(map(math.isfinite, numbers)) or not 0 < numbers[0] <= numbers[1] < 1:
        return "expected IoU thresholds 0 < LOW <= HIGH < 1"
    if numbers[2] < 0.001:
        return "expected a STEP of at least 0.001"
    return None


def sampler(raw: Any, report: Report) -> SamplerSpec:
    """Who proposes."""
    if isinstance(raw, str):
        report.add("sampler", f"expected a mapping, found {raw}", f"write sampler: {{kind: {raw}}}")
        return SamplerSpec()
    entries = report.mapping(raw, "sampler", ("kind", "seed", "shard", "population"))
    kind: Any = _one_of(entries.get("kind"), SAMPLERS, "sampler.kind", "auto", report)
    shard = _shard(entries["shard"], kind, report) if "shard" in entries else None
    found: dict[str, Any] = {}
    for name, parameter in (("seed", _SEED), ("population", _POPULATION)):
        value = entries.get(name, parameter.default)
        problem = parameter.problem(value)
        if problem:
            report.add(f"sampler.{name}", problem)
        else:
            found[name] = value
    if "population" in entries and kind != "nsga2":
        report.add("sampler.population", f"only nsga2 has a population, found kind {kind}", "write kind: nsga2")
    return SamplerSpec(kind, shard=shard or (1, 1), **found)


def _shard(raw: Any, kind: str, report: Report) -> tuple[int, int] | None:
    """``2/8``: the second of eight parts."""
    match = re.fullmatch(r"(\d+)/(\d+)", raw) if isinstance(raw, str) else None
    number, of = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= of:
        report.add("sampler.shard", f"expected NUMBER/OF such as 1/4, found {shown(raw)}")
    elif kind != "pairwise":
        report.add("sampler.shard", f"only pairwise has shards, found kind {kind}", "write kind: pairwise")
    else:
        return number, of
    return None


def pruner(raw: Any, report: Report) -> PrunerSpec:
    """Who stops hopeless trials, with its options complete."""
    if isinstance(raw, str):
        report.add("pruner", f"expected a mapping, found {raw}", f"write pruner: {{kind: {raw}}}")
        return PrunerSpec()
    kind: Any = raw.get("kind") if isinstance(raw, dict) else None
    kind = _one_of(kind, tuple(PRUNERS), "pruner.kind", "auto", report)
    known = PRUNERS[kind]
    entries = report.mapping(raw, "pruner", ("kind", *known))
    options = {name: parameter.default for name, parameter in known.items()}
    for name, parameter in known.items():
        if name in entries:
            options[name] = entries[name]
            problem = parameter.problem(entries[name])
            if problem:
                report.add(f"pruner.{name}", problem)
    return PrunerSpec(kind, options)


def budget(raw: Any, report: Report, key: str = "budget", limits: Iterable[str] = tuple(_BUDGET)) -> Budget:
    """When a study ends; with other limits, when something else does."""
    found: dict[str, Any] = {}
    for name, value in report.mapping(raw, key, limits).items():
        problem = _BUDGET[name].problem(value)
        if not problem and value == 0 and name != "gain":
            problem = "expected a number above 0, found 0"
        if problem:
            report.add(f"{key}.{name}", problem)
        else:
            found[name] = value
    if "gain" in found and "patience" not in found:
        message = "expected patience beside it: gain says what counts as one, patience how long none may come"
        report.add("budget.gain", message, f"write budget: {{patience: 30, gain: {found['gain']:g}}}")
    return Budget(**found)


def keep(raw: Any, report: Report) -> int:
    """How many of the best trials keep their checkpoints."""
    if raw is None:
        return int(_KEEP.default)
    problem = _KEEP.problem(raw)
    if problem:
        report.add("keep", problem)
        return int(_KEEP.default)
    return int(raw)


def not_yet(data: dict[str, Any], report: Report) -> None:
    """Keys of the grammar that no release reads yet."""
    if data.get("from"):
        report.add(
            "from", "from is not available in a space", "write a campaign: its stages start from the best before"
        )


def _one_of(raw: Any, names: tuple[str, ...], key: str, default: str, report: Report) -> str:
    if raw is None:
        return default
    if raw in ALSO and ALSO[raw] in names:
        return ALSO[raw]
    if raw not in names:
        report.add(key, f"expected one of {', '.join(names)}, found {shown(raw)}", _near(raw, names))
        return default
    return str(raw)


def _near(raw: Any, names: tuple[str, ...]) -> str | None:
    hint = nearest(raw, names)
    return hint if hint.startswith("did") else None
