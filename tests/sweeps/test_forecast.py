"""Hours foretold: known factors are found again, what was never measured is named, and the error is what it is."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from desk import NUCLEI, Desk
from made_up import ASK, Bench, data, result

from results.records import TrialRecord
from runner.errors import UserError
from runner.protocol import EpochReport
from runner.training.timing import Answer
from sweeps.campaign.document import read_campaign
from sweeps.campaign.stages import Options, look_ahead, possible
from sweeps.cli import main
from sweeps.forecast import calibration
from sweeps.forecast.calibration import Kept, epoch_seconds, mean_seconds, wanted
from sweeps.forecast.forecast import Forecast, Point, levels, points
from sweeps.forecast.outlook import campaign_outlook, lines, outlook
from sweeps.leases.coordinator import Coordinator
from sweeps.space.schema import Budget

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MODELS = {"mask_rcnn": 1.0, "htc": 3.0, "solov2": 0.5}
BACKBONES = {"resnet18": 2.0, "resnet50": 5.0}
MACHINE = ("some CPU", 2)
SPACE = """\
study: made_up
data: demo
scale: tiny
fixed: {epochs: 4}
search: {seed: [0, 1], model: [mask_rcnn, htc, solov2], backbone: [resnet18, resnet50]}
"""

REAL = f"""\
study: real
data: {NUCLEI}
scale: tiny
fixed: {{epochs: 2, image_size: 128}}
search: {{model: [mask_rcnn, rtmdet_ins], optimizer: [AdamW, SGD]}}
"""


def point(seconds: float, **chosen: str) -> Point:
    return Point(chosen, seconds, NOW)


def test_factors_are_found_again_from_each_choice_alone() -> None:
    known = [
        point(2.0, model="mask_rcnn", backbone="resnet18"),
        point(6.0, model="htc", backbone="resnet18"),
        point(1.0, model="solov2", backbone="resnet18"),
        point(5.0, model="mask_rcnn", backbone="resnet50"),
    ]
    forecast = Forecast(known)
    for model, backbone in itertools.product(MODELS, BACKBONES):
        found = forecast.seconds({"model": model, "backbone": backbone})
        assert found == pytest.approx(MODELS[model] * BACKBONES[backbone], rel=0.01)


def test_what_was_never_measured_is_named_and_not_guessed() -> None:
    forecast = Forecast([point(2.0, model="mask_rcnn")])
    assert forecast.seconds({"model": "htc"}) is None
    assert forecast.missing({"model": "htc"}) == ["model htc"]
    assert Forecast([]).seconds({"model": "htc"}) is None


def test_between_two_measured_numbers_lies_a_power_law() -> None:
    """A batch four times as large takes a quarter of the time: one twice as large takes half."""
    forecast = Forecast([
        point(8.0, model="htc", batch_size="2", image_size="[64, 64]"),
        point(2.0, model="htc", batch_size="8", image_size="[64, 64]"),
        point(32.0, model="htc", batch_size="2", image_size="[128, 128]"),
    ])  # fmt: skip
    chosen = {"model": "htc", "batch_size": "4", "image_size": "[64, 64]"}
    assert forecast.seconds(chosen) == pytest.approx(4.0, rel=0.01)
    assert forecast.seconds({**chosen, "image_size": "[96, 96]"}) == pytest.approx(9.0, rel=0.01)
    assert forecast.missing(chosen, exact=True) == ["batch_size 4"]
    for level in ({"batch_size": "1"}, {"batch_size": "9"}, {"image_size": "None"}, {"image_size": "[32, 32]"}):
        assert forecast.seconds({**chosen, **level}) is None, "beyond what was measured nothing is said"


@pytest.mark.parametrize(
    ("form", "measured"),
    [
        ("{int: [2, 8]}", [2, 8]),
        ("{int: [2, 5]}", [2, 3, 4, 5]),
        ("{int: [2, 11], step: 4}", [2, 6, 10]),
        ("[4, 1, 2]", [4, 1, 2]),
    ],
)
def test_of_a_range_both_ends_are_measured_or_all_of_a_few(tmp_path: Path, form: str, measured: list[int]) -> None:
    space = Bench(tmp_path, SPACE).space(f"search={{batch_size: {form}}}", "budget.trials=9")
    found = list(wanted(space, "tiny", 10))
    assert [one.settings["batch_size"] for one in found] == measured
    known = [Point(levels(one), 24.0 / one.settings["batch_size"], NOW) for one in found]
    mean, missing = mean_seconds(space, "tiny", 10, Forecast(known))
    assert missing == [] and mean


def test_the_space_s_mean_weighs_every_combination(tmp_path: Path) -> None:
    space = Bench(tmp_path, SPACE).space()
    combinations = list(wanted(space, "tiny", 10))
    assert [(one.model.name, one.backbone.name) for one in combinations] == [
        ("mask_rcnn", "resnet18"), ("htc", "resnet18"), ("solov2", "resnet18"), ("mask_rcnn", "resnet50")
    ]  # fmt: skip
    known = [Point(levels(one), MODELS[one.model.name] * BACKBONES[one.backbone.name], NOW) for one in combinations]
    mean, missing = mean_seconds(space, "tiny", 10, Forecast(known))
    assert missing == []
    assert mean == pytest.approx(4 * (1 + 3 + 0.5) / 3 * (2 + 5) / 2, rel=0.01)
    mean, missing = mean_seconds(space, "tiny", 10, Forecast(known[:3]))
    assert (mean, missing) == (None, ["backbone resnet50"])


def train_all(bench: Bench, seconds: dict[str, float]) -> list[TrialRecord]:
    """A study of made-up trainings: so many seconds an epoch, by model."""
    with bench.study() as study:
        coordinator = Coordinator(study)
        while lease := coordinator.lease(ASK).lease:
            taken = seconds[lease.combination.model.name]
            for epoch in range(1, 5):
                told = EpochReport(epoch=epoch, metrics={"segm_mAP": 0.1}, seconds=taken)
                coordinator.report(lease.trial, lease.fence, told)
            versions = {"device": MACHINE[0], "threads": str(MACHINE[1])}
            coordinator.finish(lease.trial, lease.fence, result(seconds=4 * taken, versions=versions))
        return study.store.trials("made_up")


def foretold(bench: Bench, trials: list[TrialRecord], measured: list[Point], pruner: str = "none") -> dict[str, Any]:
    found = outlook(bench.space(), "tiny", data(), trials, measured, MACHINE)
    return {"gpu_hours": found.pop("gpu_hours"), "pruner": pruner, "forecast": found, "trials": 12}


def test_a_study_is_foretold_from_others_and_compared_with_what_it_took(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SPACE)
    trials = train_all(bench, {"mask_rcnn": 10.0, "htc": 30.0, "solov2": 20.0})
    measured = [
        Point(levels(one), {"mask_rcnn": 8.0, "htc": 24.0, "solov2": 16.0}[one.model.name], NOW)
        for one in wanted(bench.space(), "tiny", 10)
    ]
    found = foretold(bench, trials, measured)
    review = found["forecast"]["review"]
    assert review["trials"] == 12
    assert review["took_hours"] == pytest.approx(12 * 4 * 20 / 3600)
    assert review["foretold_hours"] == pytest.approx(0.8 * review["took_hours"], rel=0.01)
    assert review["error"] == pytest.approx(0.2, abs=0.01)
    assert dict(lines(found))["took so far"] == ("16.0 min in 12 complete trials, foretold at 12.8 min: error 20%")
    late = [replace(one, at=datetime.now(UTC) + timedelta(days=1)) for one in measured]
    assert foretold(bench, trials, late)["forecast"]["review"] is None, "a forecast made afterwards is none"


def test_its_own_trials_say_what_is_left_but_not_what_was_foretold(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SPACE)
    trials = train_all(bench, {"mask_rcnn": 10.0, "htc": 30.0, "solov2": 20.0})
    found = foretold(bench, trials, [])
    assert found["gpu_hours"] == pytest.approx(12 * 4 * 20 / 3600, rel=0.01)
    assert found["forecast"]["review"] is None
    assert found["forecast"]["from"] == {"trials": 12, "measurements": 0}
    assert dict(lines(found)) == {"GPU hours": "16.0 min, from 12 earlier trials"}
    stopped = foretold(bench, trials, [], pruner="median")
    assert dict(lines(stopped)) == {"GPU hours": "at most 16.0 min, from 12 earlier trials"}


@pytest.mark.parametrize(
    ("budget", "workers", "hours", "line"),
    [
        ("{trials: 9, gpu_hours: 48}", 1, 0.2, "12.0 min"),
        ("{trials: 9, gpu_hours: 0.09}", 1, 0.09, "5.4 min, when budget.gpu_hours ends it: about 4 of 9 trials "
         "(without it 12.0 min)"),
        ("{gpu_hours: 48, trial_hours: 1}", 1, 48.0, "48.0 h, when budget.gpu_hours ends it: about 2160 trials"),
        ("{gpu_hours: 48, hours: 10}", 2, 20.0, "20.0 h, when budget.hours ends it with 2 trainings at a time: about "
         "900 trials"),
    ],
)  # fmt: skip
def test_the_first_limit_of_a_budget_decides(
    tmp_path: Path, budget: str, workers: int, hours: float, line: str
) -> None:
    """80 s a trial; without a number of trials there is no end to learning rates."""
    overrides = ("search={lr: {float: [0.001, 0.1]}}", f"budget={budget}", "pruner.kind=none")
    space = Bench(tmp_path, SPACE).space(*overrides)
    known = [Point(levels(one), 20.0, NOW) for one in wanted(space, "tiny", 10)]
    found = outlook(space, "tiny", data(), [], known, MACHINE, workers=workers)
    assert found["gpu_hours"] == pytest.approx(hours, rel=0.01)
    document = {"gpu_hours": found.pop("gpu_hours"), "pruner": "none", "trials": space.budget.trials, "forecast": found}
    assert dict(lines(document)) == {"GPU hours": f"{line}, from 1 short measurements"}
    stopped = dict(lines({**document, "pruner": "median"}))["GPU hours"]
    assert stopped.startswith("at most ") and "about" not in stopped


def test_the_plan_names_what_to_measure_first(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SPACE)
    known = [Point(levels(one), 1.0, NOW) for one in wanted(bench.space(), "tiny", 10) if one.model.name != "htc"]
    found = foretold(bench, [], known)
    assert found["gpu_hours"] is None
    assert dict(lines(found)) == {"GPU hours": "not measured: model htc; `sweep plan SPACE --measure` does it"}


def test_trials_of_another_machine_say_nothing(tmp_path: Path) -> None:
    trials = train_all(Bench(tmp_path, SPACE), {"mask_rcnn": 10.0, "htc": 30.0, "solov2": 20.0})
    assert len(points(trials, *MACHINE)) == 12
    assert points(trials, "another", 2) == points(trials, MACHINE[0], 4) == []


def test_measurements_are_kept_by_machine_and_a_broken_file_is_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration.platformdirs, "user_cache_path", lambda _: tmp_path)
    kept = Kept("tiny", data(), *MACHINE)
    kept.add(point(2.0, model="mask_rcnn"))
    kept.add(point(3.0, model="mask_rcnn"))
    assert Kept("tiny", data(), *MACHINE).points() == [point(3.0, model="mask_rcnn")]
    assert Kept("tiny", data(), "another", 2).points() == []
    assert Kept("tiny", data("cd" * 32), *MACHINE).points() == []
    next((tmp_path / "measured").iterdir()).write_text("{")
    assert Kept("tiny", data(), *MACHINE).points() == []
    shutil.rmtree(tmp_path / "measured")
    (tmp_path / "measured").write_text("")
    with pytest.raises(UserError, match=r"/measured cannot be written: .+; XDG_CACHE_HOME names another cache folder$"):
        kept.add(point(2.0, model="mask_rcnn"))


def test_an_epoch_is_more_than_its_iterations(tmp_path: Path) -> None:
    """Of 10 images in pairs, with 4 to validate: 5 iterations, 4 images, what comes with it, a quarter of the start."""
    combination = next(wanted(Bench(tmp_path, SPACE).space(), "tiny", 10))
    answer = Answer(start=8.0, epoch=3.0, iteration=0.5, image=0.25)
    assert (combination.settings["batch_size"], combination.settings["epochs"]) == (2, 4)
    assert epoch_seconds(answer, combination, data()) == 5 * 0.5 + 4 * 0.25 + 3.0 + 8.0 / 4


def test_seconds_follow_the_share_of_the_images(tmp_path: Path) -> None:
    """Of 10 images three tenths are two pairs; of a range of shares both ends are measured."""
    space = Bench(tmp_path, SPACE).space("search={train_share: {float: [0.3, 1]}}", "budget.trials=9")
    part, whole = wanted(space, "tiny", 10)
    assert ("train_share" in whole.settings, part.settings["train_share"]) == (False, 0.3)
    answer = Answer(start=8.0, epoch=3.0, iteration=0.5, image=0.25)
    seconds = [epoch_seconds(answer, one, data()) for one in (part, whole)]
    assert seconds == [2 * 0.5 + 1.0 + 3.0 + 2.0, 5 * 0.5 + 1.0 + 3.0 + 2.0]
    known = [Point(levels(one), taken, NOW) for one, taken in zip((part, whole), seconds, strict=True)]
    mean, missing = mean_seconds(space, "tiny", 10, Forecast(known))
    assert missing == [] and mean and 4 * seconds[0] < mean < 4 * seconds[1]
    assert Forecast(known[1:]).missing(levels(part)) == ["train_share 0.3"]


TIMER = f"""#!{sys.executable}
# Stands where the process that times trainings does, and speaks as it does; batches of more than MOST end it.
import json, sys
for line in sys.stdin:
    if json.loads(line)["lease"]["combination"]["settings"]["batch_size"] > MOST:
        sys.exit(9)
    print(json.dumps({{"iteration": 0.5, "image": 0.1, "epoch": 1.0, "start": 2.0}}), flush=True)
"""
RANGE = f"""\
study: range
data: {NUCLEI}
scale: tiny
fixed: {{epochs: 2, image_size: 128}}
search: {{batch_size: {{int: [2, 8]}}}}
budget: {{trials: 7}}
"""


STAGES = f"""\
campaign: weeks
data: {NUCLEI}
scale: tiny
fixed: {{epochs: 2, image_size: 128, augmentation: flip}}
stages:
  models:
    search: {{model: [mask_rcnn, htc, solov2]}}
    fixed: {{backbone: resnet18}}
  backbones:
    search: {{model: {{top: 2}}, backbone: [resnet50, resnet18]}}
  refine:
    search: {{model: {{top: 2}}, optimizer: {{around: {{lr: 3}}}}}}
    budget: {{gpu_hours: 1, hours: 9}}
"""


def test_a_campaign_is_foretold_by_the_mean_over_all_that_may_win(tmp_path: Path) -> None:
    (tmp_path / "weeks.yaml").write_text(STAGES, encoding="utf-8")
    campaign, problems = read_campaign(tmp_path / "weeks.yaml", ())
    spaces = look_ahead(campaign, problems, Options(None, None, 0))
    whole = possible(campaign, spaces)
    known = [
        Point(levels(one), MODELS[one.model.name] * BACKBONES[one.backbone.name], NOW)
        for space in whole
        for one in wanted(space, "tiny", 10)
    ]
    found = [
        outlook(space, "tiny", data(), [], known, MACHINE, possible=every)
        for space, every in zip(spaces, whole, strict=True)
    ]
    models, backbones = (1 + 3 + 0.5) / 3, (2 + 5) / 2
    hours = [3 * 2 * models * 2 / 3600, 4 * 2 * models * backbones / 3600, 1.0]
    assert [one["gpu_hours"] for one in found] == pytest.approx(hours, rel=0.01)
    assert [(one["trials"], one["limit"]) for one in found[:2]] == [(3, None), (4, None)]
    assert found[2]["limit"] == "budget.gpu_hours"
    assert found[2]["trials"] == pytest.approx(3600 / (2 * models * backbones), rel=0.05), "of some"
    total = campaign_outlook(found, Budget(gpu_hours=0.5, hours=8))
    assert (total["gpu_hours"], total["limit"], total["trials"]) == (0.5, "total.gpu_hours", None)
    assert total["unlimited"] == pytest.approx(sum(hours), rel=0.01)
    assert campaign_outlook(found, Budget())["trials"] == sum(one["trials"] for one in found)


def timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, most: int) -> Path:
    """A folder with a space, where nothing was measured; returns what stands for Python where something is timed."""
    timer = tmp_path / "timer"
    timer.write_text(TIMER.replace("MOST", str(most)), encoding="utf-8")
    timer.chmod(0o755)
    (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    monkeypatch.setenv("COLUMNS", "300")
    return timer


def test_plan_measures_each_part_of_a_campaign_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three models; then the backbone that comes first there is new, with the first of these models."""
    timer = timed(tmp_path, monkeypatch, "weeks.yaml", STAGES, 8)
    assert main(["plan", "weeks.yaml", "--format", "json"]) == 0
    before = json.loads(capsys.readouterr().out)
    assert [before["gpu_hours"], *(one["gpu_hours"] for one in before["stages"])] == [None] * 4
    assert {"model htc", "backbone resnet50"} <= {*before["forecast"]["missing"]}
    monkeypatch.setattr(sys, "executable", str(timer))
    assert main(["plan", "weeks.yaml", "--measure", "--set", "total.gpu_hours=0.5"]) == 0
    out, err = capsys.readouterr()
    told = [
        line.partition(": ")[2].partition(": ")[0]
        for line in err.splitlines()
        if "measuring " in line and " of " in line
    ]
    assert told == [
        "mask_rcnn resnet18 flip AdamW", "htc resnet18 flip AdamW", "solov2 resnet18 flip AdamW",
        "mask_rcnn resnet50 flip AdamW",
    ]  # fmt: skip
    assert (
        "GPU hours: at most 30.0 min, when total.gpu_hours ends it (without it 1.0 h), from 4 short measurements" in out
    )
    assert "GPU hours of refine: at most 1.0 h, when budget.gpu_hours ends it: at least " in out
    assert main(["plan", "weeks.yaml", "--format", "json"]) == 0
    after = json.loads(capsys.readouterr().out)
    assert after["gpu_hours"] == pytest.approx(sum(one["gpu_hours"] for one in after["stages"]))
    assert [one["forecast"]["limit"] for one in after["stages"]] == [None, None, "budget.gpu_hours"]


@pytest.mark.parametrize("most", [8, 7])
def test_plan_measures_a_range_and_says_what_it_could_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], most: int
) -> None:
    timer = timed(tmp_path, monkeypatch, "space.yaml", RANGE, most)
    hint = "`sweep plan SPACE --measure` does it"
    assert main(["plan", "space.yaml"]) == 0
    assert hint in capsys.readouterr().out
    monkeypatch.setattr(sys, "executable", str(timer))
    assert main(["plan", "space.yaml", "--measure"]) == 0
    out, err = capsys.readouterr()
    assert hint not in out and "measuring 2 of 2" in err
    if most == 8:
        assert "from 2 short measurements" in out
    else:
        assert "not measured: batch_size 3, batch_size 4" in out
        assert "; batch_size 8 could not be: its process ended with code 9; is there memory enough?" in out
    assert main(["plan", "space.yaml", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["gpu_hours"] is not None, found["forecast"]["failed"]) == (most == 8, None)


@pytest.mark.slow
def test_plan_measures_and_foretells_a_real_sweep(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))  # where nothing was measured yet
    desk.write(REAL)
    before = json.loads(desk.run("plan", "space.yaml", "--format", "json").stdout)
    assert before["gpu_hours"] is None
    assert "model rtmdet_ins" in before["forecast"]["missing"]
    measured = desk.run("plan", "space.yaml", "--measure", "--format", "json")
    assert measured.returncode == 0, measured.stderr
    assert measured.stderr.count("s an iteration") == 3
    assert json.loads(measured.stdout)["gpu_hours"] > 0
    again = desk.run("plan", "space.yaml", "--measure")
    assert "measuring" not in again.stderr.replace("measuring train", ""), "what is known is not measured again"
    assert desk.run("start", "space.yaml").returncode == 0
    review = json.loads(desk.run("plan", "space.yaml", "--format", "json").stdout)["forecast"]["review"]
    assert review["trials"] == 4
    assert review["took_hours"] > 0
