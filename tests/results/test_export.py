"""What is handed back, and that nothing in it can do harm."""

from __future__ import annotations

import ast
import json
import math
import os
import tokenize
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mmengine.config import Config

from results.errors import ResultsError
from results.export import config_text, copy_checkpoint, imported, params_document
from results.files import replacing, write_atomically
from results.ranking.confirmation import pick
from results.records import StudyRecord, TrialRecord

TrialMaker = Callable[..., TrialRecord]
CONFIG = """model = dict(type='MaskRCNN')
custom_imports = dict(
    allow_failed_imports=False, imports=['runner.plugins.hook', 'runner.plugins.metric'])
"""

HEADER = """\
# MMDetection config, exported by sweep
#
# study:      models
# trial:      3, combination 00000003, seed 0, 12 epochs
# owner:      김철수
# parts:      model mask_rcnn, backbone resnet18, augmentation flip, optimizer AdamW
# score:      0.58612912331234 (segm_mAP of the last epoch)
# detections: at most 300 an image
# data:       nuclei, 4 validation images, hash 0123abcd
# versions:   mmdet 3.3.0, torch 2.13.0
# machine:    device cpu, threads 1, loader workers 2
# imports:    runner.plugins.hook, runner.plugins.metric (install this project to run it)
# run:        python train.py best_models.py
# On a CPU of this type, with these threads and workers, the score comes out to the last digit.
"""


def test_the_header(study: StudyRecord, trial_of: TrialMaker) -> None:
    trial = trial_of(3, 0.58612912331234, owner="김철수", data_hash="0123abcd")
    text = config_text(study, trial, CONFIG, "python train.py best_models.py")
    assert text == HEADER + "\n" + CONFIG


def test_of_a_gpu_no_last_digit_is_promised(study: StudyRecord, trial_of: TrialMaker) -> None:
    trial = trial_of(3, device="cuda:0", versions={"torch": "2.13.0", "device": "NVIDIA H200", "threads": "1"})
    lines = config_text(study, trial, CONFIG, "python train.py best_models.py").splitlines()
    assert "# machine:    device NVIDIA H200, threads 1, loader workers unknown" in lines
    assert "# On a GPU of this type kernels that add atomically may change the last digits of the score." in lines
    assert not any("CPU" in line for line in lines)


def test_a_standalone_config_says_what_it_leaves_out(study: StudyRecord, trial_of: TrialMaker) -> None:
    text = config_text(study, trial_of(0), "model = 1\n", "python train.py x.py", ["left out: our metric"])
    assert "# imports:    MMDetection only\n" in text
    assert text.endswith("# left out: our metric\n\nmodel = 1\n")


@pytest.mark.parametrize(
    "evil",
    [
        "x\nimport os", "x\rimport os", "x\r\nimport os", "x\u2028import os", "x\x85import os",
        "x\x0cimport os", "x\x00y", "\udc80", "{{ _base_.model }}", "{{$HOME:}}", "{{{{ fileDirname }}}}",
        "-*- coding: utf-7 -*-", "\u202e이름",
    ],
)  # fmt: skip
def test_no_value_leaves_the_header(study: StudyRecord, trial_of: TrialMaker, tmp_path: Path, evil: str) -> None:
    """Python and mmengine read only the config below, whatever a name holds."""
    trial = trial_of(0, owner=evil, device=evil, versions={"torch": evil, evil: "1"}, combination=evil)
    shady = replace(study, name=evil, data={"name": evil, "n_val": 4}, objective=evil)
    text = config_text(shady, trial, "model = dict(type='X')\n", evil, [evil])
    assert ast.dump(ast.parse(text)) == ast.dump(ast.parse("model = dict(type='X')\n"))
    header = text.split("\nmodel", 1)[0]
    assert all(line.startswith("#") for line in header.splitlines() if line)
    path = tmp_path / "best.py"
    write_atomically(path, text)
    with path.open("rb") as file:
        assert tokenize.detect_encoding(file.readline)[0] == "utf-8"
    assert Config.fromfile(path).to_dict() == {"model": {"type": "X"}}


def test_imported_modules() -> None:
    assert imported(CONFIG) == ["runner.plugins.hook", "runner.plugins.metric"]
    assert imported("custom_imports = {'imports': ('a.b',), 'allow_failed_imports': False}") == ["a.b"]
    assert imported("model = 1") == imported("not python (") == []


def test_parameters_for_another_program(study: StudyRecord, trial_of: TrialMaker) -> None:
    document = params_document(study, trial_of(3, math.nan))
    assert document["score"] is None
    assert document["parts"]["optimizer"] == {"name": "AdamW", "params": {"lr": 0.001}}
    assert document["params"]["optimizer.lr"] == 0.001
    assert (document["study"], document["trial"], document["seed"]) == ("models", 3, 0)
    json.dumps(document, allow_nan=False)


def test_what_ran_out_of_memory_is_handed_on_as_it_was_trained(study: StudyRecord, trial_of: TrialMaker) -> None:
    trial = trial_of(3, adjusted={"batch_size": 1, "accumulate": 2})
    settings = params_document(study, trial)["parts"]["settings"]
    assert settings == {**trial.parts["settings"], "batch_size": 1, "accumulate": 2}


def test_pick_the_best(trial_of: TrialMaker) -> None:
    trials = [
        trial_of(0, 0.4), trial_of(1, 0.5), trial_of(2, 0.5), trial_of(3, 0.9, state="pruned"),
        trial_of(4, math.nan),
    ]  # fmt: skip
    assert pick(trials)[0].number == 1
    assert [one.number for one in pick(trials, 0)] == [0]


def test_nothing_to_pick(trial_of: TrialMaker) -> None:
    trials = [trial_of(0, None, state="failed", reason="out of\nmemory"), trial_of(1, None, state="running")]
    cases = {
        None: "no trial is complete yet (1 failed, 1 running); see: sweep status",
        7: "there is no trial 7; there are 0 to 1",
        0: "trial 0 is failed, not complete (out of memory); see: sweep rank --all --study models",
        1: "trial 1 is running, not complete; see: sweep rank --all --study models",
    }
    for number, expected in cases.items():
        with pytest.raises(ResultsError) as error:
            pick(trials, number)
        assert str(error.value) == expected
    for number, expected in {
        None: "no trial is complete yet; see: sweep status",
        0: "there is no trial 0; there is none yet",
    }.items():
        with pytest.raises(ResultsError) as error:
            pick([], number)
        assert str(error.value) == expected


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "best.py"
    write_atomically(path, "입자\n")
    assert path.read_text(encoding="utf-8") == "입자\n"
    umask = os.umask(0o022)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    path.chmod(0o600)
    write_atomically(path, b"\x00\x01")
    assert path.read_bytes() == b"\x00\x01" and path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.py").symlink_to("real.py")
    write_atomically(tmp_path / "link.py", "x")
    assert (tmp_path / "link.py").is_symlink() and (tmp_path / "real.py").read_text() == "x"


def test_a_device_is_written_not_replaced() -> None:
    write_atomically(Path("/dev/null"), "x")
    assert Path("/dev/null").is_char_device()


def test_what_cannot_be_written(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "best.py"
    for path, expected in {
        tmp_path: f"cannot write {tmp_path}: it is a folder; name a file with --out",
        missing: f"cannot write {missing}: the folder {missing.parent} does not exist",
        Path("/dev/full"): "cannot write /dev/full: the disk is full",
    }.items():
        with pytest.raises(ResultsError) as error:
            write_atomically(path, "x")
        assert str(error.value) == expected
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_copied(tmp_path: Path) -> None:
    source, target = tmp_path / "epoch_12.pth", tmp_path / "best.pth"
    source.write_bytes(os.urandom(3_000_000))
    copy_checkpoint(source, target)
    assert target.read_bytes() == source.read_bytes()
    source.unlink()
    with pytest.raises(ResultsError) as error:
        copy_checkpoint(source, target)
    assert str(error.value) == (
        f"the checkpoint {source} is gone; export the config and train again: sweep best --export config"
    )
    assert target.stat().st_size == 3_000_000


def test_half_a_file_is_never_seen(tmp_path: Path) -> None:
    path = tmp_path / "best.py"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]
