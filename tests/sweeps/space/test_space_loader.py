"""What a valid space becomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from sweeps.space.loader import load
from sweeps.space.problems import SpaceErrors
from sweeps.space.schema import (
    Budget,
    Choice,
    FloatRange,
    IntRange,
    Pick,
    PrunerSpec,
    SamplerSpec,
    SearchSpace,
)

Load = Callable[..., SearchSpace]


@pytest.fixture
def space(tmp_path: Path) -> Load:
    def make(text: str, overrides: Sequence[str] = ()) -> SearchSpace:
        path = tmp_path / "x.yaml"
        path.write_text(f"study: s\ndata: demo\n{text}\n")
        return load(path, overrides)

    return make


def test_an_empty_choice_of_sections_has_defaults(space: Load) -> None:
    found = space("fixed: {model: htc}")
    assert (found.study, found.data, found.scale) == ("s", "demo", "auto")
    assert (found.objective.metric, found.objective.at) == ("segm_mAP", "last")
    assert found.sampler == SamplerSpec("auto", 0)
    assert found.pruner == PrunerSpec("auto", {})
    assert found.budget == Budget()
    assert found.fixed == {"model": (Pick("htc"),)}
    assert (dict(found.search), found.config, found.forbid, found.notes) == ({}, {}, (), ())


def test_forms_of_numbers(space: Load) -> None:
    found = space(
        "search:\n  lr: {float: [1e-4, 1], log: true}\n  epochs: {int: [2, 9], step: 3}\n"
        "  batch_size: [1, 2]\n  seed: {choice: [3, 1]}\nbudget: {trials: 4}"
    ).search
    assert found["lr"] == FloatRange(0.0001, 1.0, log=True)
    assert found["epochs"] == IntRange(2, 8, step=3)  # 9 is not reached
    assert isinstance(found["batch_size"], Choice)
    assert found["batch_size"].labels == (1, 2)
    assert isinstance(found["seed"], Choice)
    assert found["seed"].labels == (3, 1)


def test_whole_numbers_are_floats_where_those_are_wanted(space: Load) -> None:
    found = space("search: {lr: [1, 0.1]}\nfixed: {optimizer: {SGD: {momentum: 0}}}")
    form = found.search["lr"]
    assert isinstance(form, Choice)
    assert [type(label) for label in form.labels] == [float, float]
    assert repr(found.fixed["optimizer"][0].params["momentum"]) == "0.0"


def test_steps_are_decimal(space: Load) -> None:
    form = space("search: {lr: {float: [0.1, 0.35], step: 0.1}}").search["lr"]
    assert form == FloatRange(0.1, 0.3, step=0.1)


def test_a_choice_of_names_with_their_own_parameters(space: Load) -> None:
    form = space(
        "search:\n  optimizer:\n    SGD: {lr: [0.1, 0.2], momentum: 0.5}\n    AdamW:\n"
    ).search["optimizer"]  # fmt: skip
    assert isinstance(form, Choice)
    assert form.labels == ("SGD", "AdamW")
    assert [name for name, _ in form.options[0].forms("optimizer")] == ["optimizer.SGD.lr"]
    assert form.options[0].value[0].params["momentum"] == 0.5
    assert list(form.options[1].forms("optimizer")) == []


def test_augmentations_in_order_and_as_choices(space: Load) -> None:
    found = space(
        "search:\n  augmentation:\n    - none\n    - flip\n    - [flip, resize_1280x1024]\n"
        "    - [resize_1024x1024, flip: {probability: [0.3, 0.5]}]\n"
    ).search["augmentation"]  # fmt: skip
    assert isinstance(found, Choice)
    assert found.labels == ("none", "flip", "flip + resize_1280x1024", "resize_1024x1024 + flip")
    assert [name for name, _ in found.options[3].forms("augmentation")] == [
        "augmentation.resize_1024x1024 + flip.flip.probability"
    ]
    assert space("fixed: {augmentation: []}").fixed == {"augmentation": ()}
    assert space("fixed: {augmentation: none}").fixed == {"augmentation": ()}
    both = space("fixed: {augmentation: [flip, resize_1333x800]}").fixed["augmentation"]
    assert [pick.name for pick in both] == ["flip", "resize_1333x800"]


def test_equal_names_are_told_apart_by_their_parameters(space: Load) -> None:
    form = space("search: {augmentation: [flip: {probability: 0.3}, flip: {probability: 0.7}]}").search
    assert isinstance(form["augmentation"], Choice)
    assert form["augmentation"].labels == ("flip(probability=0.3)", "flip(probability=0.7)")


def test_sizes(space: Load) -> None:
    assert space("fixed: {image_size: 256}").fixed == {"image_size": 256}
    assert space("fixed: {image_size: [640, 512]}").fixed == {"image_size": [640, 512]}
    form = space("search: {image_size: [256, [640, 512]]}").search["image_size"]
    assert isinstance(form, Choice)
    assert form.labels == (256, "640x512")


def test_config_paths_are_values_unless_they_say_otherwise(space: Load) -> None:
    found = space(
        "config:\n  model.a: [1, 2]\n  +b.c: {type: X}\n  d: {choice: [[1], {x: 2}, null]}\n  e: {int: [1, 3]}\n"
    )
    assert found.config["model.a"] == [1, 2]
    assert found.config["+b.c"] == {"type": "X"}
    assert found.config["d"].labels == ("[1]", '{"x": 2}', None)
    assert found.config["e"] == IntRange(1, 3)
    assert list(found.forms()) == ["config.d", "config.e"]


def test_the_other_sections(space: Load) -> None:
    found = space(
        "fixed: {model: htc}\nobjective: {metric: 'segm_mAP@0.3:0.6:0.1', at: best}\nscale: tiny\n"
        "sampler: {kind: random, seed: 7}\npruner: {kind: median, warmup_epochs: 2}\n"
        "budget: {trials: 3, gpu_hours: 1.5, hours: 2, until: 0.6, trial_hours: 0.5}\nrepeats: 1\nplugins: []"
    )
    assert found.objective.iou_thresholds() == (0.3, 0.6, 0.1)
    assert (found.objective.at, found.scale) == ("best", "tiny")
    assert found.sampler == SamplerSpec("random", 7)
    assert found.pruner.options == {"startup_trials": 5, "warmup_epochs": 2, "interval": 1, "per": "family"}
    assert found.budget == Budget(3, 1.5, 2, 0.6, 0.5)


DATA = "train: {images: ., annotations: labels.json}\nval: {split: 0.2}\n"


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "data.yaml").write_text(DATA)
    (tmp_path / "labels.json").write_text("")
    (tmp_path / "w.pth").write_text("")
    path = tmp_path / "sub" / "x.yaml"
    path.write_text("study: s\ndata: ../data.yaml\nfixed: {pretrained: ../w.pth}\n")
    found = load(path)
    assert found.data == str(tmp_path / "data.yaml")
    assert found.fixed["pretrained"] == str(tmp_path / "w.pth")


def test_the_data_option_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(DATA)
    Path("labels.json").write_text("")
    Path("x.yaml").write_text("study: s\ndata: gone.yaml\nfixed: {lr: 1}\n")
    assert load(Path("x.yaml"), (), Path("mine.yaml")).data == str(tmp_path / "mine.yaml")


def test_what_a_user_should_see_though_nothing_is_wrong(space: Load) -> None:
    found = space(
        "search: {model: [htc, scnet]}\nfixed: {backbone: resnet18}\n"
        "forbid: [{model: solov2}, {model: htc, backbone: resnet50}, {model: scnet}]\n"
        "sampler: {kind: exhaustive}\nbudget: {trials: 1}"
    )
    assert found.notes == (
        "forbid[0] never matches: nothing in this space is forbidden by it",
        "forbid[1] never matches: nothing in this space is forbidden by it",
    )
    few = space("search: {model: [htc, scnet]}\nsampler: {kind: exhaustive}\nbudget: {trials: 1}")
    assert few.notes == ("budget.trials 1: the first 1 of 2 combinations are tried",)


def test_other_names_of_samplers_and_pruners(space: Load) -> None:
    found = space("search: {lr: [1, 2]}\nsampler: {kind: grid}\npruner: {kind: asha, per: backbone}")
    assert (found.sampler.kind, found.pruner.kind) == ("exhaustive", "successive_halving")
    assert found.pruner.options["per"] == "backbone"


def test_a_population_belongs_to_nsga2(space: Load) -> None:
    assert space("search: {lr: [1, 2]}\nsampler: {kind: nsga2, population: 4}").sampler.population == 4
    with pytest.raises(SpaceErrors, match="only nsga2 has a population, found kind tpe; write kind: nsga2"):
        space("search: {lr: [1, 2]}\nsampler: {kind: tpe, population: 4}")
    with pytest.raises(SpaceErrors, match=r"sampler.population: expected a whole number from 2 to 1000, found 1"):
        space("search: {lr: [1, 2]}\nsampler: {kind: nsga2, population: 1}")
