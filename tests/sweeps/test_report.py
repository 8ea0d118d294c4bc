"""``sweep report``: each figure against a known answer, and the command."""

from __future__ import annotations

import itertools
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from made_up import Bench, run
from scipy import stats

from sweeps.cli import main
from sweeps.leases.coordinator import Coordinator
from sweeps.report.effects import effects, interactions, trend, values
from sweeps.report.importance import importance
from sweeps.report.points import Point

Captured = pytest.CaptureFixture[str]
GRID = """\
study: made_up
data: demo
scale: tiny
fixed: {epochs: 1}
search:
  model: [mask_rcnn, cascade_mask_rcnn, scnet]
  augmentation: [none, flip, all]
  batch_size: [1, 2]
"""
NESTED = """\
study: made_up
data: demo
scale: tiny
fixed: {epochs: 1}
search: {optimizer: {SGD: {lr: {float: [0.001, 0.1]}}, AdamW: {weight_decay: {float: [0.0, 0.1]}}}, batch_size: [1, 2]}
sampler: {kind: random}
budget: {trials: 120}
"""
PRUNED = """\
study: made_up
data: demo
scale: tiny
fixed: {epochs: 2}
search:
  optimizer: [SGD, Adagrad, Rprop]
  lr: [0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.007, 0.008]
pruner: {kind: median}
"""


def point(score: float, **chosen: object) -> Point:
    return Point(f"{score}", "", score, dict(chosen), dict(chosen), None, None)  # type: ignore[arg-type]


def grid(score: dict[tuple[str, str], float], spread: tuple[float, ...] = (0.0,)) -> list[Point]:
    return [point(mean + more, a=a, b=b) for (a, b), mean in score.items() for more in spread]


def test_effects_are_plain_means() -> None:
    found = effects([point(0.1, a="x"), point(0.3, a="x"), point(0.6, a="y"), point(0.5, b=1)])
    assert [(e.parameter, e.value, e.combinations, e.mean, e.best) for e in found] == [
        ("a", "y", 1, 0.6, 0.6), ("a", "x", 2, pytest.approx(0.2), 0.3),
    ]  # fmt: skip


def test_numbers_of_many_values_are_low_or_high() -> None:
    rows = [point(0.1, lr=10.0**-n, few=n % 3) for n in range(1, 9)]
    found = values(rows)
    assert sorted(set(map(str, found["few"]))) == ["0", "1", "2"]
    assert found["lr"] == ["above 5.5e-05"] * 4 + ["up to 5.5e-05"] * 4


def test_what_adds_up_is_no_interaction_and_what_only_crosses_is_all() -> None:
    names = list(itertools.product("xy", "uv"))
    adds = {("x", "u"): 0.1, ("x", "v"): 0.3, ("y", "u"): 0.2, ("y", "v"): 0.4}
    assert interactions(grid(adds))[0].share == pytest.approx(0.0, abs=1e-12)
    crosses = dict(zip(names, (0.1, 0.5, 0.5, 0.1), strict=True))
    found = interactions(grid(crosses))[0]
    assert found.share == pytest.approx(1.0) and found.cells == crosses
    assert found.p is None, "one combination a cell says nothing of the noise"


def test_a_balanced_table_by_hand() -> None:
    """Two by two, two each. Cell means 2, 4, 3, 9; grand mean 4.5. Sums of squares: interaction 2 * 4 * 1^2 = 8, within
    4 * 2 * 0.5^2 = 2, so F(1, 4) = 8 / 0.5 = 16; total 8 * 0 + 2 * (6.25 + 0.25 + 2.25 + 20.25) + 2 = 60."""
    rows = grid({("x", "u"): 2, ("x", "v"): 4, ("y", "u"): 3, ("y", "v"): 9}, (-0.5, 0.5))
    found = interactions(rows)[0]
    assert found.share == pytest.approx(8 / 60)
    assert found.p == pytest.approx(stats.f.sf(16, 1, 4))


def test_without_an_interaction_p_is_spread_evenly() -> None:
    rng = np.random.default_rng(5)
    adds = {(a, b): float(i + 2 * j) for i, a in enumerate("xyz") for j, b in enumerate("uv")}
    chances = []
    for _ in range(300):
        rows = [point(mean + rng.standard_normal(), a=a, b=b) for (a, b), mean in adds.items() for _ in range(3)]
        chances.append(interactions(rows)[0].p)
    assert stats.kstest(chances, "uniform").pvalue > 0.01
    assert np.mean(np.array(chances) < 0.05) < 0.09


def test_cells_may_be_empty_and_unequal() -> None:
    rows = grid({("x", "u"): 0.1, ("x", "v"): 0.2, ("y", "u"): 0.3}, (0.0, 0.01))
    assert interactions([*rows, point(0.12, a="x", b="u")])[0].share == pytest.approx(0.0, abs=1e-12)


def test_a_trend_is_spearmans() -> None:
    pairs = [(1.0, 0.1), (2.0, 0.4), (3.0, 0.3), (4.0, 0.9), (5.0, 0.2)]
    found = trend("size", pairs)
    assert found and found.correlation == pytest.approx(stats.spearmanr(*zip(*pairs, strict=True)).statistic)
    assert trend("size", pairs[:3]) is None and trend("size", [(1.0, y) for _, y in pairs]) is None


def test_the_choice_that_decides_is_the_important_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeps.report.importance._SHUFFLES", 40)
    space = Bench(tmp_path, NESTED).space()
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(120):
        optimizer = str(rng.choice(["SGD", "AdamW"]))
        chosen: dict[str, object] = {"optimizer": optimizer, "batch_size": int(rng.integers(1, 3))}
        inner = "optimizer.SGD.lr" if optimizer == "SGD" else "optimizer.AdamW.weight_decay"
        chosen[inner] = float(rng.uniform(0.001, 0.1))
        score = 0.5 - abs(float(str(chosen.get("optimizer.SGD.lr", 9))) - 0.03)  # SGD near 0.03; nothing else matters
        rows.append(point(score if optimizer == "SGD" else 0.1 + 0.001 * rng.uniform(), **chosen))
    found, best = importance(space, rows)
    assert best == 12 and sum(one.share for one in found) == pytest.approx(1.0)
    assert {one.parameter for one in found[:2]} == {"optimizer.SGD.lr", "optimizer"}
    by_name = {one.parameter: one for one in found}
    assert by_name["optimizer"].p == by_name["optimizer.SGD.lr"].p == pytest.approx(1 / 41)
    assert by_name["batch_size"].share < 0.1 and by_name["batch_size"].p > 0.05
    assert importance(space, rows[:9]) == ([], 0), "with nine combinations nothing is said"


def test_where_nothing_matters_p_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of such studies a share is called more than chance (p < 0.05) one time in twenty: 30 studies, three choices."""
    monkeypatch.setattr("sweeps.report.importance._SHUFFLES", 20)
    space = Bench(tmp_path, GRID).space()
    rng = np.random.default_rng(2)
    chances = []
    for _ in range(30):
        chosen = itertools.product(("mask_rcnn", "cascade_mask_rcnn", "scnet"), ("none", "flip", "all"), (1, 2))
        rows = [point(float(rng.standard_normal()), model=m, augmentation=a, batch_size=b) for m, a, b in chosen]
        chances += [one.p for one in importance(space, rows)[0]]
    assert np.mean(np.array(chances) < 0.05) <= 0.07


# the command


@pytest.fixture
def tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eighteen combinations: the model decides; what is seen as strong augmentation harms a little."""
    bench = Bench(tmp_path, GRID)
    with bench.study() as study:
        run(Coordinator(study), lambda trial, epoch: 0.5 - trial // 6 / 10 - trial // 2 % 3 / 100 + trial % 2 / 1000)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    return tmp_path


def test_as_data(tried: Path, capsys: Captured) -> None:
    assert main(["report", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["importance"][0]["parameter"] == "model" and found["importance"][0]["p"] < 0.05
    assert found["combinations"] == 18
    first = found["effects"][0]
    assert (first["parameter"], first["value"], first["combinations"]) == ("model", "mask_rcnn", 6)
    assert first["mean"] == pytest.approx(0.4905)
    assert len(found["interactions"]) == 3 and all(one["share"] < 1e-9 for one in found["interactions"])
    strength = next(one for one in found["trends"] if one["quantity"].startswith("strength"))
    assert strength["correlation"] < 0 and strength["combinations"] == 18


class _Pictures(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.count, self.text = 0, ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.count += tag == "svg"

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_has_tables_and_pictures_and_needs_no_other_file(tried: Path, capsys: Captured) -> None:
    assert main(["report", "--out", "report.html"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "report.html"
    assert "score against strength of the augmentations: rank correlation" in out
    text = (tried / "report.html").read_text(encoding="utf-8")
    page = _Pictures()
    page.feed(text)
    assert page.count >= 4 and "Score against strength of the augmentations" in page.text
    assert "src=" not in text and "@import" not in text


def test_few_combinations_are_no_ground_for_importance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    bench = Bench(tmp_path)
    with bench.study() as study:
        study.store.touch_study("made_up", state="finished")
    monkeypatch.chdir(tmp_path)
    assert main(["report"]) == 1
    assert "no trial of study made_up is complete yet" in capsys.readouterr().err
    with bench.study() as study:
        run(Coordinator(study))
    assert main(["report", "--out", "few.html"]) == 0
    assert "4 combinations are too few to say which choice matters: 10 are needed" in capsys.readouterr().out
    assert "Which choice matters" not in (tmp_path / "few.html").read_text()


def test_a_page_that_cannot_be_written_is_one_line(tried: Path, capsys: Captured) -> None:
    assert main(["report", "--out", "nowhere/report.html"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_what_the_pruner_stopped_stands_beside_the_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """Of Adagrad's eight one is left, the lucky one, and of Rprop's none."""
    scores = [0.53] * 8 + [0.3] * 7 + [0.55] + [0.2] * 8
    bench = Bench(tmp_path, PRUNED)
    with bench.study() as study:
        run(Coordinator(study), lambda trial, epoch: scores[trial])
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    assert main(["report", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    rows = [row for row in found["effects"] if row["parameter"] == "optimizer"]
    assert [(row["value"], row["combinations"], row["stopped"]) for row in rows] == [
        ("Adagrad", 1, 7), ("SGD", 8, 0), ("Rprop", 0, 8),
    ]  # fmt: skip
    assert (rows[0]["mean"], rows[2]["mean"], rows[2]["best"]) == (pytest.approx(0.55), None, None)
    assert (found["combinations"], found["stopped"]) == (9, 15)
    assert main(["report", "--out", "report.html"]) == 0
    out = capsys.readouterr().out
    note = "of combinations with a complete trial only: the pruner stopped 15 more, each for a worse score"
    page = _Pictures()
    page.feed((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert note in out and note in page.text
    rprop = next(line for line in out.splitlines() if "Rprop" in line)
    assert rprop.split() == ["0", "8", "-", "-", "optimizer", "Rprop"]
    assert "optimizerRprop08--" in page.text


def test_a_number_is_parted_at_the_median_of_what_is_complete() -> None:
    complete = [point(0.1 * n, lr=float(n)) for n in range(1, 8)]
    found = effects(complete, [{"lr": 100.0}, {"lr": 200.0}, {"lr": 1.5}])
    assert [(e.value, e.combinations, e.stopped) for e in found] == [("above 4", 3, 2), ("up to 4", 4, 1)]
