"""What a study would have called the rows of somebody's table, and how much of that nobody has said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from results.ranking.tried import short, show
from runner.adapt import image_size
from runner.catalog import MODELS, SETTINGS
from runner.catalog.spellings import plain
from runner.protocol import Combination, Scalar, Scale, digest
from runner.share import share_of
from sweeps.imports.cells import same
from sweeps.space.exclusion import Assignment, forbidden
from sweeps.space.opening import left_open, opening
from sweeps.space.resolve import DEFAULT_AUGMENTATION, resolve
from sweeps.space.schema import Choice, SearchSpace
from sweeps.space.walk import suggest

_FIRST = f"{DEFAULT_AUGMENTATION} + "  # MMDetection's own pipelines begin so, and nobody writes it


class UnknownError(Exception):
    """A row is none of what the study tries, or nobody knows which; the message says why."""


class RowReader:
    """Reads rows of one study.

    Args:
        space: of the study.
        scale: which defaults hold.
        n_train: number of training images.
    """

    def __init__(self, space: SearchSpace, scale: Scale, n_train: int) -> None:
        self._space, self._scale, self._n_train = space, scale, n_train
        self._openings: dict[str, Assignment] = {}

    def read(self, cells: Mapping[str, str]) -> tuple[Assignment, list[str]]:
        """What the study would have called a row, and what of that is assumed, in words, for the row leaves it out.

        Assumed is what is trained where a space says nothing; where the study does not offer that, nothing is.

        Args:
            cells: of the row, as `sweeps.imports.cells.apart` gives them.

        Raises:
            UnknownError: the study would not have tried it, or the row does not say enough.
        """
        reading = _Reading(cells)
        choices = {key: form for key, form in self._space.search.items() if isinstance(form, Choice)}
        reading.defaults = self._opening(
            {key: reading.categorical(key, form.labels) for key, form in choices.items() if reading.says(key)}
        )
        assignment = suggest(self._space, reading)
        if not reading.said - {"seed"}:
            raise UnknownError("it names nothing that the study searches")
        if forbidden(self._space, assignment):
            raise UnknownError("the study forbids it")
        trained = self._trained(self._space, assignment)
        assumed = {name: value for name, value in assignment.items() if name not in reading.said}
        self._check_assumed(assumed, trained, self._trained(left_open(self._space, reading.said), assignment))
        for name, value in trained.items():
            cell = cells.get(name, cells.get(short(name)))
            if cell is not None and name not in self._space.search and not same(cell, value, name):
                raise UnknownError(f"{short(name)} {cell} is not the study's {show(value)}")
        return assignment, [*reading.completed, *words(assumed)]

    def _opening(self, chosen: Assignment) -> Assignment:
        """What the study would try first of what has these choices."""
        key = digest(chosen)
        if key not in self._openings:
            forms = dict(self._space.search)
            for name, label in chosen.items():
                form = forms[name]
                assert isinstance(form, Choice)
                forms[name] = Choice((form.option(label),))
            self._openings[key] = opening(replace(self._space, search=forms), self._scale, self._n_train)
        return self._openings[key]

    def _check_assumed(self, assumed: Assignment, trained: Mapping[str, Scalar], usual: Mapping[str, Scalar]) -> None:
        """Checks that what is assumed is the default, and not the nearest thing that the study offers."""
        for name in assumed:
            default = usual.get(_fact(name))
            if trained.get(_fact(name)) != default:
                tells = "" if default is None else f", and the study does not try the default {show(default)}"
                raise UnknownError(f"it does not say {name}, which the study searches{tells}")

    def _trained(self, space: SearchSpace, assignment: Assignment) -> dict[str, Scalar]:
        return _facts(resolve(space, assignment, self._scale, self._n_train)[0])


def words(assignment: Assignment) -> list[str]:
    """An assignment as people read it, without the seed."""
    return [f"{short(name)} {show(value)}" for name, value in assignment.items() if name != "seed"]


def _facts(combination: Combination) -> dict[str, Scalar]:
    """What is trained, named as `results.ranking.tried.facts` does; MMDetection's own values where they are known."""
    own = {name: one.own for name, one in SETTINGS.items()}
    own |= {f"model.{name}": one.own for name, one in MODELS[combination.model.name].parameters.items()}
    found = {
        "model": combination.model.name,
        "backbone": combination.backbone.name,
        "augmentation": " + ".join(part.name for part in combination.augmentation) or "none",
        "optimizer": combination.optimizer.name,
        "schedule": combination.schedule.name if combination.schedule else "constant",
        **combination.settings,
        "train_share": share_of(combination),
        "image_size": show(image_size(combination)),
        **combination.flat_params(),
    }
    return {name: own.get(name) if value is None else value for name, value in found.items()}


def _fact(name: str) -> str:
    """How `_facts` call a parameter of a study: ``optimizer.SGD.lr`` is ``optimizer.lr``."""
    part, *inner = name.split(".")
    if part == "config":
        return name.removeprefix("config.")
    if part == "augmentation":
        return ".".join([part, *inner[-2:]])
    return "optimizer.lr" if name == "lr" else ".".join([part, *inner[-1:]])


class _Reading:
    """Answers the space's questions from a row, else from the defaults.

    Attributes:
        defaults: what the row leaves out.
        said: what it does not.
        completed: what it says in part, in words.
    """

    def __init__(self, cells: Mapping[str, str]) -> None:
        self._cells = cells
        self.defaults: Assignment = {}
        self.said: set[str] = set()
        self.completed: list[str] = []

    def says(self, name: str) -> bool:
        """Whether the row names it."""
        return self._cell(name) is not None

    def _cell(self, name: str) -> str | None:
        return self._cells.get(name, self._cells.get(name.rpartition(".")[2]))

    def categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        """The choice that the row names."""
        text = self._cell(name)
        if text is None:
            return self.defaults[name]
        self.said.add(name)
        found = [one for one in choices if same(text, one, name)]
        if not found and name == "augmentation":
            found = [one for one in choices if same(text, str(one).removeprefix(_FIRST), name)]
            self.completed = [f"{DEFAULT_AUGMENTATION} before its augmentation"]
        found = [one for one in found if plain(str(one)) == plain(text)] or found
        if not found:
            raise UnknownError(f"{name} {text} is none of what the study searches")
        if len(found) > 1:
            raise UnknownError(f"{name} {text} may be {' or '.join(map(show, found))}")
        return found[0]

    def float(self, name: str, low: float, high: float, log: bool, step: float | None) -> float:
        """The row's number."""
        text = self._cell(name)
        if text is None:
            default = self.defaults[name]
            assert isinstance(default, int | float)
            return float(default)
        self.said.add(name)
        try:
            number = float(text)
        except ValueError as error:
            raise UnknownError(f"{name} {text} is no number") from error
        within = low <= number <= high  # nan is not
        if not within or (step is not None and abs((number - low) / step - round((number - low) / step)) >= 1e-9):
            raise UnknownError(f"{name} {text} is outside of what the study searches")
        return number

    def int(self, name: str, low: int, high: int, log: bool, step: int) -> int:
        """The row's whole number."""
        number = self.float(name, low, high, log, step)
        if number != round(number):
            raise UnknownError(f"{name} {number:g} is no whole number")
        return round(number)
