"""Every mistake in a space has its exact line: place, key, what was expected and found, what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.catalog import MODELS, PARTS, SETTINGS
from sweeps.space.loader import load
from sweeps.space.problems import SpaceErrors

# what stands in the file below `study: s` and `data: demo` -> the lines that are reported
CASES = {
    "search: {model: [mask_rcn]}": [
        "3:18: search.model[0]: unknown model mask_rcn; did you mean mask_rcnn?",
    ],
    "serach: {}\nfixed: {model: htc}": [
        "3:1: serach: unknown key serach; did you mean search?",
    ],
    "fixed: {modell: htc}": [
        "3:9: fixed.modell: unknown key modell; did you mean model?",
    ],
    "fixed: {epochs: twelve}": [
        "3:9: fixed.epochs: expected a whole number, found 'twelve'",
    ],
    "fixed: {epochs: 1.5}": [
        "3:9: fixed.epochs: expected a whole number, found 1.5",
    ],
    "fixed: {epochs: true}": [
        "3:9: fixed.epochs: expected a whole number, found True",
    ],
    "fixed: {epochs: 0}": [
        "3:9: fixed.epochs: expected a whole number from 1 to 10000, found 0",
    ],
    "fixed: {train_share: 0}": [
        "3:9: fixed.train_share: expected a number from 1e-06 to 1, found 0",
    ],
    "search: {train_share: [0.5, 1.5, half]}": [
        "3:29: search.train_share[1]: expected a number from 1e-06 to 1, found 1.5",
        "3:34: search.train_share[2]: expected a number, found 'half'",
    ],
    "fixed: {lr: 1e-4x}": [
        "3:9: fixed.lr: expected a number, found '1e-4x'",
    ],
    "fixed: {epochs: {int: [1,2]}}": [
        '3:9: fixed.epochs: expected a value, found {"int": [1, 2]}; what varies belongs under search',
    ],
    "search: {lr: {float: [0.1, 0.01]}}": [
        "3:15: search.lr.float: expected low below high, found low 0.1 and high 0.01; write [0.01, 0.1]",
    ],
    "search: {lr: {float: [0.1, 0.1]}}": [
        "3:15: search.lr.float: expected low below high, found 0.1 twice; a choice of one value is [0.1]",
    ],
    "search: {lr: {float: [0, 0.1], log: true}}": [
        "3:15: search.lr.float: expected low above 0 where log is true, found 0",
    ],
    "search: {lr: {float: [0.1, 1], step: 0}}": [
        "3:32: search.lr.step: expected a step above 0, found 0",
    ],
    "search: {lr: {float: [0.1, 1], step: 5}}": [
        "3:32: search.lr.step: expected a step of at most high - low, found 5",
    ],
    "search: {lr: {float: [0.1, 1], step: 0.1, log: true}}": [
        "3:32: search.lr.step: expected no step where log is true; write either log or step",
    ],
    "search: {lr: {float: [0.1, 1], logs: true}}": [
        "3:32: search.lr.logs: unknown key logs; did you mean log?",
    ],
    "search: {lr: {float: [0.1, 1], log: 1}}": [
        "3:32: search.lr.log: expected true or false, found 1",
    ],
    "search: {lr: {float: 0.1}}": [
        "3:15: search.lr.float: expected [low, high], found 0.1",
    ],
    "search: {lr: {flaot: [0.1, 1]}}": [
        (
            "3:15: search.lr.flaot: expected a list, {float: [low, high]}, {int: [low, high]} or "
            "{choice: [...]}, found the key flaot; did you mean float?"
        ),
    ],
    "search: {lr: {float: [a, 1]}}": [
        "3:23: search.lr.float[0]: expected a number, found a",
    ],
    "search: {lr: {float: [0.1, 2000]}}": [
        "3:28: search.lr.float[1]: expected a number from 0 to 1000, found 2000",
    ],
    "search: {lr: {}}": [
        (
            "3:10: search.lr: expected a list, {float: [low, high]}, {int: [low, high]} or {choice: "
            "[...]}, found {}; a value that does not vary belongs under fixed"
        ),
    ],
    "search: {lr: 0.1}": [
        (
            "3:10: search.lr: expected a list, {float: [low, high]}, {int: [low, high]} or {choice: "
            "[...]}, found 0.1; a value that does not vary belongs under fixed"
        ),
    ],
    "search: {lr: {float: [0.1,1], int: [1,2]}}": [
        "3:10: search.lr: expected one of float, int and choice, found several",
    ],
    "search: {epochs: {float: [1, 2]}}": [
        "3:19: search.epochs.float: expected whole numbers, found a range of type float; write int",
    ],
    "search: {epochs: {int: [1, 2.5]}}": [
        "3:28: search.epochs.int[1]: expected a whole number, found 2.5",
    ],
    "search: {adapt: {int: [1, 2]}}": [
        "3:18: search.adapt.int: expected a list of values, found a range of type int",
    ],
    "search: {adapt: [auto, of]}": [
        "3:24: search.adapt[1]: expected one of auto, off, found 'of'",
    ],
    "search: {lr: []}": [
        "3:10: search.lr: expected at least one value, found an empty list",
    ],
    "search: {lr: {choice: []}}": [
        "3:15: search.lr.choice: expected at least one value, found an empty list",
    ],
    "search: {lr: {choice: 3}}": [
        "3:15: search.lr.choice: expected a list, found 3",
    ],
    "search: {lr: [0.1, 0.1]}": [
        "3:20: search.lr[1]: 0.1 stands in this choice a second time",
    ],
    "search: {model: []}": [
        "3:10: search.model: expected at least one name, found none",
    ],
    "search: {model: {}}": [
        "3:10: search.model: expected at least one name, found none",
    ],
    "search: {model: [htc, htc]}": [
        "3:23: search.model[1]: htc stands in this choice a second time",
    ],
    "search: {model: htc}": [
        (
            "3:10: search.model: expected a list of names, or a mapping of names to parameters, found "
            "htc; write model: htc under fixed"
        ),
    ],
    "search: {model: [[htc, scnet]]}": [
        ('3:18: search.model[0]: expected one model, found the list ["htc", "scnet"]; a choice belongs under search'),
    ],
    "search: {model: {float: [1, 2]}}": [
        ('3:10: search.model: expected a list of names, or a mapping of names to parameters, found {"float": [1, 2]}'),
    ],
    "search: {optimizer: {SGD: {lrr: 0.1}}}": [
        "3:28: search.optimizer.SGD.lrr: SGD has no parameter lrr; did you mean lr?",
    ],
    "search: {optimizer: {SGD: {lr: -1}}}": [
        "3:28: search.optimizer.SGD.lr: expected a number from 0 to 1000, found -1",
    ],
    "search: {optimizer: {SGD: {momentum: {float: [0.5, 1.5]}}}}": [
        "3:52: search.optimizer.SGD.momentum.float[1]: expected a number from 0 to 1, found 1.5",
    ],
    "search: {optimizer: {SGD: 3}}": [
        "3:22: search.optimizer.SGD: expected a mapping of keys to values, found 3",
    ],
    "fixed: {optimizer: {SGD: {lr: [0.1]}}}": [
        "3:27: fixed.optimizer.SGD.lr: expected a value, found [0.1]; what varies belongs under search",
    ],
    "fixed: {augmentation: {none: {probability: 1}}}": [
        '3:24: fixed.augmentation.none: none takes no parameters, found {"probability": 1}',
    ],
    "fixed: {optimizer: [SGD]}": [
        ('3:9: fixed.optimizer: expected one optimizer, found the list ["SGD"]; a choice belongs under search'),
    ],
    "fixed: {optimizer: 5}": [
        "3:9: fixed.optimizer: expected the name of one optimizer, found 5",
    ],
    "fixed: {augmentation: [none, flip]}": [
        "3:24: fixed.augmentation[0]: none stands alone, found it among others; leave it out",
    ],
    "fixed: {augmentation: [resize_1024x1024, resize_1333x800]}": [
        "3:9: fixed.augmentation: expected at most one size, found resize_1024x1024 and resize_1333x800",
    ],
    "fixed: {augmentation: [flip, flop]}": [
        "3:30: fixed.augmentation[1]: unknown augmentation flop; did you mean flip?",
    ],
    "search: {augmentation: [flip, [flip]]}": [
        "3:31: search.augmentation[1]: flip stands in this choice a second time",
    ],
    "search: {augmentation: [none, []]}": [
        "3:31: search.augmentation[1]: none stands in this choice a second time",
    ],
    "": [
        "1:1: expected fixed or search, found neither: a space says what to try",
    ],
    "search: {}": [
        "1:1: expected fixed or search, found neither: a space says what to try",
    ],
    "fixed: {lr: 0.1}\nsearch: {lr: [0.1]}": [
        "4:10: search.lr: lr stands under fixed as well; leave one of them out",
    ],
    "fixed: {lr: 0.1}\nsearch: {optimizer: {SGD: {lr: [0.1]}}}": [
        ("4:28: search.optimizer.SGD.lr: the learning rate is given here and as fixed.lr; leave one of them out"),
    ],
    "search: {lr: [0.1], optimizer: [{SGD: {lr: 1}}]}": [
        ("3:21: search.optimizer.SGD.lr: the learning rate is given here and as search.lr; leave one of them out"),
    ],
    "search: {model: [htc]}\nforbid: [{model: htd}]": [
        "4:11: forbid[0].model: unknown model htd; did you mean htc?",
    ],
    "search: {model: [htc]}\nforbid: [{model: htc}]": [
        "4:1: forbid: the rules forbid every combination; leave one of them out",
    ],
    "search: {model: [htc]}\nforbid: [{modl: htc}]": [
        "4:11: forbid[0].modl: unknown key modl; did you mean model?",
    ],
    "search: {model: [htc]}\nforbid: [{backbone: resnet18}]": [
        (
            "4:11: forbid[0].backbone: backbone is neither fixed nor searched, so no rule can tell "
            "what it is; write backbone under fixed or search"
        ),
    ],
    "search: {model: [htc]}\nforbid: {model: htc}": [
        '4:1: forbid: expected a list of rules, found {"model": "htc"}; write - {model: NAME, ...}',
    ],
    "search: {model: [htc]}\nforbid: [{}]": [
        "4:10: forbid[0]: expected at least one key, found an empty rule",
    ],
    "search: {model: [htc], lr: {float: [0.1, 1]}}\nbudget: {trials: 3}\nforbid: [{lr: 1}]": [
        (
            "5:11: forbid[0].lr: unknown key lr; write one of "
            + ", ".join((*PARTS, *(name for name in SETTINGS if name not in ("lr", "seed"))))
        ),
    ],
    "search: {lr: {float: [0.1, 1]}}": [
        (
            "1:1: budget.trials: expected a number of trials, found none, and the space is infinite; "
            "write budget: {trials: 20}"
        ),
    ],
    "search: {lr: {float: [0.1, 1]}}\nsampler: {kind: exhaustive}\nbudget: {trials: 3}": [
        "4:11: sampler.kind: an infinite space cannot be tried out; write tpe, or give every range a step",
    ],
    "fixed: {lr: 1}\nobjective: segm_map": [
        (
            "4:1: objective: expected segm_mAP, segm_mAP_50, bbox_mAP or segm_mAP@LOW:HIGH[:STEP], "
            "found segm_map; did you mean segm_mAP?"
        ),
    ],
    "fixed: {lr: 1}\nobjective: segm_mAP@0.6:0.3": [
        (
            "4:1: objective: expected IoU thresholds 0 < LOW <= HIGH < 1, found segm_mAP@0.6:0.3; "
            "write e.g. segm_mAP@0.3:0.6"
        ),
    ],
    "fixed: {lr: 1}\nobjective: segm_mAP@a:b": [
        ("4:1: objective: expected numbers in LOW:HIGH[:STEP], found segm_mAP@a:b; write e.g. segm_mAP@0.3:0.6"),
    ],
    "fixed: {lr: 1}\nobjective: {metrik: x, at: frist}": [
        "4:13: objective.metrik: unknown key metrik; did you mean metric?",
        "4:24: objective.at: expected one of last, best, found frist",
    ],
    "fixed: {model: solov2}\nobjective: bbox_mAP": [
        "3:9: fixed.model: solov2 predicts no boxes, and the objective is bbox_mAP",
    ],
    "fixed: {lr: 1}\nbudget: {trials: 0}": [
        "4:10: budget.trials: expected a whole number from 1, found 0",
    ],
    "fixed: {lr: 1}\nbudget: {trials: 1.5, hours: 0, gpu_hours: -1, until: 2, trails: 3}": [
        "4:10: budget.trials: expected a whole number, found 1.5",
        "4:23: budget.hours: expected a number above 0, found 0",
        "4:33: budget.gpu_hours: expected a number from 0, found -1",
        "4:48: budget.until: expected a number from 0 to 1, found 2",
        "4:58: budget.trails: unknown key trails; did you mean trials?",
    ],
    "fixed: {lr: 1}\nbudget: 3": [
        "4:1: budget: expected a mapping of keys to values, found 3",
    ],
    "fixed: {lr: 1}\nsampler: tpe": [
        "4:1: sampler: expected a mapping, found tpe; write sampler: {kind: tpe}",
    ],
    "fixed: {lr: 1}\npruner: {kind: medain}": [
        (
            "4:10: pruner.kind: expected one of auto, none, median, successive_halving, hyperband, wilcoxon, found "
            "medain; did you mean median?"
        ),
    ],
    "fixed: {lr: 1}\npruner: {kind: median, interval: 0, warmup: 3}": [
        "4:24: pruner.interval: expected a whole number from 1, found 0",
        "4:37: pruner.warmup: unknown key warmup; did you mean warmup_epochs?",
    ],
    "fixed: {lr: 1}\nscale: big": [
        "4:1: scale: expected one of auto, tiny, standard, found big",
    ],
    "fixed: {lr: 1}\nrepeats: 0": [
        "4:1: repeats: expected a whole number from 1 to 1000, found 0",
    ],
    "search: {seed: [0, 1]}\nrepeats: 3\nsampler: {kind: pairwise}": [
        "4:1: repeats: seeds are searched already; leave out search.seed, or write repeats: 1",
        "4:1: repeats: sampler pairwise trains each of its rows once; write repeats: 1",
    ],
    "fixed: {lr: 1}\nfrom: other": [
        "4:1: from: from is not available in a space; write a campaign: its stages start from the best before",
    ],
    "fixed: {image_size: [1,2,3]}": [
        "3:9: fixed.image_size: expected one number or [width, height], found [1, 2, 3]",
    ],
    "fixed: {image_size: 8}": [
        (
            "3:9: fixed.image_size: expected a whole number from 32 to 8192, found 8; write the "
            "longest side in pixels, or [width, height]"
        ),
    ],
    "fixed: {image_size: [640, x]}": [
        "3:27: fixed.image_size[1]: expected a whole number, found 'x'",
    ],
    "fixed: {pretrained: 3}": [
        "3:9: fixed.pretrained: expected none, imagenet, coco, or the path, URL or hub id of weights, found 3",
    ],
    "fixed: [1]": [
        "3:1: fixed: expected a mapping of keys to values, found [1]",
    ],
    "search: 3": [
        "3:1: search: expected a mapping of keys to values, found 3",
    ],
    "config: [1]": [
        "3:1: config: expected a mapping of dotted paths to values, found [1]",
    ],
    "config: {a b: 1}": [
        "3:10: config.a b: expected a dotted path such as model.rpn_head.loss_cls, found a b",
    ],
    "config: {a.b: {float: [2, 1]}}": [
        "3:16: config.a.b.float: expected low below high, found low 2 and high 1; write [1, 2]",
    ],
    "config: {a.b: {choice: []}}": [
        "3:16: config.a.b.choice: expected at least one value, found an empty list",
    ],
    "search: {model: [htc]}\nforbid: [{model: []}]": [
        "4:11: forbid[0].model: expected at least one name, found an empty list",
    ],
    "fixed: {pretrained: null}": [
        "3:9: fixed.pretrained: expected none, imagenet, coco, or the path, URL or hub id of weights, found null",
    ],
    "search: {lr: [null]}": [
        "3:15: search.lr[0]: expected a number, found None",
    ],
    "search: {image_size: {int: [16, 64]}}": [
        (
            "3:29: search.image_size.int[0]: expected a whole number from 32 to 8192, found 16; write "
            "the longest side in pixels, or [width, height]"
        ),
    ],
    "search: {optimizer: [SGD: {lr: 1, momentum: 2}]}": [
        "3:35: search.optimizer[0].SGD.momentum: expected a number from 0 to 1, found 2",
    ],
    "search: {optimizer: {SGD: {lr: {float: [0.1, 0.01]}}, Adam: }}": [
        (
            "3:33: search.optimizer.SGD.lr.float: expected low below high, found low 0.1 and high "
            "0.01; write [0.01, 0.1]"
        ),
        "3:55: search.optimizer.Adam: unknown optimizer Adam; did you mean AdamW?",
    ],
    "search: {augmentation: [[flip: {probability: [0.1]}, flip: {probability: [0.2]}]]}": [
        "3:25: search.augmentation[0]: expected searched parameters of flip once, found them 2 times",
    ],
}

# a whole file -> the lines that are reported
WHOLE = {
    "study:\ndata: demo\nfixed: {lr: 1}\n": [
        "1:1: study: expected the name of the study, found none; write study: NAME",
    ],
    "study: 3\ndata: demo\nfixed: {lr: 1}\n": [
        '1:1: study: expected a text, found 3; write study: "3"',
    ],
    "study: a/b\ndata: demo\nfixed: {lr: 1}\n": [
        ("1:1: study: expected letters, digits, '_', '-' and '.' (it names a folder), found a/b; write study: a_b"),
    ],
    "study: ..\ndata: demo\nfixed: {lr: 1}\n": [
        ("1:1: study: expected letters, digits, '_', '-' and '.' (it names a folder), found ..; write study: NAME"),
    ],
    "study: s\ndata:\nfixed: {lr: 1}\n": [
        "2:1: data: expected demo or a data file, found none; write data: demo, or use --data FILE",
    ],
    "study: s\ndata: [1]\nfixed: {lr: 1}\n": [
        "2:1: data: expected demo or the path of a data file, found [1]",
    ],
    "study: s\ndata: .\nfixed: {lr: 1}\n": [
        "2:1: data: expected a data file, found the folder .",
    ],
}


def problems(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(folder)
    Path("x.yaml").write_text(text)
    with pytest.raises(SpaceErrors) as caught:
        load(Path("x.yaml"))
    return [problem.text().removeprefix("x.yaml:") for problem in caught.value.problems]


@pytest.mark.parametrize("text", CASES)
def test_mistake(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(f"study: s\ndata: demo\n{text}\n", tmp_path, monkeypatch) == CASES[text]


@pytest.mark.parametrize("text", WHOLE)
def test_mistake_in_name_or_data(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(text, tmp_path, monkeypatch) == WHOLE[text]


def test_an_unknown_name_that_is_near_to_none_is_answered_with_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = problems("study: s\ndata: demo\nsearch: {model: [zzz]}\n", tmp_path, monkeypatch)
    assert found == [f"3:18: search.model[0]: unknown model zzz; write one of {', '.join(MODELS)}"]


def test_files_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nuclei.yaml").write_text("")
    text = "study: s\ndata: nucleus.yaml\nfixed: {pretrained: nope.pth}\n"
    assert problems(text, tmp_path, monkeypatch) == [
        f"2:1: data: expected demo or a data file, found nucleus.yaml, and there is no such file in "
        f"{tmp_path}; did you mean nuclei.yaml?",
        "3:9: fixed.pretrained: expected none, imagenet, coco, or the path, URL or hub id of weights, found nope.pth, "
        f"and there is no such file in {tmp_path}",
    ]


def test_all_mistakes_of_a_file_at_once_in_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """\
study: my study
data: demo
fixed:
  model: mask_rcn
  epochs: many
search:
  optimizer:
    SGD: {lr: {float: [0.1, 0.01]}, momentun: 0.9}
    AdamV:
  batch_size: []
budget: {trials: -1}
sampler: {kind: magic}
"""
    assert problems(text, tmp_path, monkeypatch) == [
        "1:1: study: expected letters, digits, '_', '-' and '.' (it names a folder), found my study; "
        "write study: my_study",
        "4:3: fixed.model: unknown model mask_rcn; did you mean mask_rcnn?",
        "5:3: fixed.epochs: expected a whole number, found 'many'",
        "8:16: search.optimizer.SGD.lr.float: expected low below high, found low 0.1 and high 0.01; write [0.01, 0.1]",
        "8:37: search.optimizer.SGD.momentun: SGD has no parameter momentun; did you mean momentum?",
        "9:5: search.optimizer.AdamV: unknown optimizer AdamV; did you mean AdamW?",
        "10:3: search.batch_size: expected at least one value, found an empty list",
        "11:10: budget.trials: expected a whole number from 1, found -1",
        "12:11: sampler.kind: expected one of auto, exhaustive, pairwise, tpe, random, qmc, gp, nsga2, found magic",
    ]


def test_the_error_of_a_command_is_all_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("study: s\ndata: demo\nfixed: {epoch: 1, modle: htc}\n")
    with pytest.raises(SpaceErrors) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}:3:9: fixed.epoch: unknown key epoch; did you mean epochs?\n"
        f"{path}:3:19: fixed.modle: unknown key modle; did you mean model?"
    )


def test_the_data_option_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("study: s\nfixed: {lr: 1}\n")
    with pytest.raises(SpaceErrors) as caught:
        load(path, data=tmp_path / "gone.yaml")
    assert str(caught.value) == (
        f"--data:1:1: data: expected demo or a data file, found {tmp_path}/gone.yaml, and there is no such "
        f"file in {tmp_path}"
    )
