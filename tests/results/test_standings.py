"""Combinations by their mean: what is merged, what gets an interval, what is told apart."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from evidence import packed, training

from results.ranking.merged import merged
from results.ranking.ranking import rank
from results.ranking.standings import MOST, Standing, judge, stand
from results.records import StudyRecord, TrialRecord
from results.tables.tables import render

TrialMaker = Callable[..., TrialRecord]
QUALITY = {"mask_rcnn": 0.10, "solov2": 0.105, "htc": 0.40}


class Trained:
    """Trials of made-up trainings, and what they keep of their images."""

    def __init__(self, make: TrialMaker) -> None:
        self.make = make
        self.trials: list[TrialRecord] = []
        self.blobs: dict[int, bytes] = {}

    def add(self, model: str, seeds: int, **options: Any) -> Trained:
        for seed in range(seeds):
            number = len(self.trials)
            evidence = training(100 * len(model) + seed, QUALITY[model] + 0.02 * (seed - 1), **options)
            score = evidence.figure("segm_mAP")
            digest = f"{len(model):08x}"
            self.trials.append(self.make(number, score, model=model, seed=seed, combination=digest))
            self.blobs[number] = packed(evidence)
        return self

    def kept(self, numbers: Sequence[int]) -> Mapping[int, bytes]:
        return {number: self.blobs[number] for number in numbers if number in self.blobs}


@pytest.fixture
def trained(trial_of: TrialMaker) -> Trained:
    return Trained(trial_of)


def test_means_and_shared_ranks(trial_of: TrialMaker) -> None:
    trials = [
        trial_of(0, 0.30, combination="a", seed=0), trial_of(1, 0.50, combination="a", seed=1),
        trial_of(2, 0.40, combination="b"), trial_of(3, 0.90, combination="c", state="pruned"),
        trial_of(4, None, combination="d"), trial_of(5, 0.10, combination="e"),
    ]  # fmt: skip
    found = stand(trials)
    assert [(one.combination, one.rank, one.seeds, one.trials) for one in found.standings] == [
        ("a", 1, 2, (0, 1)), ("b", 1, 1, (2,)), ("e", 3, 1, (5,)),
    ]  # fmt: skip
    assert found.standings[0].mean == pytest.approx(0.40)
    assert found.standings[0].deviation == pytest.approx(0.02**0.5)
    assert found.standings[1].deviation is None and found.repeated


def test_what_is_plainly_better_is_told_apart(study: StudyRecord, trained: Trained) -> None:
    trained.add("mask_rcnn", 3).add("solov2", 3).add("htc", 3)
    found = judge(study, trained.trials, trained.kept)
    best, second, third = found.standings
    assert (best.group, second.group, third.group) == ((1, 1), (2, 3), (2, 3))
    assert set(best.beats) == {second.combination, third.combination} and not second.beats
    assert best.covers == "images and seeds" and (found.images, found.freedom) == (50, 6)
    assert all(one.interval and one.interval[0] < one.mean < one.interval[1] for one in found.standings)
    assert found.noise == pytest.approx(0.007, abs=0.004)


def test_one_seed_each_names_no_winner(study: StudyRecord, trained: Trained) -> None:
    trained.add("mask_rcnn", 1).add("htc", 1)
    found = judge(study, trained.trials, trained.kept)
    assert [(one.covers, one.group, one.beats) for one in found.standings] == [("images", None, ())] * 2
    text = render(rank(study, trained.trials, standings=found), "table", 160)
    assert "no combination was trained with two seeds, so nothing is told apart" in text
    assert "place" not in text.splitlines()[0]


def test_a_noise_that_is_known_lets_one_seed_speak(study: StudyRecord, trained: Trained) -> None:
    trained.add("mask_rcnn", 1).add("htc", 1)
    found = judge(study, trained.trials, trained.kept, seed_noise=0.01)
    assert [one.group for one in found.standings] == [(1, 1), (2, 2)]
    assert "standard deviation between seeds 0.0100, as given" in render(
        rank(study, trained.trials, standings=found), "table", 160
    )
    assert judge(study, trained.trials, trained.kept, seed_noise=0.2).standings[0].group == (1, 2)


def test_one_seed_borrows_the_noise_of_the_others(study: StudyRecord, trained: Trained) -> None:
    trained.add("mask_rcnn", 3).add("solov2", 3).add("htc", 1)
    best = judge(study, trained.trials, trained.kept).standings[0]
    assert (best.seeds, best.covers, best.group) == (1, "images and seeds", (1, 1))


def test_trials_that_kept_nothing_are_ranked_without_interval(study: StudyRecord, trained: Trained) -> None:
    trained.add("mask_rcnn", 2).add("solov2", 2)
    del trained.blobs[3]
    found = judge(study, trained.trials, trained.kept)
    with_it = next(one for one in found.standings if one.trials == (0, 1))
    without = next(one for one in found.standings if one.trials == (2, 3))
    assert with_it.interval and without.interval is None and without.group is None
    assert found.notes == ("1 of 2 combinations were not compared",)
    assert judge(study, trained.trials, lambda numbers: {}) == stand(trained.trials)


def test_evidence_of_another_score_or_other_images_is_not_used(study: StudyRecord, trained: Trained) -> None:
    trained.add("mask_rcnn", 2).add("solov2", 1).add("htc", 1, shown=1)
    trained.blobs[0] = b"broken"
    trained.trials[2] = replace(trained.trials[2], score=0.123)
    trained.blobs[3] = packed(replace(training(300, 0.38, shown=1), images=training(0).images + 7))
    trained.trials[3] = replace(trained.trials[3], score=training(300, 0.38, shown=1).figure("segm_mAP"))
    found = judge(study, trained.trials, trained.kept)
    assert [note.split(":")[0] for note in found.notes[:3]] == [f"trial {n} has no interval" for n in (0, 2, 3)]
    assert "damaged" in found.notes[0] and "another score" in found.notes[1] and "other images" in found.notes[2]
    assert not any(one.interval for one in found.standings)


WIDE = """\
#  trial  owner  tried        mean      +/-  seeds           95 %  place    AP50    AP75  epochs  time
"""


def test_the_table_has_a_line_for_each_combination(study: StudyRecord, trained: Trained) -> None:
    trained.add("mask_rcnn", 3).add("solov2", 3).add("htc", 3)
    ranking = rank(study, trained.trials, standings=judge(study, trained.trials, trained.kept))
    lines = render(ranking, "table", 120).splitlines()
    assert lines[0].split() == WIDE.split()
    cells = [line.split() for line in lines[1:4]]
    assert [(row[0], row[3], row[6]) for row in cells] == [
        ("1", "htc", "3"),
        ("2", cells[1][3], "3"),
        ("3", cells[2][3], "3"),
    ]
    assert [row[8] for row in cells] == ["1", "2-3", "2-3"]
    means = {one.combination: one.mean for one in stand(trained.trials).standings}
    assert cells[0][4] == f"{means['00000003']:.10f}"
    assert next(row for row in cells if row[3] == "mask_rcnn")[5] == "+0.0000", "the baseline's own mean"
    assert "a line is a combination with the means over its seeds" in "\n".join(lines)
    assert "<td>2-3</td>" in render(ranking, "html")
    assert "| 2-3 |" in re.sub(" +", " ", render(ranking, "markdown"))


def test_every_training_keeps_its_line_if_asked(study: StudyRecord, trained: Trained) -> None:
    trained.add("mask_rcnn", 2).add("htc", 2)
    ranking = rank(study, trained.trials)
    merged, every = (render(one, "table", 120).splitlines() for one in (ranking, replace(ranking, runs=True)))
    lines = [next(n for n, line in enumerate(text) if line.startswith("models:")) - 1 for text in (merged, every)]
    assert lines == [2, 4]
    assert any("htc, seed 1" in line for line in every) and not any("seed 1" in line for line in merged)


def test_json_and_csv_keep_a_row_a_trial(study: StudyRecord, trained: Trained) -> None:
    trained.add("mask_rcnn", 2).add("htc", 2)
    ranking = rank(study, trained.trials, standings=judge(study, trained.trials, trained.kept))
    document = json.loads(render(ranking, "json"))
    assert len(document["rows"]) == 4
    first = document["rows"][0]
    best = document["combinations"][0]
    assert first["mean"] == best["mean"] and first["seeds"] == best["seeds"] == 2
    assert first["interval"] == best["interval"] and first["group"] == best["group"]
    assert set(best) == {
        "combination", "rank", "mean", "seeds", "deviation", "interval", "covers", "group", "beats", "trials",
    }  # fmt: skip
    assert document["confidence"]["images"] == 50 and document["confidence"]["level"] == 0.95
    assert len(list(csv.DictReader(io.StringIO(render(ranking, "csv"))))) == 4


def test_by_a_part_the_best_mean_counts_not_the_luckiest_seed(study: StudyRecord, trial_of: TrialMaker) -> None:
    trials = [
        trial_of(0, 0.50, model="mask_rcnn", combination="a", seed=0, lr=0.1),
        trial_of(1, 0.52, model="mask_rcnn", combination="a", seed=1, lr=0.1),
        trial_of(2, 0.60, model="mask_rcnn", combination="b", seed=0, lr=0.2),
        trial_of(3, 0.30, model="mask_rcnn", combination="b", seed=1, lr=0.2),
        trial_of(4, 0.40, model="htc", combination="c", seed=0),
    ]
    ranking = rank(study, trials, by="model")
    assert [row.trial for row in ranking.rows] == [1, 4]
    text = render(ranking, "table", 120)
    assert "0.5100000000" in text and "0.6" not in text.splitlines()[1]


def test_ranking_walks_over_the_combinations_a_few_times_not_once_a_trial(
    study: StudyRecord, trial_of: TrialMaker
) -> None:
    walks: list[int] = []

    class Watched(tuple[Standing, ...]):
        def __iter__(self) -> Iterator[Standing]:
            walks.append(len(self))
            return super().__iter__()

    trials = [trial_of(n, n / 100, combination=str(n // 2), seed=n % 2) for n in range(100)]
    known = stand(trials)
    ranking = rank(study, trials, standings=replace(known, standings=Watched(known.standings)))
    assert [row.seeds for row in merged(ranking).rows] == [2] * 50
    assert len(walks) < 10


def test_only_the_best_are_compared(study: StudyRecord, trial_of: TrialMaker) -> None:
    asked: list[int] = []

    def kept(numbers: Sequence[int]) -> Mapping[int, bytes]:
        asked.extend(numbers)
        return {}

    judge(study, [trial_of(n, n / 100, combination=str(n)) for n in range(MOST + 5)], kept)
    assert asked == list(range(MOST + 4, 4, -1))
