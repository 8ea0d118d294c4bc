"""Two spellings of one combination are found before both are trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.protocol import Scale
from sweeps.space.loader import load
from sweeps.space.problems import SpaceErrors


def lines(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch, scale: Scale = "tiny") -> list[str]:
    monkeypatch.chdir(folder)
    Path("x.yaml").write_text(f"study: s\ndata: demo\nbudget: {{trials: 9}}\n{text}\n")
    try:
        load(Path("x.yaml"), scale=lambda _: scale)
    except SpaceErrors as error:
        return [problem.text().removeprefix("x.yaml:") for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("search: {image_size: [256, [640, 512], [256, 256]]}",
         "4:40: search.image_size[2]: 256x256 trains the same as 256 (line 4, column 23) at scale tiny; "
         "leave one of them out"),
        ("search: {optimizer: [AdamW, {AdamW: {lr: 0.001}}]}",
         "4:29: search.optimizer[1]: AdamW(lr=0.001) trains the same as AdamW (line 4, column 22) at scale tiny; "
         "leave one of them out"),
        ("search: {optimizer: [{AdamW: {lr: 0.001}}, {AdamW: {lr: [0.01, 0.001]}}]}",
         "4:44: search.optimizer[1]: AdamW with lr 0.001 trains the same as AdamW(lr=0.001) (line 4, column 22) "
         "at scale tiny; leave one of them out"),
        ("search:\n  augmentation:\n  - flip\n  - [flip: {probability: 0.5}]",
         "7:5: search.augmentation[1]: flip(probability=0.5) trains the same as flip (line 6, column 5) "
         "at scale tiny; leave one of them out"),
    ],
)  # fmt: skip
def test_twins(text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lines(text, tmp_path, monkeypatch) == [said]


@pytest.mark.parametrize(
    "text",
    [
        "search: {image_size: [256, 300, [256, 300]]}",
        "search: {optimizer: [AdamW, {AdamW: {lr: 0.002}}]}",
        "search: {optimizer: {SGD: {lr: [0.1, 0.2]}, AdamW: {lr: [0.1, 0.2]}}, seed: [0, 1]}",
        "search: {optimizer: [SGD, {AdamW: {lr: {float: [0.001, 0.1]}}}]}",
        "search: {augmentation: [none, flip, [flip, resize_1024x1024], [resize_1024x1024, flip]]}",
    ],
)
def test_what_differs(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lines(text, tmp_path, monkeypatch) == []


def test_defaults_are_those_of_the_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "search: {optimizer: [AdamW, {AdamW: {lr: 0.001}}]}"
    assert lines(text, tmp_path, monkeypatch, "standard") == []
    text = "search: {optimizer: [AdamW, {AdamW: {lr: 0.0001}}]}"
    assert len(lines(text, tmp_path, monkeypatch, "standard")) == 1
