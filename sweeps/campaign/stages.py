"""The spaces of a campaign's stages: of one whose winner is known, and of all before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runner.protocol import Scale
from sweeps.campaign.course import Course, imagined
from sweeps.campaign.document import Campaign, prefixed, rules_for, stage_document
from sweeps.campaign.relative import expand, is_relative
from sweeps.space.exclusion import everything_forbidden
from sweeps.space.limits import contradictions, limits
from sweeps.space.loader import build
from sweeps.space.problems import Report, SpaceErrors, SpaceProblem, in_order
from sweeps.space.schema import Choice, FloatRange, Form, IntRange, SearchSpace
from sweeps.space.twins import twins
from sweeps.study.setup import check_config, choose_scale

Choose = Callable[[SearchSpace], Scale]


@dataclass(frozen=True)
class Options:
    """What the command line says about every stage.

    Attributes:
        data: file of ``--data``.
        scale: of ``--scale``, None for what the file says.
        gpus: how many there are, which ``auto`` goes by.
    """

    data: Path | None
    scale: str | None
    gpus: int

    def choose(self, space: SearchSpace) -> Scale:
        """The scale of a space."""
        return choose_scale(space, self.scale, self.gpus)


def stage_space(campaign: Campaign, stage: str, course: Course, options: Options) -> SearchSpace:
    """The space of the stage that comes after what `course` has, checked as any other.

    Raises:
        SpaceErrors: mistakes in it.
    """
    space = _built(campaign, stage, course, options.data, options.choose)
    check_config(space, options.choose(space))
    return space


def _built(campaign: Campaign, stage: str, course: Course, data: Path | None, choose: Choose | None) -> SearchSpace:
    report = Report(campaign.changed.locate)
    search = expand(campaign.own(stage)["search"], course, f"stages.{stage}", report)
    winner = course.winner.written() if course.winner else ({}, {})
    try:
        space = build(stage_document(campaign, stage, winner, search), data, choose)
    except SpaceErrors as error:
        # without a key: nothing is left to try, since all that is searched was a mistake
        here = str(campaign.changed.document.path)
        told = [problem for problem in error.problems if problem.key or problem.file != here]
        report.problems += [prefixed(campaign, stage, problem) for problem in told]
    report.finish()
    own = campaign.own(stage).get("forbid") or []
    quiet = tuple(f"forbid[{n}] never" for n in range(len(space.forbid) - len(own)))  # shared: for other stages
    return replace(space, notes=tuple(note for note in space.notes if not note.startswith(quiet)))


def look_ahead(campaign: Campaign, problems: list[SpaceProblem], options: Options) -> list[SearchSpace]:
    """The spaces of all stages as they might become, each starting from the first thing that the ones before list.

    Args:
        campaign: the file.
        problems: mistakes that are known already.
        options: of the command line.

    Raises:
        SpaceErrors: every mistake, whichever combination wins; in the order of the file.
    """
    found = list(problems)
    spaces: list[SearchSpace] = []
    course = Course("tiny")  # until the first space has told
    open_: dict[str, Form] = {}
    for stage in campaign.stages:
        search = campaign.own(stage)["search"]
        try:
            space = _built(campaign, stage, course, options.data, None)
            course.scale = options.choose(space)
            open_ = _opened(open_, space, search, campaign.own(stage).get("fixed") or {}, (Choice,))
            told = {problem.message for problem in found}  # what a stage inherits, an earlier one may have said
            limits_met = [one for one in _cannot_work(space, open_, course.scale) if one.message not in told]
            found += [prefixed(campaign, stage, one) for one in limits_met]
            check_config(_whole(space, open_), course.scale)
        except SpaceErrors as error:
            found += error.problems
            course.broken |= search.keys()
            continue
        spaces.append(space)
        course.founds.append(imagined(space))
        course.broken -= search.keys()
    found += _idle_rules(campaign, spaces)
    if found:
        raise SpaceErrors(in_order(dict.fromkeys(found)))
    return spaces


def possible(campaign: Campaign, spaces: Sequence[SearchSpace]) -> list[SearchSpace]:
    """What each stage may train, whatever wins before it: that as a choice, or as the range that a stage searched.

    Ranges around the winner's value lie where `look_ahead` has them.

    Args:
        campaign: the file.
        spaces: of its stages, as `look_ahead` has them.
    """
    found: list[SearchSpace] = []
    open_: dict[str, Form] = {}
    for stage, space in zip(campaign.stages, spaces, strict=True):
        own = campaign.own(stage)
        open_ = _opened(open_, space, own["search"], own.get("fixed") or {}, (Choice, FloatRange, IntRange))
        found.append(_whole(space, open_))
    return found


def _opened(
    known: dict[str, Form], space: SearchSpace, search: dict[str, Any], fixed: Any, kinds: tuple[type[Form], ...]
) -> dict[str, Form]:
    """Every form of these kinds, of this stage or one before, that may be the winner's."""
    left = {key: form for key, form in known.items() if key not in fixed}
    own = {
        key: form
        for key, form in space.search.items()
        if isinstance(form, kinds) and key != "seed"
        if not (is_relative(search.get(key)) and isinstance(form, Choice) and key in known)
    }
    return {**left, **own}


def _whole(space: SearchSpace, open_: dict[str, Form]) -> SearchSpace:
    """The stage's space, with whatever may be the winner's as a choice."""
    search = {**open_, **{key: form for key, form in space.search.items() if key not in open_}}
    return replace(space, search=search, fixed={key: value for key, value in space.fixed.items() if key not in open_})


def _cannot_work(space: SearchSpace, open_: dict[str, Form], scale: Scale) -> list[SpaceProblem]:
    """What cannot work, or is the same twice in this stage, for any of the options before that may have won."""
    whole = _whole(space, open_)
    if everything_forbidden(whole):
        return []
    found = [*limits(whole, scale), *contradictions(whole, scale), *twins(space, scale)]
    for key, form in open_.items():
        for option in form.options if isinstance(form, Choice) and key not in space.search else ():
            one = _whole(space, {key: Choice((option,))})
            found += [] if everything_forbidden(one) else twins(one, scale)
    return list({problem.message: problem for problem in reversed(found)}.values())[::-1]


def _idle_rules(campaign: Campaign, spaces: list[SearchSpace]) -> list[SpaceProblem]:
    """A shared rule whose keys never come together in a stage forbids nothing."""
    rules = campaign.shared.get("forbid")
    if not isinstance(rules, list) or len(spaces) < len(campaign.stages):
        return []
    used = {number for space in spaces for number in rules_for(rules, {*space.search, *space.fixed})}
    report = Report(campaign.changed.locate)
    for number in range(len(rules)):
        if number not in used:
            report.add(f"forbid[{number}]", "no stage fixes or searches all of these keys", "leave the rule out")
    return report.problems
