"""What the cells of somebody's table say: names as people write them, and what they put in brackets behind them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from results.importing import HEADINGS
from results.ranking.tried import show
from runner.catalog import PARTS
from runner.catalog.spellings import meant, plain
from runner.protocol import Scalar

LABELLED = ("owner", "score")  # what does not belong to the name of a row
_LONGEST = 200  # letters of a cell that is taken apart
_ROUNDED = 1e-5  # tables have six digits
_ZOO_EPOCHS = {"x": 12, "e": 1}  # MMDetection's 1x schedule, and 20e
_BRACKETS = re.compile(r"\s*\((?P<inside>[^()]*)\)\s*$")
_EPOCHS = re.compile(rf"\s*(\d+)\s*-?\s*(?:{'|'.join(HEADINGS['epochs'])})\s*", re.IGNORECASE)
_LENGTH = re.compile(r"[\s_-](\d+)([xe])(?=[\s_]|$)")
_BEHIND = ("fpn", "coco")  # what may follow the backbone
_LIST = re.compile(r"\s*(?:[+;&]|,(?!\s*\d)|\band\b)\s*")  # 1280,1024 is one thing


def apart(cells: Mapping[str, str]) -> dict[str, str]:
    """Cells, with what stands in brackets or in MMDetection's own names under the headings where it belongs.

    ``SCNet_r50_fpn_1x`` under `model` is SCNet with ResNet-50 for 12 epochs, ``SCNet (24 epochs)`` one for 24. What has
    a column of its own stands as it is there. Brackets that say nothing of what is trained are left out.
    """
    found: dict[str, str] = {}
    inside: dict[str, str] = {}
    for name, text in cells.items():
        found[name], more = (text, {}) if name in LABELLED or len(text) > _LONGEST else _brackets(name, text)
        inside |= more
    found = {**inside, **found}
    model = found.get("model", "")
    zoo = _zoo(model) if len(model) <= _LONGEST else {}
    found = {**zoo, **found, **{name: text for name, text in zoo.items() if name == "model"}}
    length = _EPOCHS.fullmatch(found.get("epochs", ""))
    return {**found, "epochs": length[1]} if length else found


def same(text: str, value: Scalar, name: str) -> bool:
    """Whether a cell means a value, however it is spelled; of a part, the label of a choice.

    Args:
        text: of the cell.
        value: of a setting, a part or a parameter.
        name: of that.
    """
    if name == "image_size":
        return _sides(text) == _sides(str(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return math.isclose(float(text), value, rel_tol=_ROUNDED)
        except ValueError:
            return False
    if plain(text) in (plain(str(value)), plain(show(value))):
        return True
    names = str(value).split(" + ")
    pieces = [text] if meant(name, text) else [piece for piece in _LIST.split(text) if piece]
    return len(pieces) == len(names) and all(map(lambda piece, one: one in meant(name, piece), pieces, names))


def _brackets(name: str, text: str) -> tuple[str, dict[str, str]]:
    """A cell without what stands in brackets behind it, and that; brackets that belong to the name stay."""
    match = _BRACKETS.search(text)
    if not match or not match.start() or meant(name, text):
        return text, {}
    found: dict[str, str] = {}
    for piece in match["inside"].split(","):
        if length := _EPOCHS.fullmatch(piece):
            found["epochs"] = length[1]
        elif schedule := _LENGTH.fullmatch(f" {piece.strip()}"):
            found["epochs"] = str(int(schedule[1]) * _ZOO_EPOCHS[schedule[2]])
        for part in PARTS:
            if meant(part, piece):
                found[part] = f"{found[part]}, {piece}" if part in found else piece.strip()
    return (text, {}) if name in found else (text[: match.start()], found)


def _zoo(name: str) -> dict[str, str]:
    """What ``MODEL_BACKBONE_fpn_1x`` says, with underscores or spaces; nothing of any other name."""
    length = _LENGTH.search(name)
    found = {"epochs": str(int(length[1]) * _ZOO_EPOCHS[length[2]])} if length else {}
    pieces = re.split(r"[\s_]+", _LENGTH.sub("", name))
    for end in range(len(pieces), 1, -1):
        if end < len(pieces) and pieces[end] not in _BEHIND:
            continue
        for start in range(1, end):
            model, backbone = meant("model", " ".join(pieces[:start])), meant("backbone", " ".join(pieces[start:end]))
            if len(model) == len(backbone) == 1:
                return {"model": min(model), "backbone": min(backbone), **found}
    return {"model": " ".join(pieces), **found} if found else {}


def _sides(text: str) -> list[int]:
    """The sides of an image, the longest last; one number is that of a square that it fits into."""
    found = sorted(map(int, re.findall(r"\d+", text)))
    return found * 2 if len(found) == 1 else found
