"""What only shows when several keys are looked at together: twice given, forbidden, endless."""

from __future__ import annotations

from typing import Any

from runner.catalog import MODELS, PARTS, SETTINGS
from runner.protocol import Scalar
from sweeps.space import exclusion, walk
from sweeps.space.problems import Report, nearest, shown
from sweeps.space.schema import Choice, Pick, SearchSpace, label_of

Rule = dict[str, tuple[Scalar, ...]]


def forbidden_rules(raw: Any, report: Report) -> tuple[Rule, ...]:
    """The rules under ``forbid``: part or setting -> names, of which one must match."""
    if raw is None:
        return ()
    if not isinstance(raw, list):
        report.add("forbid", f"expected a list of rules, found {shown(raw)}", "write - {model: NAME, ...}")
        return ()
    rules = []
    for number, item in enumerate(raw):
        key = f"forbid[{number}]"
        known = (*PARTS, *(name for name in SETTINGS if name not in ("seed", "lr")))
        entries = report.mapping(item, key, known)
        if not item:
            report.add(key, "expected at least one key, found an empty rule")
        rules.append({name: _wanted(name, value, f"{key}.{name}", report) for name, value in entries.items()})
    return tuple(rules)


def _wanted(name: str, raw: Any, key: str, report: Report) -> tuple[Scalar, ...]:
    items = raw if isinstance(raw, list) else [raw]
    if not items:
        report.add(key, "expected at least one name, found an empty list")
    for item in items:
        if name in PARTS and item not in list(PARTS[name]):
            report.add(key, f"unknown {name} {shown(item)}", nearest(item, PARTS[name]))
        elif name in SETTINGS and SETTINGS[name].problem(item):
            report.add(key, str(SETTINGS[name].problem(item)))
    return tuple(label_of(item) for item in items)


def check(space: SearchSpace, plain: dict[str, Any], report: Report) -> list[str]:
    """Notes what does not fit together; gives back lines that a user should see though nothing is wrong.

    Args:
        space: as far as it could be read.
        plain: the document it was read from.
        report: takes the mistakes.
    """
    _twice(plain, report)
    _learning_rate(space, report)
    _boxes(space, report)
    _stopped_by_score(space, report)
    _forbid_keys(space, plain, report)
    return [] if misread(report) else _number(space, report)


def misread(report: Report) -> bool:
    """Whether what shapes a space was only half understood: looking on would report mistakes that are none."""
    shaping = ("search", "fixed", "config", "forbid", "plugins")
    return any(problem.key.startswith(shaping) for problem in report.problems)


def _twice(plain: dict[str, Any], report: Report) -> None:
    fixed, search = plain.get("fixed"), plain.get("search")
    if not isinstance(fixed, dict) or not isinstance(search, dict):
        return
    for name in search:
        if name in fixed:
            report.add(f"search.{name}", f"{name} stands under fixed as well", "leave one of them out")


def _learning_rate(space: SearchSpace, report: Report) -> None:
    """`lr` is that of whichever optimizer is chosen: an optimizer's own beside it is a contradiction."""
    where = next((f"{key}.lr" for key in ("fixed", "search") if "lr" in vars(space)[key]), None)
    if where is None:
        return
    for key, picks in _picks(space, "optimizer"):
        for pick in picks:
            if "lr" in pick.params:
                message = f"the learning rate is given here and as {where}"
                report.add(f"{key}.{pick.name}.lr", message, "leave one of them out")


def _boxes(space: SearchSpace, report: Report) -> None:
    if space.objective.metric != "bbox_mAP":
        return
    for key, picks in _picks(space, "model"):
        for pick in picks:
            if not MODELS[pick.name].boxes:
                report.add(key, f"{pick.name} predicts no boxes, and the objective is bbox_mAP")


def _stopped_by_score(space: SearchSpace, report: Report) -> None:
    """What a pruner stops for its score might have been the cheapest."""
    if space.objective.against and space.pruner.kind not in ("auto", "none"):
        message = f"{space.pruner.kind} looks at {space.objective.metric} alone, and there are two goals"
        report.add("pruner.kind", message, "leave pruner out")


def _picks(space: SearchSpace, part: str) -> list[tuple[str, tuple[Pick, ...]]]:
    """(key, picks) of everything that can be chosen for a part."""
    form = space.search.get(part)
    if isinstance(form, Choice):
        return [(f"search.{part}", option.value) for option in form.options]
    return [(f"fixed.{part}", space.fixed[part])] if part in space.fixed else []


def _forbid_keys(space: SearchSpace, plain: dict[str, Any], report: Report) -> None:
    sections = [plain.get(section) for section in ("fixed", "search")]
    named = {key for section in sections if isinstance(section, dict) for key in section}
    for number, rule in enumerate(space.forbid):
        for key in rule:
            if key not in named:
                message = f"{key} is neither fixed nor searched, so no rule can tell what it is"
                report.add(f"forbid[{number}].{key}", message, f"write {key} under fixed or search")
            elif key in space.search and not isinstance(space.search[key], Choice):
                report.add(f"forbid[{number}].{key}", f"{key} is searched over a range, expected a choice")


def _number(space: SearchSpace, report: Report) -> list[str]:
    """Whether something is left to try, and an end to it."""
    if exclusion.everything_forbidden(space):
        report.add("forbid", "the rules forbid every combination", "leave one of them out")
        return []
    notes = [
        f"forbid[{number}] never matches: nothing in this space is forbidden by it"
        for number, rule in enumerate(space.forbid)
        if exclusion.never_matches(space, rule)
    ]
    number, trials = walk.count(space), space.budget.trials
    budget = space.budget
    limits = (trials, budget.hours, budget.gpu_hours, budget.until, budget.patience)
    pairwise = space.sampler.kind == "pairwise"
    if pairwise and not any(isinstance(form, Choice) for form in space.forms().values()):
        report.add("sampler.kind", "pairwise covers pairs of choices, and nothing is chosen here", "write auto")
    endless = number is None and not pairwise and limits == (None,) * len(limits)
    if endless and not any(p.key == "budget.trials" for p in report.problems):
        message = "expected a number of trials, found none, and the space is infinite"
        report.add("budget.trials", message, "write budget: {trials: 20}")
    if budget.patience is not None and walk.planned(space)[0] == "exhaustive":
        notes.append(
            f"budget.patience {budget.patience}: combinations are tried in the order of the file, so that a row "
            "without gain says nothing about those further down; patience is for samplers tpe and random"
        )
    if space.sampler.kind == "exhaustive":
        if number is None:
            message = "an infinite space cannot be tried out"
            report.add("sampler.kind", message, "write tpe, or give every range a step")
        elif trials is not None and trials < number:
            notes.append(f"budget.trials {trials}: the first {trials} of {number} combinations are tried")
    return notes
