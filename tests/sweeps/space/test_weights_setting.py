"""What a space may write under ``pretrained``; nothing is fetched while it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeps.space.loader import load
from sweeps.space.problems import SpaceErrors

EXPECTED = "expected none, imagenet, coco, or the path, URL or hub id of weights, found"


def read(folder: Path, value: str) -> object:
    path = folder / "space.yaml"
    path.write_text(f"study: s\ndata: demo\nscale: standard\nfixed: {{model: mask_rcnn, backbone: resnet50, "
                    f"pretrained: {value}}}\n")  # fmt: skip
    return load(path).fixed["pretrained"]


def problem(folder: Path, value: str) -> str:
    with pytest.raises(SpaceErrors) as caught:
        read(folder, value)
    (line,) = str(caught.value).splitlines()
    return line.partition("fixed.pretrained: ")[2]


@pytest.mark.parametrize(
    "value",
    [
        "none", "imagenet", "coco", "https://host/w.pth", "http://127.0.0.1:8000/a/w.pth#sha256=0123abcd",
        "https://host/w?id=3", "facebook/convnextv2-tiny-1k-224", "org/name@main", "org/name@0123abcd",
    ],
)  # fmt: skip
def test_what_is_taken_as_it_is(tmp_path: Path, value: str) -> None:
    assert read(tmp_path, f"'{value}'") == value


def test_paths_are_relative_to_the_space(tmp_path: Path) -> None:
    (tmp_path / "weights" / "model").mkdir(parents=True)
    (tmp_path / "weights" / "r50.pth").write_bytes(b"")
    (tmp_path / "weights" / "model" / "model.safetensors").write_bytes(b"")
    assert read(tmp_path, "weights/r50.pth") == str(tmp_path / "weights" / "r50.pth")
    assert read(tmp_path, "weights/model") == str(tmp_path / "weights" / "model")
    assert read(tmp_path, str(tmp_path / "weights/r50.pth")) == str(tmp_path / "weights" / "r50.pth")


@pytest.mark.parametrize(
    ("value", "found", "rest"),
    [
        ("imagnet", "imagnet", "and there is no such file in {folder}; did you mean imagenet?"),
        ("resnet50", "resnet50", "and there is no such file in {folder}; write one of none, imagenet, coco"),
        ("weights/r50.pth", "weights/r50.pth", "and there is no such file in {folder}/weights"),
        ("./r50", "./r50", "and there is no such file in {folder}"),
        ("here/r50", "here/r50", "and there is no such file in {folder}/here"),
        ("here", "here", "and {folder}/here is a folder without model.safetensors or pytorch_model.bin; "
                         "write one of none, imagenet, coco"),
        ("a/b/c", "a/b/c", "and there is no such file in {folder}/a/b"),
    ],
)  # fmt: skip
def test_a_path_that_is_not_there(tmp_path: Path, value: str, found: str, rest: str) -> None:
    (tmp_path / "here").mkdir()
    assert problem(tmp_path, value) == f"{EXPECTED} {found}, {rest.format(folder=tmp_path)}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("3", f"{EXPECTED} 3"),
        ("''", f'{EXPECTED} ""'),
        ("[]", f"{EXPECTED} []"),
        ("s3://bucket/r50", f"{EXPECTED} s3://bucket/r50; write its http or https address"),
        (
            "torchvision://resnet5",
            "torchvision://resnet5: MMEngine's table has no resnet5; write the address of a file, or train without "
            "(--set fixed.pretrained=none) or from a file (--set fixed.pretrained=PATH)",
        ),
        ("https://", "expected an address such as https://HOST/NAME.pth, found https://"),
        ("https://host", "expected the address of a file, found https://host"),
        (
            "'https://host/w.pth#sha256=zz'",
            "expected #sha256=HEX (8 to 64 digits) or nothing after the address, found https://host/w.pth#sha256=zz",
        ),
    ],
)
def test_what_names_nothing(tmp_path: Path, value: str, expected: str) -> None:
    assert problem(tmp_path, value) == expected


def test_several_may_be_searched(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"")
    path = tmp_path / "space.yaml"
    path.write_text("study: s\ndata: demo\nscale: standard\nfixed: {model: mask_rcnn, backbone: resnet50}\n"
                    "search: {pretrained: [none, imagenet, coco, w.pth, 'https://host/w.pth']}\n")  # fmt: skip
    form = load(path).search["pretrained"]
    assert form.labels == ("none", "imagenet", "coco", str(tmp_path / "w.pth"), "https://host/w.pth")  # type: ignore[union-attr]
