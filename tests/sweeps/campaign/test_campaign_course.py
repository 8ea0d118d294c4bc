"""A campaign's way: who wins a stage, what the next one starts from, going on, and what may not change meanwhile."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from campaigning import ALONE, MODELS, TWO_STAGES, Bench, score, trained, tried
from evidence import packed, training
from made_up import data, record
from proxy import proxy_to

from results.errors import NotFoundError
from results.records import TrialRecord
from results.store import Store
from runner.errors import UserError
from sweeps.access.remote import Remote
from sweeps.access.source import Source
from sweeps.campaign.course import Course
from sweeps.campaign.show import stages_of
from sweeps.campaign.stages import stage_space
from sweeps.campaign.start import start_there
from sweeps.campaign.total import capped, left_of
from sweeps.cli import main
from sweeps.leases.coordinator import Coordinator
from sweeps.run.submit import watch
from sweeps.server.app import Server, create_app
from sweeps.server.guard import App, Message, Receive, Scope, Send
from sweeps.server.team import Team
from sweeps.space.loader import load
from sweeps.space.schema import Budget
from sweeps.space.walk import planned, stopping
from sweeps.study.study import Study

Captured = pytest.CaptureFixture[str]


def test_each_stage_starts_from_the_winner_of_the_one_before(tmp_path: Path, capsys: Captured) -> None:
    bench = Bench(tmp_path, score)
    assert bench.start() == 0
    assert bench.ran == ["models", "backbones"]
    assert [tried(row, "model") for row in bench.rows("models")] == list(MODELS)
    assert [(tried(row, "model"), tried(row, "backbone")) for row in bench.rows("backbones")] == [
        ("cascade_mask_rcnn", "resnet18"), ("cascade_mask_rcnn", "resnet50"),
    ]  # fmt: skip
    out = capsys.readouterr().out
    assert "all stages together: +0.2500; the best is trial 1 of study particles.backbones" in out


def test_a_second_start_trains_nothing_and_says_the_same(tmp_path: Path, capsys: Captured) -> None:
    bench = Bench(tmp_path, score)
    bench.start()
    first, _ = capsys.readouterr()
    bench.ran.clear()
    assert bench.start() == 0
    assert bench.ran == []
    assert capsys.readouterr().out == first


def test_a_start_goes_on_where_the_last_one_stopped(tmp_path: Path, capsys: Captured) -> None:
    bench = Bench(tmp_path, score, stop_in="backbones")
    assert bench.start() == 130
    assert "campaign particles is not finished; go on with: sweep start campaign.yaml" in capsys.readouterr().err
    assert (len(bench.rows("models")), len(bench.rows("backbones"))) == (3, 1)
    bench.stop_in = None
    assert bench.start() == 0
    assert bench.ran == ["models", "backbones", "backbones"]
    assert [row.number for row in bench.rows("backbones")] == [0, 1]


def test_sweep_stop_ends_a_campaign_well_where_it_has_a_winner(tmp_path: Path, capsys: Captured) -> None:
    """As `sweep stop` of a study with a complete trial does."""
    bench = Bench(tmp_path, score, stop_in="backbones", stopped=True)
    assert bench.start() == 0
    out, err = capsys.readouterr()
    assert "campaign particles is not finished; go on with: sweep start campaign.yaml" in err
    assert "the best is trial 0 of study particles.backbones" in out
    bench.stop_in, bench.text = "models", TWO_STAGES.replace("particles", "others")
    assert bench.start() == 0
    bench.text, bench.fault = TWO_STAGES.replace("particles", "broken"), "the workers gave up: no disk"
    assert bench.start() == 1
    bench.text, bench.fault, bench.scores = TWO_STAGES.replace("particles", "in_vain"), None, lambda row: None
    assert bench.start() == 1


def test_means_over_seeds_decide_and_not_the_luckiest_run(tmp_path: Path) -> None:
    """solov2 has the best single run of all, and the worst mean."""
    lucky = {("solov2", 0): 0.9, ("solov2", 1): 0.1}

    def by_seed(row: TrialRecord) -> float:
        return lucky.get((tried(row, "model"), row.seed), score(row) + 0.02 * row.seed)

    bench = Bench(tmp_path, by_seed)
    MODELS["mask_rcnn"], before = 0.52, MODELS["mask_rcnn"]
    try:
        bench.start("repeats=2")
    finally:
        MODELS["mask_rcnn"] = before
    assert {tried(row, "model") for row in bench.rows("backbones")} == {"mask_rcnn"}
    with Store.open(bench.storage, readonly=True) as store:
        models = stages_of(store, "particles").stages[0]
    assert models.best and (models.best.mean, models.best.seeds) == (pytest.approx(0.53), 2)


def test_pruned_trials_do_not_win(tmp_path: Path) -> None:
    text = TWO_STAGES.replace("epochs: 1", "epochs: 2") + "pruner: {kind: successive_halving, reduction_factor: 2}\n"
    bench = Bench(
        tmp_path, lambda row: {"mask_rcnn": 0.3, "cascade_mask_rcnn": 0.1, "solov2": 0.2}[tried(row, "model")], text
    )
    bench.start()
    states = {tried(row, "model"): row.state for row in bench.rows("models")}
    assert states["mask_rcnn"] == "complete" and "pruned" in states.values()
    assert {tried(row, "model") for row in bench.rows("backbones")} == {"mask_rcnn"}


def test_a_stage_that_finds_nothing_better_changes_nothing(tmp_path: Path, capsys: Captured) -> None:
    text = TWO_STAGES.replace("[resnet18, resnet50]", "[hrnet_w32, resnet50]") + (
        "  optimizers:\n    search: {optimizer: [SGD, AdamW]}\n"
    )
    bench = Bench(tmp_path, lambda row: 0.3 if tried(row, "backbone") == "resnet18" else 0.2, text)
    bench.start()
    assert {tried(row, "backbone") for row in bench.rows("optimizers")} == {"resnet18"}
    assert "hrnet_w32 (not taken over)" in capsys.readouterr().out
    with Store.open(bench.storage, readonly=True) as store:
        found = stages_of(store, "particles")
    assert [stage.leads for stage in found.stages] == [True, False, True]
    gains = [stage.gain.value for stage in found.stages if stage.gain]
    assert gains == pytest.approx([0.0, -0.1, 0.0])


def test_a_stage_that_trains_longer_leads_with_whatever_it_scores(tmp_path: Path, capsys: Captured) -> None:
    """A cheap look scores higher than the trainings proper, by luck; nobody wants its epochs handed on."""
    text = TWO_STAGES.replace("  backbones:\n", "  backbones:\n    fixed: {epochs: 3}\n") + (
        "  lr:\n    search: {lr: [0.001, 0.0003]}\n"
    )
    bench = Bench(tmp_path, lambda row: 0.3 if row.study == "particles.lr" else score(row) / row.epochs, text)
    assert bench.start() == 0
    assert [row.epochs for row in bench.rows("lr")] == [3, 3]
    assert {tried(row, "backbone") for row in bench.rows("lr")} == {"resnet50"}
    out = capsys.readouterr().out
    assert "not taken over" not in out
    assert "backbones: with other epochs, image sizes or training images than before" in out
    assert "all stages together: not to be compared; the best is trial 0 of study particles.lr" in out
    with Store.open(bench.storage, readonly=True) as store:
        stages = stages_of(store, "particles").stages
    assert [stage.gain is None for stage in stages] == [False, True, False]
    assert stages[2].gain and stages[2].gain.value == pytest.approx(0.3 - 0.55 / 3)


def test_figures_from_a_share_of_the_images_are_not_compared_with_those_from_all(tmp_path: Path) -> None:
    """A first look on a quarter; the next stage trains on all, and the one after that as it does."""
    text = TWO_STAGES.replace("  models:\n", "  models:\n    fixed: {train_share: 0.25}\n")
    text = text.replace("  backbones:\n", "  backbones:\n    fixed: {train_share: 1}\n")
    bench = Bench(tmp_path, score, text + "  lr:\n    search: {lr: [0.001, 0.0003]}\n")
    assert bench.start() == 0
    assert {row.parts["settings"].get("train_share") for row in bench.rows("models")} == {0.25}
    assert not any("train_share" in row.parts["settings"] for row in (*bench.rows("backbones"), *bench.rows("lr")))
    with Store.open(bench.storage, readonly=True) as store:
        stages = stages_of(store, "particles").stages
    assert [stage.gain is None for stage in stages] == [False, True, False]


def test_a_share_that_nobody_names_again_is_the_winner_s(tmp_path: Path) -> None:
    text = TWO_STAGES.replace("search: {model:", "search: {train_share: [1, 0.5], model:")
    bench = Bench(tmp_path, lambda row: score(row) - row.parts["settings"].get("train_share", 1) / 10, text)
    bench.start()
    assert len(bench.rows("models")) == 6
    assert [row.parts["settings"].get("train_share") for row in bench.rows("backbones")] == [0.5, 0.5]


AROUND = """\
campaign: particles
data: demo
scale: tiny
fixed: {epochs: 1, augmentation: flip}
stages:
  optimizers:
    search:
      optimizer:
        SGD: {lr: [0.02, 0.01], momentum: [0.9]}
        AdamW: {lr: [0.001]}
        Rprop: {}
  refine:
    search:
      optimizer: {top: 2, around: {lr: 4, momentum: 1.5, weight_decay: 2}}
    budget: {trials: 3}
"""


def test_ranges_lie_around_what_was_best_and_within_what_is_allowed(tmp_path: Path) -> None:
    best = {"SGD": 0.2, "AdamW": 0.4, "Rprop": 0.1}
    bench = Bench(
        tmp_path,
        lambda row: best[tried(row, "optimizer")] + (0.01 if row.params["optimizer.lr"] == 0.01 else 0),
        AROUND,
    )
    bench.start()
    with Store.open(bench.storage, readonly=True) as store:
        record = store.study("particles.refine")
    assert record
    options = record.identity["search"]["optimizer"]["choice"]
    assert [next(iter(option)) for option in options] == ["AdamW", "SGD"], "the winner first, Rprop not at all"
    adamw, sgd = (next(iter(option.values())) for option in options)
    assert adamw["lr"] == {"float": [0.00025, 0.004], "log": True}
    assert sgd["lr"] == {"float": [0.0025, 0.04], "log": True}, "around its own best, 0.01, and not the first, 0.02"
    assert sgd["momentum"]["float"][0] == pytest.approx(0.6) and sgd["momentum"]["float"][1] < 1.35
    assert "momentum" not in adamw


def test_what_a_sampler_drew_is_handed_on_to_the_last_digit(tmp_path: Path) -> None:
    """The learning rate that TPE drew in `refine` is in the identity of the stage after it."""
    text = AROUND + "  last:\n    search: {batch_size: [1, 2]}\n"
    bench = Bench(tmp_path, lambda row: row.number / 100 + {"particles.optimizers": 0.3}.get(row.study, 0.4), text)
    assert bench.start() == 0
    drawn = bench.rows("refine")[-1].parts["optimizer"]
    assert {str(row.parts["optimizer"]) for row in bench.rows("last")} == {str(drawn)}
    bench.ran.clear()
    assert (bench.start(), bench.ran) == (0, [])


def test_a_changed_file_is_refused_in_one_line_before_anything_runs(tmp_path: Path) -> None:
    bench = Bench(tmp_path, score)
    bench.start()
    bench.ran.clear()
    with pytest.raises(UserError) as caught:
        bench.start("fixed.epochs=2")
    assert str(caught.value) == (
        "campaign particles has changed: study particles.models exists with another space: fixed.epochs: 1 there, "
        "2 here; put the file back as it was, or begin another campaign with --set campaign=NAME, or another database "
        "with --storage"
    )
    with pytest.raises(UserError, match=r"search.backbone: \[resnet18, resnet50\] there, \[resnet50\] here"):
        bench.start("stages.backbones.search.backbone=[resnet50]")
    assert bench.ran == []
    assert bench.start("campaign=other") == 0, "another name is another campaign"


def test_a_stage_does_not_go_on_once_the_next_one_has_begun(tmp_path: Path) -> None:
    bench = Bench(tmp_path, score)
    bench.start("stages.models.budget.trials=2")
    bench.ran.clear()
    with pytest.raises(UserError, match=r"stage backbones began from the winner of models, which would go on \(budget"):
        bench.start("stages.models.budget.trials=3")
    assert bench.ran == []


def test_a_stage_cannot_be_put_before_one_that_has_begun(tmp_path: Path) -> None:
    bench = Bench(tmp_path, score)
    bench.start()
    bench.text = bench.text.replace("stages:\n", "stages:\n  first: {search: {model: [solov2]}}\n")
    with pytest.raises(UserError, match="has changed: stage first is new before models; put the file back"):
        bench.start()


def test_the_last_stage_may_get_a_larger_budget_and_a_stage_may_be_added(tmp_path: Path) -> None:
    bench = Bench(tmp_path, score)
    bench.start("stages.backbones.budget.trials=1")
    assert bench.start("stages.backbones.budget.trials=2") == 0
    assert len(bench.rows("backbones")) == 2
    bench.text += "  optimizers: {search: {optimizer: [SGD, AdamW]}}\n"
    assert bench.start("stages.backbones.budget.trials=2") == 0
    assert {tried(row, "backbone") for row in bench.rows("optimizers")} == {"resnet50"}


def test_a_total_ends_the_campaign_before_a_stage_and_more_of_it_lets_it_go_on(
    tmp_path: Path, capsys: Captured
) -> None:
    """A minute each: 108 s are two trainings of the first stage's three."""
    bench = Bench(tmp_path, score)
    assert bench.start("total.gpu_hours=0.03") == 0
    out, err = capsys.readouterr()
    assert "all stages together: +0.2000; the best is trial 1 of study particles.models" in out
    assert "3 trials, exhaustive, study particles.models, at most 0.03 of total.gpu_hours 0.03\n" in err
    assert err.endswith(
        "campaign particles ends before stage 2 of 2, backbones: total.gpu_hours 0.03 is spent; raise it and start "
        "again to go on\n"
    )
    assert (bench.start("total.gpu_hours=0.03"), bench.ran) == (0, ["models"])
    assert bench.start("total.gpu_hours=0.06") == 0
    assert (len(bench.rows("models")), len(bench.rows("backbones"))) == (3, 1), "36 s were left"
    assert bench.start("total.gpu_hours=9") == 0
    assert bench.ran == ["models", "models", "backbones", "backbones"], "the first stage has ended: the next one began"
    assert len(bench.rows("backbones")) == 2


def test_a_stage_has_no_more_than_its_own_budget_nor_than_is_left(tmp_path: Path) -> None:
    bench = Bench(tmp_path, score)
    own = ("stages.models.budget.gpu_hours=0.03", "stages.backbones.budget.gpu_hours=9")
    assert bench.start("total={gpu_hours: 0.1, hours: 5}", *own) == 0
    with Store.open(bench.storage, readonly=True) as store:
        models, backbones = (store.study(f"particles.{stage}") for stage in ("models", "backbones"))
    assert models and (models.budget["gpu_hours"], models.budget["hours"]) == (0.03, 5.0)
    assert backbones and backbones.budget["gpu_hours"] == pytest.approx(0.1 - 2 / 60, abs=1e-6)
    assert 4.9 < backbones.budget["hours"] < 5.0


def test_what_is_trained_in_an_ended_stage_later_does_not_lock_a_campaign_with_a_total(tmp_path: Path) -> None:
    bench = Bench(tmp_path, score, TWO_STAGES + "  optimizers: {search: {optimizer: [SGD, AdamW]}}\n")
    assert bench.start("total.gpu_hours=0.5") == 0
    bench.ran.clear()
    with Store.open(bench.storage) as store:
        record = store.study("particles.models")
        assert record
        study = Study(bench.storage, store, record, bench.first(), bench.data)
        study.confirm(top=1, seeds=2)
        trained(Coordinator(study), score)
    assert (bench.start("total.gpu_hours=0.5"), bench.ran) == (0, [])
    assert (bench.start("total.gpu_hours=0.2"), bench.ran) == (0, []), "nor does less of it"
    with pytest.raises(UserError, match=r"which would go on \(budget {} there, {'trials': 1} here\)"):
        bench.start("total.gpu_hours=0.5", "stages.models.budget.trials=1")


def test_a_total_changes_neither_sampler_nor_pruner(tmp_path: Path) -> None:
    """In a long list a limit of hours would make `auto` a sampler, and `sweep plan` would have promised the list."""
    path = tmp_path / "space.yaml"
    path.write_text("study: s\ndata: demo\nscale: tiny\nsearch: {batch_size: {int: [1, 31]}}\n", encoding="utf-8")
    plain = load(path, ())
    space = capped(plain, Budget(gpu_hours=2.0))
    assert (
        (planned(space), stopping(space)) == (planned(plain), stopping(plain)) == (("exhaustive", 31), stopping(plain))
    )
    assert space.budget.gpu_hours == 2.0 and capped(plain, Budget()) == plain


def test_hours_of_a_total_are_those_in_which_something_was_trained() -> None:
    """Two at a time from 9 to 11, a night's pause, then half an hour."""

    nine = datetime(2026, 1, 1, 9, tzinfo=UTC)
    hour = timedelta(hours=1)
    ends = [(nine + hour, 3600.0), (nine + 2 * hour, 7200.0), (nine + 24.5 * hour, 1800.0)]
    rows = [
        record(number, {}, state="complete", seconds=seconds, finished_at=end)
        for number, (end, seconds) in enumerate(ends)
    ]
    left = left_of(Budget(gpu_hours=5.0, hours=6.0), rows)
    assert left == Budget(gpu_hours=pytest.approx(1.5), hours=pytest.approx(3.5))


def test_a_stage_without_a_complete_trial_ends_the_campaign_with_a_command_that_shows_why(
    tmp_path: Path, capsys: Captured
) -> None:
    bench = Bench(tmp_path, lambda row: None)
    with pytest.raises(UserError, match=r"stage 1 of 2, models: no trial is complete, .*; see why with: ") as ended:
        bench.start()
    command = str(ended.value).rpartition("see why with: sweep ")[2].split()
    assert main([*command, "--storage", bench.storage]) == 0
    table = capsys.readouterr().out
    assert all(model in table for model in MODELS) and "failed" in table


# what people see


def test_the_commands_that_show_a_campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    bench = Bench(tmp_path, score)
    bench.start()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWEEP_STORAGE", raising=False)
    capsys.readouterr()
    assert main(["campaign", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["campaign"], found["baseline"]) == ("particles", "mask_rcnn")
    assert found["winner"] == {"study": "particles.backbones", "trial": 1}
    assert [(one["stage"], one["trials"], one["label"]) for one in found["stages"]] == [
        ("models", 3, "cascade_mask_rcnn"), ("backbones", 2, "resnet50"),
    ]  # fmt: skip
    assert [one["gain"]["value"] for one in found["stages"]] == pytest.approx([0.2, 0.05])
    assert found["total"]["value"] == pytest.approx(0.25)
    assert main(["rank", "--study", "particles"]) == 1
    assert capsys.readouterr().err == (
        "sweep: particles is a campaign of particles.models, particles.backbones: name one of these, "
        "or see sweep campaign\n"
    )
    assert main(["best", "--study", "particles", "--export", "params"]) == 0
    assert json.loads(capsys.readouterr().out)["study"] == "particles.backbones"
    assert main(["campaign", "--study", "partikel"]) == 1
    assert capsys.readouterr().err == "sweep: there is no campaign partikel; there are: particles\n"


def test_gains_have_intervals_where_the_images_are_known(tmp_path: Path) -> None:
    """Made-up detectors on the same 50 images: a gain of many points excludes 0, one of a few tenths does not."""
    quality = {"mask_rcnn": 0.0, "cascade_mask_rcnn": 0.2, "solov2": -0.2}
    better = {"resnet18": 0.0, "resnet50": 0.005}
    shown = {}

    def by_evidence(row: TrialRecord) -> float:
        made = training(row.seed, quality[tried(row, "model")] + better[tried(row, "backbone")])
        shown[row.study, row.number] = packed(made)
        figure = made.figure("segm_mAP")
        assert figure is not None
        return figure

    bench = Bench(tmp_path, by_evidence)
    bench.start("repeats=2")
    with Store.open(bench.storage) as store:
        for (study, number), blob in shown.items():
            store.add_evidence(study, number, blob, 1)
        found = stages_of(store, "particles")
    models, backbones = found.stages
    assert found.images == 50 and found.noise is not None
    assert models.gain and models.gain.interval and models.gain.covers == "images and seeds"
    assert models.gain.interval[0] > 0
    assert backbones.label == "resnet50" and backbones.gain and backbones.gain.value > 0 and backbones.gain.interval
    assert backbones.gain.interval[0] < 0 < backbones.gain.interval[1]


@pytest.mark.parametrize("overrides", [(), ("total={gpu_hours: 0.5, hours: 0.7}",)])
def test_a_campaign_goes_to_a_server_stage_by_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overrides: tuple[str, ...]
) -> None:
    """A real server over HTTP; beside it a thread that trains whatever is given out, as workers do."""
    bench = Bench(tmp_path, score)
    campaign = bench.read(*overrides)
    monkeypatch.setenv("SWEEP_TOKEN", "t" * 40)
    monkeypatch.setattr("sweeps.access.watch._POLL_SECONDS", 0.05)
    ended = threading.Event()
    with Store.open(bench.storage) as store:
        team = Team(store, bench.storage, tmp_path / "work")

        def work() -> None:
            while not ended.wait(0.05):
                for coordinator in team.registry.studies():
                    trained(coordinator, score)

        worker = threading.Thread(target=work)
        with Server(create_app(team.registry, "t" * 40, team)) as server:
            worker.start()
            try:
                source = Source("", server.url)
                assert start_there(campaign, ALONE, source, "tiny", data(), "sweep start campaign.yaml") == 0
                before = [row.created_at for row in store.trials("particles.backbones")]
                assert start_there(campaign, ALONE, source, "tiny", data(), "sweep start campaign.yaml") == 0
            finally:
                ended.set()
                worker.join()
        assert [tried(row, "backbone") for row in store.trials("particles.backbones")] == ["resnet18", "resnet50"]
        assert [row.created_at for row in store.trials("particles.backbones")] == before
        record = store.study("particles.backbones")
        assert record and record.budget["gpu_hours"] == (pytest.approx(0.45) if overrides else None)


@dataclass
class Forgetful:
    """Before a server: does what is asked, but loses the first answer to every method and path.

    Attributes:
        spared: the paths whose answers arrive.
        lost: those whose first answer has not.
    """

    app: App
    spared: tuple[str, ...]
    lost: set[tuple[str, str]] = field(default_factory=set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = (scope["method"], scope["path"])
        if asked in self.lost or scope["path"] in self.spared:
            await self.app(scope, receive, send)
            return
        self.lost.add(asked)

        async def nowhere(message: Message) -> None:
            pass

        await self.app(scope, receive, nowhere)
        await send({"type": "http.response.start", "status": 502, "headers": []})
        await send({"type": "http.response.body", "body": b"the server behind this one is away"})


def test_a_campaign_goes_on_while_its_server_is_away_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """Between client and server lie a network that is cut once in a stage, and a proxy that loses answers."""
    bench = Bench(tmp_path, score)
    campaign = bench.read()
    monkeypatch.setenv("SWEEP_TOKEN", "t" * 40)
    monkeypatch.setattr("sweeps.access.remote._PAUSE_SECONDS", 0.05)
    monkeypatch.setattr("sweeps.access.watch._POLL_SECONDS", 0.05)
    ended = threading.Event()
    with Store.open(bench.storage) as store:
        team = Team(store, bench.storage, tmp_path / "work")
        door = Forgetful(create_app(team.registry, "t" * 40, team), ("/studies",))
        with Server(door) as server, proxy_to(server.url) as network:

            def work() -> None:
                while not team.registry.studies():
                    time.sleep(0.01)
                door.spared = ()
                network.refusing = True
                network.drop()
                before = network.connections
                while network.connections < before + 3 and not ended.is_set():
                    time.sleep(0.01)
                network.refusing = False
                while not ended.wait(0.05):
                    for coordinator in team.registry.studies():
                        trained(coordinator, score)

            worker = threading.Thread(target=work)
            worker.start()
            try:
                source = Source("", network.url)
                assert start_there(campaign, ALONE, source, "tiny", data(), "sweep start campaign.yaml") == 0
            finally:
                ended.set()
                worker.join()
        assert ("POST", "/studies") in door.lost and ("GET", "/studies/particles.backbones/status") in door.lost
        assert [tried(row, "backbone") for row in store.trials("particles.backbones")] == ["resnet18", "resnet50"]
    said = capsys.readouterr().err
    assert f"the study server {network.url} does not answer; looking again\n" in said
    assert "is in trouble (the server behind this one is away); looking again\n" in said
    assert said.count("looking again") == said.count("the study server answers again")


def test_nobody_waits_for_a_server_that_refuses_or_never_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr("sweeps.access.remote._PAUSE_SECONDS", 0.05)
    with Store.open(Bench(tmp_path, score).storage) as store:
        team = Team(store, "", tmp_path / "work")
        with (
            Server(create_app(team.registry, "t" * 40, team)) as server,
            proxy_to(server.url) as network,
            Remote(network.url, "t" * 40, patience=600) as remote,
        ):
            network.refusing = True
            with pytest.raises(UserError, match="does not answer"):
                remote.studies()
            network.refusing = False
            with pytest.raises(NotFoundError, match="no study particles"):
                watch(remote, "particles")
            remote.http.headers["Authorization"] = "Bearer another"
            with pytest.raises(UserError, match="refuses this token"):
                watch(remote, "particles")
            network.refusing, remote.patience = True, 0.3
            network.drop()
            assert capsys.readouterr().err == ""
            with pytest.raises(UserError, match="does not answer"):
                watch(remote, "particles")
    assert capsys.readouterr().err == f"the study server {network.url} does not answer; looking again\n"


def test_a_trial_of_an_ended_stage_that_is_tried_again_is_trained(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lambda row: None if tried(row, "model") == "solov2" else score(row))
    bench.start()
    with Store.open(bench.storage) as store:
        record = store.study("particles.models")
        assert record
        space = stage_space(bench.read(), "models", Course("tiny"), ALONE)
        Coordinator(Study(bench.storage, store, record, space, bench.data)).retry(2)
    bench.scores, bench.ran = score, []
    assert bench.start() == 0
    assert bench.ran == ["models"]
    assert bench.rows("models")[2].state == "complete"
