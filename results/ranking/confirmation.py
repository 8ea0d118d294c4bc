"""The best of a ranking trained with further seeds, then scored on images that nobody has seen.

The first of many by score is partly first by luck: its score promises too much ("optimizer's curse", Smith & Winkler
2006, Management Science 52:311; Cawley & Talbot 2010, JMLR 11:2079, on selection by a validation set). Its luck has two
parts. New seeds show that of its seeds, since nobody picked them. Images that no trial and no choice ever saw show that
of the validation images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any

from results.errors import ResultsError
from results.ranking.heldout import Contender, Outcome, compared, seed_noise
from results.ranking.standings import Standing, stand
from results.records import FINAL, HeldRecord, TrialRecord
from results.text import clean


@dataclass(frozen=True)
class Entry:
    """A combination that is confirmed.

    Attributes:
        trials: its complete trials when it was chosen.
        promised: their mean.
        seeds: what it is trained with besides.
        chosen: whether it is one of the best; else it is there as the baseline.
    """

    combination: str
    trials: tuple[int, ...]
    promised: float
    seeds: tuple[int, ...]
    chosen: bool

    def fresh(self, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
        """Its complete trials that had no part in the choice, by number."""
        found = [one for one in _complete(trials) if one.combination == self.combination]
        return [one for one in found if one.number not in self.trials]


@dataclass(frozen=True)
class Order:
    """Which combinations get which seeds; kept with the study, so that an interrupted confirmation goes on with it.

    Attributes:
        top: how many of the ranking.
        seeds: further ones for each.
        latest: number of the study's last trial then.
        baseline: combination of the first complete trial.
        entries: by rank, the baseline last if it is not among them; then those of earlier orders, without seeds.
        complete: numbers of the trials that were complete then.
        only: combinations that were named instead of the `top` ones.
        search_on: whether the study's search goes on once the seeds have ended, as on a team's server.
    """

    top: int
    seeds: int
    latest: int
    baseline: str
    entries: tuple[Entry, ...]
    complete: tuple[int, ...]
    only: tuple[str, ...] = ()
    search_on: bool = False

    def entry(self, combination: str) -> Entry:
        """The entry of a combination."""
        return next(one for one in self.entries if one.combination == combination)

    def document(self) -> dict[str, Any]:
        """As the store keeps it."""
        return asdict(self)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Order:
        """What `document` wrote."""
        entries = tuple(
            Entry(**{**one, "trials": tuple(one["trials"]), "seeds": tuple(one["seeds"])})
            for one in document["entries"]
        )
        more = {key: tuple(document.get(key, ())) for key in ("complete", "only")}
        return cls(**{**document, **more, "entries": entries})


def _complete(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    return sorted((one for one in trials if one.state == "complete" and one.score is not None), key=lambda t: t.number)


def order(
    trials: Sequence[TrialRecord],
    top: int,
    seeds: int,
    before: Order | None = None,
    highest: int = -1,
    only: Sequence[str] = (),
) -> Order:
    """What a confirmation trains.

    Args:
        trials: all of the study.
        top: how many of the ranking.
        seeds: further ones for each of them, and for the baseline.
        highest: seed that the space itself may still propose; further ones are above it.
        before: the last order. It stands as long as nothing else is asked and nothing else was tried; a combination
            that was in it keeps what it had promised then, and seeds that were not part of the choice count.
        only: combinations that are named instead of the `top` ones: the best, a baseline, or both in this order.

    Raises:
        ResultsError: no trial is complete.
    """
    standings = stand(trials).standings
    if not standings:
        raise ResultsError("no trial is complete yet, so there is nothing to confirm; see: sweep status")
    if before and (before.top, before.seeds) == (top, seeds) and not _news(trials, before):
        named = _named([one for one in trials if one.number in before.complete], top, only)
        names = [one.combination for one in before.entries]
        asked = set(named) <= set(names) if only else named == names[: len(named)]
        if asked and all(one.seeds or len(one.fresh(trials)) >= seeds for one in map(before.entry, named)):
            return before
    named = _named(trials, top, only)
    baseline = only[-1] if only else _complete(trials)[0].combination
    known = {one.combination: one for one in before.entries} if before else {}
    chosen = {standings[0].combination, *(one for one, entry in known.items() if entry.chosen)} if only else named[:top]
    by_name = {one.combination: one for one in standings}
    entries = []
    for name in named:
        had = known.get(name)
        first = had.trials if had else by_name[name].trials
        promised = had.promised if had else by_name[name].mean
        fresh = len(by_name[name].trials) - len(first)
        used = max([highest, *(one.seed for one in trials if one.combination == name)])
        further = tuple(range(used + 1, used + 1 + max(0, seeds - fresh)))
        entries.append(Entry(name, first, promised, further, name in chosen))
    # what was confirmed before has not become a matter of luck again
    entries += [replace(one, seeds=()) for one in known.values() if one.combination not in named]
    complete = tuple(one.number for one in _complete(trials))
    return Order(top, seeds, max(one.number for one in trials), baseline, tuple(entries), complete, tuple(only))


def _named(trials: Sequence[TrialRecord], top: int, only: Sequence[str]) -> list[str]:
    """The combinations that an order is about, those that were chosen first."""
    first = [one.combination for one in stand(trials).standings[:top]]
    return list(dict.fromkeys(only or [*first, *(one.combination for one in _complete(trials)[:1])]))


def _news(trials: Sequence[TrialRecord], before: Order) -> bool:
    """Whether anything but the order's own was tried since, or came to its end."""
    ours = {one.combination for one in before.entries}
    others = [one for one in trials if one.combination not in ours]
    return any(one.number > before.latest for one in others) or any(
        one.number not in before.complete for one in _complete(others)
    )


def owed(order: Order, trials: Sequence[TrialRecord]) -> list[tuple[TrialRecord, int]]:
    """What is still to be trained: (a trial of the combination, seed); the first seed of each before the second."""
    had = {(one.combination, one.seed) for one in trials}
    first = {one.number: one for one in trials}
    rounds = max((len(entry.seeds) for entry in order.entries), default=0)
    return [
        (first[entry.trials[0]], entry.seeds[turn])
        for turn in range(rounds)
        for entry in order.entries
        if turn < len(entry.seeds) and (entry.combination, entry.seeds[turn]) not in had
    ]


def settled(order: Order, trials: Sequence[TrialRecord]) -> bool:
    """Whether all seeds of an order have been trained, or have failed."""
    seeds = {(entry.combination, seed) for entry in order.entries for seed in entry.seeds}
    ended = all(one.state in FINAL for one in trials if (one.combination, one.seed) in seeds)
    return ended and not owed(order, trials)


def winner(order: Order, trials: Sequence[TrialRecord]) -> Standing:
    """Of the combinations that were chosen, the one with the best mean over all its seeds."""
    return _confirmed(order, trials)[0]


def _confirmed(order: Order, trials: Sequence[TrialRecord]) -> list[Standing]:
    """The combinations that were chosen, by their mean over all seeds."""
    chosen = {one.combination for one in order.entries if one.chosen}
    return [one for one in stand(trials).standings if one.combination in chosen]


def leader(trials: Sequence[TrialRecord], confirmation: Mapping[str, Any] | None = None) -> Standing | None:
    """Which combination is named the best: the first by mean, None where none has a complete trial.

    Where some were confirmed, and nothing else was tried since, the best of those: who got no further seeds has not
    lost its luck yet.

    Args:
        trials: all of the study.
        confirmation: the study's last order, as the store keeps it.
    """
    return confirmed(trials, confirmation) or next(iter(stand(trials).standings), None)


def pick(
    trials: Sequence[TrialRecord],
    trial: int | None = None,
    confirmation: Mapping[str, Any] | None = None,
    best: Standing | None = None,
) -> list[TrialRecord]:
    """The seeds of the combination with the best mean, by score (of equals the first), or the trial of that number.

    Args:
        trials: all trials of a study.
        trial: a number; None picks the best.
        confirmation: the study's last, after which the best is one that was confirmed (`leader`).
        best: the best, where a campaign has decided which one that is.

    Raises:
        ResultsError: no trial is complete, or the named one does not exist or is not complete.
    """
    if trial is None:
        best = best or leader(trials, confirmation)
        if best is None:
            raise ResultsError(f"no trial is complete yet{_states(trials)}; see: sweep status")
        winners = [one for one in trials if one.number in best.trials]
        return sorted(winners, key=lambda one: (-(one.score or 0.0), one.number))
    found = next((one for one in trials if one.number == trial), None)
    if found is None:
        numbers = f"; there are 0 to {max(one.number for one in trials)}" if trials else "; there is none yet"
        raise ResultsError(f"there is no trial {trial}{numbers}")
    if found.state != "complete":
        why = f" ({clean(found.reason)})" if found.reason else ""
        see = f"sweep rank --all --study {found.study}"
        raise ResultsError(f"trial {trial} is {found.state}, not complete{why}; see: {see}")
    return [found]


def confirmed(trials: Sequence[TrialRecord], confirmation: Mapping[str, Any] | None) -> Standing | None:
    """The best of those that were confirmed; None where none was, or something else was tried since.

    Arguments as for `leader`.
    """
    ordered = Order.read(confirmation) if confirmation else None
    if ordered is None or _news(trials, ordered):
        return None
    return next(iter(_confirmed(ordered, trials)), None)


def judges(entry: Entry, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials of a combination that are scored on the held-out images: those that had no part in the choice."""
    return entry.fresh(trials) or [one for one in trials if one.number in entry.trials]


def outcome(
    objective: str,
    order: Order,
    best: Standing,
    trials: Sequence[TrialRecord],
    held: Mapping[int, HeldRecord],
) -> Outcome:
    """The winner and the baseline on the held-out images (`results.ranking.heldout`).

    With one seed of each the noise between seeds is the one of the validation scores, if that is known.

    Args:
        objective: the figure that counts.
        order: what was confirmed.
        best: its winner.
        trials: all of the study.
        held: scores on the held-out images by trial, with evidence; of `judges`, as far as there are any.

    Raises:
        ResultsError: one of the two has no score there, or a score lacks its evidence.
    """
    names = list(dict.fromkeys([best.combination, order.baseline]))
    entries = [order.entry(name) for name in names]
    sides = [contender(entry, trials, judges(entry, trials), held) for entry in entries]
    for side in (side for side in sides if not side.trials):
        raise ResultsError(
            f"no checkpoint of combination {side.combination} is left to be scored on the held-out images; train one "
            f"more with: sweep confirm --top {order.top} --seeds {order.seeds + 1}"
        )
    looks = len({one.combination for one in trials if one.number in held})
    return compared(objective, sides[0], sides[-1], looks, lambda: seed_noise([(trials, stand(trials).standings)]))


def contender(
    entry: Entry, trials: Sequence[TrialRecord], looked_at: Sequence[TrialRecord], held: Mapping[int, HeldRecord]
) -> Contender:
    """A combination by those of the trials looked at that have a score on the held-out images."""
    fresh = [one.score for one in entry.fresh(trials) if one.score is not None]
    scored = {one.number: held[one.number] for one in looked_at if one.number in held}
    return Contender(entry.combination, entry.promised, fmean(fresh) if fresh else None, scored)


def _states(trials: Sequence[TrialRecord]) -> str:
    counts = Counter(trial.state for trial in trials)
    words = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    return f" ({words})" if words else ""
