"""`sweep catalog`: everything that can be chosen, for people, for programs, and as a page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from runner import userparts
from runner.catalog import PARTS, SETTINGS, catalog_limits
from sweeps.catalog.catalog import KINDS, document, limits, short
from sweeps.catalog.page import page
from sweeps.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "catalog.md"
Captured = pytest.CaptureFixture[str]

MINE = """\
from runner.catalog import Augmentation, Parameter, add
add(Augmentation("grain", "카메라 잡음", "my_parts.py", {"sigma": Parameter("float", 8.0, 0, 64)}, strength=0.2))
"""


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    for module in list(userparts.loaded()):
        userparts.unload(module)


def said(capsys: Captured, *arguments: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of ``sweep catalog``."""
    capsys.readouterr()
    code = main(["catalog", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_page_is_the_catalog() -> None:
    made = page(document(list(KINDS)), limits())
    assert PAGE.read_text(encoding="utf-8") == made, "write it anew: sweep catalog --format markdown > docs/catalog.md"


def test_json_has_every_name_with_every_parameter(capsys: Captured) -> None:
    code, out, err = said(capsys, "--format", "json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert list(found) == ["models", "backbones", "augmentations", "optimizers", "schedules", "settings", "limits"]
    for part, entries in PARTS.items():
        listed = {entry["name"]: entry for entry in found[f"{part}s"]}
        assert {name: list(entry["parameters"]) for name, entry in listed.items()} == {
            name: list(entry.parameters) for name, entry in entries.items()
        }
    assert [entry["name"] for entry in found["settings"]] == list(SETTINGS)
    assert [limit["reason"] for limit in found["limits"]] == [limit.reason for limit in catalog_limits()]
    rate = next(entry for entry in found["optimizers"] if entry["name"] == "AdamW")["parameters"]["lr"]
    assert rate == {
        "kind": "float", "default": 0.0001, "default_tiny": 0.001, "low": 0, "high": 1000, "choices": [], "log": True,
        "help": "learning rate after warm-up",
    }  # fmt: skip


def test_defaults_of_settings_are_those_that_hold(capsys: Captured) -> None:
    settings = {
        entry["name"]: entry for entry in json.loads(said(capsys, "settings", "--format", "json")[1])["settings"]
    }
    defaults = {name: (settings[name]["default"], settings[name]["default_tiny"]) for name in settings}
    assert defaults["epochs"] == (12, None)  # at tiny they follow the data
    assert defaults["image_size"] == (None, [256, 256])
    assert defaults["pretrained"] == ("imagenet", "none")
    assert defaults["batch_size"] == (2, 2)


def test_the_default_backbone_of_a_model_at_both_scales(capsys: Captured) -> None:
    code, out, _ = said(capsys, "model", "rtmdet_ins", "--format", "json")
    (entry,) = json.loads(out)["models"]
    assert (code, entry["backbone"]) == (0, {"standard": "cspnext_s", "tiny": "resnet18"})


@pytest.mark.parametrize("kind", KINDS)
def test_tables_fit_a_log(kind: str, capsys: Captured) -> None:
    code, out, err = said(capsys, kind)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[1] == kind
    assert all(cell_len(line) <= 100 and line == line.rstrip() for line in lines)
    begins = [line.split()[0] for line in lines[3:] if line[:1].strip()]
    assert begins == [entry["name"] for entry in document([kind])[kind]], "no name is cut"


def test_one_entry_in_full(capsys: Captured) -> None:
    code, out, err = said(capsys, "optimizers", "SGD")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[:2] == ["SGD: SGD with momentum", "  source: torch.optim.SGD"]
    assert lines[3].split() == ["parameter", "default", "at", "tiny", "values", "what"]
    assert lines[4].split()[:6] == ["lr", "0.0025", "0.01", "0", "to", "1000,"]
    assert {line.split()[0] for line in lines[4:] if line[:1].strip()} == set(PARTS["optimizer"]["SGD"].parameters)
    assert all(cell_len(line) <= 100 for line in lines)
    code, out, _ = said(capsys, "setting", "adapt")
    assert out.splitlines()[:3] == ["adapt", "  default: auto", "  values: auto, off"]


def test_what_is_not_there(capsys: Captured) -> None:
    code, out, err = said(capsys, "backbones", "hrnet")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == "Error: there is no backbone hrnet; did you mean hrnet_w32?"
    code, _, err = said(capsys, "setings")
    assert (code, err.splitlines()[-1]) == (2, "Error: there is no part setings; did you mean settings?")


def test_parts_of_a_users_own_are_listed_and_aligned(capsys: Captured) -> None:
    Path("my_parts.py").write_text(MINE, encoding="utf-8")
    code, out, err = said(capsys, "augmentations", "--plugin", "my_parts.py")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    head, mine = lines[2], next(line for line in lines if line.startswith("grain"))
    assert cell_len(mine[: mine.index("my_parts.py")]) == cell_len(head[: head.index("source")])
    code, out, _ = said(capsys, "augmentations", "grain", "--plugin", "my_parts.py", "--format", "json")
    entry: dict[str, Any] = json.loads(out)["augmentations"][0]
    assert (entry["title"], entry["parameters"]["sigma"]["high"]) == ("카메라 잡음", 64)


def test_a_broken_file_is_a_line(capsys: Captured) -> None:
    Path("good.py").write_text(MINE, encoding="utf-8")
    Path("bad.py").write_text("def f(:\n")
    line = "--plugin:2:1: plugins[1]: bad.py:1: invalid syntax\n"
    assert said(capsys, "--plugin", "good.py", "--plugin", "bad.py") == (1, "", line)


@pytest.mark.parametrize(
    ("source", "brief"),
    [
        ("arXiv:1904.04514; mmdet/.mim/configs/hrnet", "arXiv:1904.04514"),
        ("mmdet.datasets.transforms.ShearX and ShearY", "mmdet ShearX and ShearY"),
        ("mmdet/.mim/configs/_base_/schedules/schedule_1x.py", "mmdet schedule_1x.py"),
        ("torch.optim.SGD", "torch.optim.SGD"),
    ],
)
def test_sources_are_short_in_a_table(source: str, brief: str) -> None:
    assert short(source) == brief
