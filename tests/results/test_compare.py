"""Two combinations against each other: signs, breakdown, images, and what may be said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from evidence import packed, training

from results.errors import ResultsError
from results.ranking.compare import compare
from results.records import StudyRecord, TrialRecord
from results.statistics.perimage import Evidence
from results.tables.comparisons import show

TrialMaker = Callable[..., TrialRecord]


def worse_on(evidence: Evidence, image: int) -> Evidence:
    """The same, but nothing is matched on one image."""
    of = np.repeat(np.arange(len(evidence.images)), evidence.found[0])
    return replace(evidence, matched=evidence.matched & (of != image))


class Desk:
    def __init__(self, study: StudyRecord, make: TrialMaker, runs: dict[str, list[Evidence]]) -> None:
        self.study, self.trials, self.blobs = study, [], dict[int, bytes]()
        for name, evidence in runs.items():
            for seed, one in enumerate(evidence):
                number = len(self.trials)
                self.trials.append(make(number, one.figure("segm_mAP"), combination=name, seed=seed))
                self.blobs[number] = packed(one)

    def compare(self, a: str, b: str, **options: Any) -> Any:
        return compare(self.study, self.trials, lambda ns: {n: self.blobs[n] for n in ns}, (a, b), **options)


def test_the_better_one_beats_the_other_both_ways_round(study: StudyRecord, trial_of: TrialMaker) -> None:
    runs = {
        "aaaaaaaa": [training(seed, 0.40) for seed in range(3)],
        "bbbbbbbb": [training(seed, 0.10) for seed in range(10, 13)],
    }
    desk = Desk(study, trial_of, runs)
    found, turned = desk.compare("aaaaaaaa", "bbbbbbbb"), desk.compare("BBBBBBBB", "aaaaaaaa")
    assert found.difference == pytest.approx(-turned.difference) and found.difference > 0.05
    assert (found.low, found.high) == (pytest.approx(-turned.high), pytest.approx(-turned.low))
    assert found.probability > 0.99 and found.probability == pytest.approx(1 - turned.probability)
    assert found.verdict.startswith("A beats B") and turned.verdict.startswith("B beats A")
    assert (found.a.seeds, found.images, len(found.moved)) == (3, 50, 50)


def test_the_image_that_makes_the_difference_comes_first(study: StudyRecord, trial_of: TrialMaker) -> None:
    """B is A, blind on image 17: every bit of the difference is there."""
    one = training(0)
    desk = Desk(study, trial_of, {"aaaaaaaa": [one], "bbbbbbbb": [worse_on(one, 17)]})
    found = desk.compare("0", "1")
    first, second = found.moved[:2]
    assert (first.id, first.b) == (17, 0.0) and first.a > 0.2
    assert first.moves == pytest.approx(found.difference, rel=0.01)
    assert abs(second.moves) < 0.25 * first.moves
    without = np.arange(50) != 17
    assert found.moved[1].a == pytest.approx(one.figure("segm_mAP", np.arange(50) == found.moved[1].id))
    assert found.moved[0].moves == pytest.approx(found.difference - 0.0, abs=1e-12)
    assert one.figure("segm_mAP", without) == worse_on(one, 17).figure("segm_mAP", without)


def test_one_seed_each_wins_nothing(study: StudyRecord, trial_of: TrialMaker) -> None:
    desk = Desk(study, trial_of, {"aaaaaaaa": [training(0, 0.5)], "bbbbbbbb": [training(1, 0.0)]})
    found = desk.compare("0", "1")
    assert found.low > 0 and "beats" not in found.verdict and "one seed each" in found.verdict
    assert found.document()["covers"] == "images"
    given = desk.compare("0", "1", seed_noise=0.01)
    assert given.verdict.startswith("A beats B") and given.high - given.low > found.high - found.low


def test_a_number_names_the_combination_with_all_its_seeds(study: StudyRecord, trial_of: TrialMaker) -> None:
    desk = Desk(
        study, trial_of, {"aaaaaaaa": [training(s, 0.3) for s in (0, 1)], "bbbbbbbb": [training(2), training(3)]}
    )
    assert desk.compare("1", "2") == desk.compare("aaaaaaaa", "bbbbbbbb")
    alone = desk.compare("1", "2", runs=True)
    assert (alone.a.trials, alone.b.trials, alone.a.seeds) == ((1,), (2,), 1)
    seeds = desk.compare("0", "1")
    assert (seeds.a.trials, seeds.b.trials) == ((0,), (1,)), "two seeds of one combination"


@pytest.mark.parametrize(("a", "b"), [("0", "0"), ("aaaaaaaa", "AAAAAAAA"), ("aaaaaaaa", "1"), ("1", "aaaaaaaa")])
def test_nothing_is_compared_with_itself_or_its_own_trial(
    study: StudyRecord, trial_of: TrialMaker, a: str, b: str
) -> None:
    desk = Desk(study, trial_of, {"aaaaaaaa": [training(0), training(1)]})
    with pytest.raises(ResultsError) as error:
        desk.compare(a, b)
    assert str(error.value) == f"{a} and {b} share a training; name two combinations, or two trials of one"


def test_sizes_are_compared_where_the_evidence_has_them(study: StudyRecord, trial_of: TrialMaker) -> None:
    def by_size(one: Evidence) -> Evidence:
        """Even images have small objects only, odd ones large."""
        even = np.arange(50) % 2 == 0
        of = np.repeat(np.arange(50), one.found[0]) % 2 == 0
        truths = np.concatenate([one.truths, one.truths * even, one.truths * ~even], axis=1)
        ignored = np.concatenate([one.ignored, one.ignored | ~of, one.ignored | of])
        matched = np.concatenate([one.matched, one.matched & of, one.matched & ~of])
        return replace(one, sizes=("all", "small", "large"), truths=truths, ignored=ignored, matched=matched)

    desk = Desk(study, trial_of, {"aaaaaaaa": [by_size(training(0, 0.3))], "bbbbbbbb": [by_size(training(1))]})
    parts = desk.compare("0", "1").parts
    assert [part.name for part in parts] == ["segm_mAP_s", "segm_mAP_l"]
    for part in parts:
        assert part.low < part.a - part.b < part.high
    assert parts[0].a == by_size(training(0, 0.3)).figure("segm_mAP_s")


def test_what_cannot_be_compared(study: StudyRecord, trial_of: TrialMaker) -> None:
    desk = Desk(study, trial_of, {"aaaaaaaa": [training(0)], "bbbbbbbb": [training(1)]})
    desk.trials.append(trial_of(2, None, state="failed", combination="cccccccc"))
    desk.trials.append(trial_of(3, 0.5, combination="dddddddd"))
    for name, line in {
        "nonsense": "there is no trial and no combination nonsense; sweep rank --format json lists both",
        "9": "there is no trial and no combination 9; sweep rank --format json lists both",
        "2": "trial 2 is failed: only complete ones can be compared",
    }.items():
        with pytest.raises(ResultsError) as error:
            desk.compare("0", name)
        assert str(error.value) == line
    with pytest.raises(ResultsError, match="trial 3 kept nothing of its images"):
        compare(study, desk.trials, lambda ns: {0: desk.blobs[0]}, ("0", "3"))
    desk.blobs[1] = b"broken"
    with pytest.raises(ResultsError, match="trial 1 has no interval: a trial's evidence is damaged"):
        desk.compare("0", "1")


def test_the_text(study: StudyRecord, trial_of: TrialMaker) -> None:
    one = training(0)
    desk = Desk(study, trial_of, {"aaaaaaaa": [one, training(5)], "bbbbbbbb": [worse_on(one, 17), training(6)]})
    text = show(desk.compare("aaaaaaaa", "bbbbbbbb"), ("flip", "none\x1b[31m"), {17: "bubbles.png"})
    lines = text.splitlines()
    assert lines[0].endswith("(combination aaaaaaaa, 2 seeds, trials 0, 1): flip")
    assert "\x1b" not in text and "over 50 images and seeds (noise between seeds 0." in text
    speak = lines.index("images that speak most for A: on it alone A, B; what it adds to A - B")
    assert lines[speak + 1].split()[0] == "bubbles.png"
