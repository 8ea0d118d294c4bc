"""Checkpoints by people we do not know: their tensors are read, nothing of them is run."""

from __future__ import annotations

import builtins
import json
import os
import random
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from mmengine.logging import HistoryBuffer
from weights_server import Shelf, serving

from runner import plugins  # noqa: F401  registers our loader
from runner.training.tensors import read
from runner.training.weights import OTHER_WEIGHTS, WeightsError

TENSORS = {"conv.weight": torch.arange(6.0).reshape(2, 3), "bn.num_batches_tracked": torch.tensor(3)}


class Call:
    """Pickled, this is a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.call


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    monkeypatch.setenv("SWEEP_WEIGHTS", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as shelf:
        yield shelf


def same(found: dict[str, Any]) -> bool:
    return found.keys() == TENSORS.keys() and all(torch.equal(found[name], TENSORS[name]) for name in TENSORS)


@pytest.mark.parametrize(
    "layout",
    [
        TENSORS,
        {"state_dict": TENSORS, "meta": {"epoch": 3}},
        {"model": TENSORS},
        {"model": TENSORS, "optimizer": {"state": {}}, "epoch": 300, "args": Namespace(lr=0.1)},
        {"state_dict": TENSORS, "message_hub": {"loss": HistoryBuffer([1.0], [1])}},
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_layouts_of_other_tools(tmp_path: Path, layout: dict[str, Any], zipped: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(layout, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    found = read(tmp_path / "w.pth")
    assert same(found["state_dict"])
    assert found.get("meta") == layout.get("meta")


def test_safetensors_under_any_name(tmp_path: Path) -> None:
    for name in ("w.safetensors", "w.bin"):
        safetensors.torch.save_file(TENSORS, tmp_path / name)
        assert same(read(tmp_path / name)["state_dict"])


def test_a_folder_whole_or_in_shards(tmp_path: Path) -> None:
    whole, shards = tmp_path / "whole", tmp_path / "shards"
    whole.mkdir()
    shards.mkdir()
    torch.save(TENSORS, whole / "pytorch_model.bin")
    assert same(read(whole)["state_dict"])
    names = {name: f"model-{number}.safetensors" for number, name in enumerate(TENSORS)}
    for name, file in names.items():
        safetensors.torch.save_file({name: TENSORS[name]}, shards / file)
    (shards / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    assert same(read(shards)["state_dict"])


def hostile(target: Path) -> list[tuple[Callable[..., Any], tuple[object, ...]]]:
    return [
        (os.system, (f"touch {target}",)),
        (builtins.exec, (f"open({str(target)!r}, 'w')",)),
        (builtins.open, (str(target), "w")),
        (os.mkdir, (str(target),)),
        (builtins.getattr, (os, "system")),
    ]


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("beside", [True, False])
def test_nothing_in_a_file_is_run(tmp_path: Path, number: int, zipped: bool, beside: bool) -> None:
    """Whether the file is refused or its tensors are read."""
    target = tmp_path / "PWNED"
    function, arguments = hostile(target)[number]
    if function is builtins.getattr:
        function, arguments = Call, (os.system, f"touch {target}")
    layout = {"state_dict": TENSORS if beside else {}, "more": Call(function, *arguments)}
    torch.save(layout, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    try:
        found = read(tmp_path / "w.pth")
        assert beside and same(found["state_dict"])
    except WeightsError as error:
        assert "\n" not in str(error)
    assert not target.exists()


def test_nothing_in_a_download_is_run(shelf: Shelf, tmp_path: Path) -> None:
    """MMEngine's own download would run it."""
    from mmengine.runner import CheckpointLoader

    target = tmp_path / "PWNED"
    torch.save({"state_dict": TENSORS, "more": Call(os.system, f"touch {target}")}, tmp_path / "w.pth")
    source = shelf.put("/w.pth", (tmp_path / "w.pth").read_bytes())
    with pytest.raises(WeightsError, match=r"GLOBAL posix.system"):
        CheckpointLoader.load_checkpoint(source)
    assert not target.exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("w.pth", b"<html>Please log in</html>"),
        ("w.pth", b""),
        ("w.pth", b"PK\x03\x04 half a zip"),
        ("w.safetensors", b"\x10\0\0\0\0\0\0\0{"),
        ("w.safetensors", b"text"),
        ("w.npz", random.Random(0).randbytes(100)),
    ],
)
def test_what_is_no_checkpoint(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        read(tmp_path / name)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / name} is no checkpoint that can be read: ") and "\n" not in message
    assert message.endswith(OTHER_WEIGHTS)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_half_a_checkpoint(tmp_path: Path, zipped: bool, part: float) -> None:
    torch.save({"w": torch.rand(1000)}, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    whole = (tmp_path / "w.pth").read_bytes()
    (tmp_path / "w.pth").write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(WeightsError, match="is no checkpoint that can be read"):
        read(tmp_path / "w.pth")


@pytest.mark.parametrize("layout", [{}, {"state_dict": {}}, [torch.ones(1)], torch.ones(1), {"a": 1}, "text"])
def test_no_tensors(tmp_path: Path, layout: Any) -> None:
    torch.save(layout, tmp_path / "w.pth")
    with pytest.raises(WeightsError) as caught:
        read(tmp_path / "w.pth")
    assert str(caught.value) == f"{tmp_path / 'w.pth'} holds no tensors by name; {OTHER_WEIGHTS}"
