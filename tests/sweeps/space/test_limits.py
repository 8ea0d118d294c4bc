"""What the catalog says cannot work is refused before any trial, unless the rules of the space leave it out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.catalog import PARTS, SETTINGS, Limit, catalog_limits
from runner.protocol import Scale
from sweeps.cli import main
from sweeps.space import limits
from sweeps.space.loader import load
from sweeps.space.problems import SpaceErrors

Lines = Callable[..., list[str]]


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lines:
    """The mistakes of a space, under limits of the test's own."""
    monkeypatch.chdir(tmp_path)

    def check(text: str, *known: Limit, scale: Scale = "tiny") -> list[str]:
        monkeypatch.setattr(limits, "catalog_limits", lambda: known)
        Path("x.yaml").write_text(f"study: s\ndata: demo\nbudget: {{trials: 9}}\n{text}\n")
        try:
            load(Path("x.yaml"), scale=lambda _: scale)
        except SpaceErrors as error:
            return [problem.text().removeprefix("x.yaml:") for problem in error.problems]
        return []

    return check


PAIR = Limit({"model": ("htc", "solov2"), "optimizer": ("AdamW",)}, "it was said so")
CROP = Limit({"model": ("solov2",), "augmentation": ("flip",)}, "SOLOv2 has no left and right")
BACKBONE = Limit({"backbone": ("resnet50",)}, "it is too large", scale="tiny")
COUNTED = Limit({"optimizer": ("SGD",)}, "it counts by itself", above={"batch_size": 2})
FEW = Limit({"optimizer": ("SGD",)}, "it wants more", below={"batch_size": 4})


@pytest.mark.parametrize(
    ("text", "limit", "said"),
    [
        ("search: {model: [htc, scnet], optimizer: [SGD, AdamW]}", PAIR,
         "4:18: search.model[0]: model htc with optimizer AdamW cannot work: it was said so; "
         "write under forbid: - {model: htc, optimizer: AdamW}"),
        ("search: {model: [scnet, htc, solov2], optimizer: [SGD, AdamW]}", PAIR,
         "4:56: search.optimizer[1]: model htc or solov2 with optimizer AdamW cannot work: it was said so; "
         "write under forbid: - {model: [htc, solov2], optimizer: AdamW}"),
        ("search:\n  optimizer:\n    SGD:\n    AdamW: {lr: {float: [0.1, 0.2]}}\nfixed: {model: htc}", PAIR,
         "7:5: search.optimizer.AdamW: model htc with optimizer AdamW cannot work: it was said so; "
         "write under forbid: - {optimizer: AdamW}"),
        ("fixed: {model: htc, optimizer: AdamW}", PAIR,
         "4:9: fixed.model: model htc with optimizer AdamW cannot work: it was said so; "
         "choose another model or another optimizer"),
        # defaults are what a trial would have
        ("fixed: {model: htc}", PAIR,
         "4:9: fixed.model: model htc with optimizer AdamW (the default) cannot work: it was said so; "
         "choose another model"),
        ("search: {model: [scnet, htc]}", PAIR,
         "4:25: search.model[1]: model htc with optimizer AdamW (the default) cannot work: it was said so; "
         "write under forbid: - {model: htc}"),
        ("fixed: {model: solov2}", CROP,
         "4:9: fixed.model: model solov2 with augmentation flip (the default) cannot work: "
         "SOLOv2 has no left and right; choose another model"),
        # a list of augmentations is each name in it
        ("fixed: {model: solov2}\nsearch: {augmentation: [none, [resize_1024x1024, flip]]}", CROP,
         "5:31: search.augmentation[1]: model solov2 with augmentation flip cannot work: "
         "SOLOv2 has no left and right; write under forbid: - {augmentation: flip}"),
        ("fixed: {augmentation: [resize_1024x1024, flip]}\nsearch: {model: [htc, solov2]}", CROP,
         "5:23: search.model[1]: model solov2 with augmentation flip cannot work: "
         "SOLOv2 has no left and right; write under forbid: - {model: solov2}"),
        ("search: {backbone: [resnet18, resnet50]}", BACKBONE,
         "4:31: search.backbone[1]: backbone resnet50 cannot work at scale tiny: it is too large; "
         "write under forbid: - {backbone: resnet50}"),
        ("search: {backbone: [resnet50]}", BACKBONE,
         "4:21: search.backbone[0]: backbone resnet50 cannot work at scale tiny: it is too large; "
         "choose another backbone"),
        # numbers
        ("fixed: {optimizer: SGD}\nsearch: {batch_size: [1, 2, 4, 8]}", COUNTED,
         "5:29: search.batch_size[2]: optimizer SGD with batch_size 4 or 8 cannot work: it counts by itself; "
         "write under forbid: - {batch_size: [4, 8]}"),
        ("search: {optimizer: [SGD, AdamW], batch_size: {int: [1, 8]}}", COUNTED,
         "4:22: search.optimizer[0]: optimizer SGD with batch_size above 2 cannot work: it counts by itself; "
         "write under forbid: - {optimizer: SGD}"),
        ("fixed: {optimizer: SGD}\nsearch: {batch_size: {int: [1, 8]}}", FEW,
         "5:10: search.batch_size: optimizer SGD with batch_size below 4 cannot work: it wants more; "
         "choose another optimizer or another batch_size"),
        ("fixed: {optimizer: SGD}", FEW,
         "4:9: fixed.optimizer: optimizer SGD with batch_size 2 (the default) cannot work: it wants more; "
         "choose another optimizer"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_a_line(lines: Lines, text: str, limit: Limit, said: str) -> None:
    assert lines(text, limit) == [said]


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("search: {model: [htc, scnet], optimizer: [SGD, AdamW]}\nforbid: [{model: htc, optimizer: AdamW}]", PAIR),
        ("search: {model: [htc, scnet], optimizer: [SGD, AdamW]}\nforbid: [{model: htc}]", PAIR),
        # only several rules together keep it away
        ("search: {model: [htc, scnet], optimizer: [SGD, AdamW], epochs: [1, 2]}\n"
         "forbid: [{model: htc, epochs: 1}, {optimizer: AdamW, epochs: 2}]", PAIR),
        ("search: {model: [scnet, mask_rcnn]}", PAIR),
        ("fixed: {model: htc, optimizer: SGD}", PAIR),
        ("fixed: {model: solov2, augmentation: none}", CROP),
        ("fixed: {optimizer: SGD}\nsearch: {batch_size: {int: [1, 2]}}", COUNTED),
        ("fixed: {optimizer: SGD, batch_size: 2}", COUNTED),
        ("search: {optimizer: [SGD, AdamW], batch_size: [4, 8]}", FEW),
    ],
)  # fmt: skip
def test_what_stays_clear_of_it_is_none(lines: Lines, text: str, limit: Limit) -> None:
    assert lines(text, limit) == []


def test_a_limit_of_one_scale(lines: Lines) -> None:
    text = "search: {backbone: [resnet50]}"
    assert lines(text, BACKBONE, scale="standard") == []
    assert len(lines(text, BACKBONE, scale="tiny")) == 1


def test_the_default_backbone_follows_the_model_and_the_scale(lines: Lines) -> None:
    limit = Limit({"backbone": ("resnet50",)}, "so it is")
    assert lines("search: {model: [mask_rcnn]}", limit) == []
    assert lines("search: {model: [mask_rcnn]}", limit, scale="standard") == [
        "4:10: search.model: backbone resnet50 (the default) cannot work: so it is; choose another backbone"
    ]


def test_the_default_optimizer_follows_model_and_backbone(lines: Lines) -> None:
    limit = Limit({"optimizer": ("AdamW",)}, "so it is")
    text = "search: {model: [mask_rcnn, mask2former], backbone: [resnet50, swin_tiny]}"
    assert lines(text, limit, scale="standard") == [
        "4:18: search.model[0]: optimizer AdamW (the default) cannot work: so it is; "
        "write under forbid: - {model: mask_rcnn, backbone: swin_tiny}",
        "4:29: search.model[1]: optimizer AdamW (the default) cannot work: so it is; "
        "write under forbid: - {model: mask2former}",
    ]


def test_the_remedy_is_one(lines: Lines) -> None:
    text = "search: {model: [scnet, htc, solov2], optimizer: [SGD, AdamW]}"
    (line,) = lines(text, PAIR)
    rule = line.partition("write under forbid: - ")[2]
    assert lines(f"{text}\nforbid:\n  - {rule}", PAIR) == []


def test_many_names_are_counted(lines: Lines) -> None:
    names = tuple(PARTS["backbone"])
    (line,) = lines(f"search: {{backbone: [{', '.join(names)}], epochs: [1, 2]}}", Limit({"backbone": names[1:]}, "no"))
    assert f"backbone {' or '.join(names[1:7])} or {len(names) - 7} others cannot work: no; " in line
    assert line.endswith(f"- {{backbone: [{', '.join(names[1:])}]}}")


def test_parameters_that_cannot_stand_together(lines: Lines) -> None:
    said = "mask_rcnn: expected rpn_neg_iou of at most rpn_pos_iou, found rpn_neg_iou 0.8 above rpn_pos_iou 0.7"
    (line,) = lines("fixed: {model: {mask_rcnn: {rpn_neg_iou: 0.8}}}")
    assert line == f"4:9: fixed.model: {said} (MMDetection's own)"
    (line,) = lines("search: {model: [htc, {mask_rcnn: {rpn_neg_iou: 0.8}}]}")
    assert line == f"4:23: search.model[1]: {said} (MMDetection's own)"
    assert lines("search: {model: {mask_rcnn: {rpn_neg_iou: [0.1, 0.8]}}}") == []


def test_all_limits_and_all_other_mistakes_at_once(lines: Lines) -> None:
    text = "search: {model: [htc], augmentation: [flip]}\nfixed: {backbone: resnet50}\nscale: big"
    other = Limit({"model": ("htc",)}, "so it is")
    assert [line.partition(":")[0] for line in lines(text, PAIR, BACKBONE, other)] == ["4", "4", "5", "6"]


def test_commands_refuse_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(limits, "catalog_limits", lambda: (PAIR,))
    Path("x.yaml").write_text("study: s\ndata: demo\nfixed: {model: htc, optimizer: AdamW}\n")
    line = (
        "x.yaml:3:9: fixed.model: model htc with optimizer AdamW cannot work: it was said so; "
        "choose another model or another optimizer\n"
    )
    for command in ("check", "plan", "start"):
        assert (main([command, "x.yaml", "--scale", "tiny"]), capsys.readouterr()) == (1, ("", line))
    assert main(["check", "x.yaml", "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["errors"] == [
        {"file": "x.yaml", "line": 3, "column": 9, "key": "fixed.model",
         "message": "model htc with optimizer AdamW cannot work: it was said so",
         "suggestion": "choose another model or another optimizer"},
    ]  # fmt: skip
    assert not Path("sweeps.db").exists()


def test_the_catalogs_own_limits_name_what_there_is() -> None:
    for limit in catalog_limits():
        for key, wanted in limit.when.items():
            assert key in PARTS or key in SETTINGS, limit
            assert key in SETTINGS or set(map(str, wanted)) <= set(PARTS[key]), limit
        assert set(limit.above) | set(limit.below) <= set(SETTINGS), limit
        assert limit.reason and not limit.reason.endswith("."), limit


def test_the_whole_catalog_at_once_is_checked_without_its_product(lines: Lines) -> None:
    """Every name of every part, a rule for each of 60 limits: the product of it all has millions of members."""
    known, rules = [], []
    for number in range(60):
        when = {}
        for part in ("model", "backbone", "augmentation", "optimizer"):
            names = list(PARTS[part])
            when[part] = (names[number % len(names)],)
        known.append(Limit(when, "so it is"))
        rules.append("{" + ", ".join(f"{part}: {name}" for part, (name,) in when.items()) + "}")
    search = ", ".join(f"{part}: [{', '.join(entries)}]" for part, entries in PARTS.items())
    begin = time.process_time()
    assert lines(f"search: {{{search}}}\nforbid: [{', '.join(rules)}]", *known) == []
    assert len(lines(f"search: {{{search}}}\nforbid: [{', '.join(rules[1:])}]", *known)) == 1
    print(f"{time.process_time() - begin:.2f} s")
