"""Tables that people kept before: rows of a CSV file under the headings that we know, in English or Korean."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from results.errors import ResultsError
from results.text import clean

HEADINGS = {
    "owner": ("owner", "who", "member", "담당", "담당자", "팀원", "작성자"),
    "model": ("model", "모델", "모델명"),
    "backbone": ("backbone", "백본"),
    "augmentation": ("augmentation", "augmentations", "aug", "증강", "데이터 증강", "데이터증강"),
    "optimizer": ("optimizer", "옵티마이저", "최적화", "최적화기"),
    "schedule": ("schedule", "스케줄", "스케쥴"),
    "epochs": ("epochs", "epoch", "에폭", "에포크"),
    "lr": ("lr", "learning rate", "learning_rate", "학습률"),
    "batch_size": ("batch_size", "batch size", "batch", "배치", "배치 크기"),
    "image_size": ("image_size", "image size", "이미지 크기", "해상도"),
    "score": ("score", "점수", "성능", "결과"),
}
_KNOWN = {word: name for name, words in HEADINGS.items() for word in words}
_ENCODINGS = ("utf-8-sig", "cp949")  # a spreadsheet in Korean saves the second


@dataclass(frozen=True)
class TableRow:
    """A row of the file.

    Attributes:
        line: in the file, from 1; the headings are line 1.
        cells: heading -> text, empty ones left out.
        score: the cell under the score's heading.
    """

    line: int
    cells: dict[str, str]
    score: float


def read_table(path: Path) -> list[TableRow]:
    """All rows of a CSV file with headings.

    Raises:
        ResultsError: it cannot be read, or has bad rows; one line for each.
    """
    (_, headings), *lines = _lines(path)
    names = _headings(path, headings)
    rows, wrong = [], []
    for number, values in lines:
        cells = {name: clean(text) for name, text in zip(names, values, strict=False) if name and text.strip()}
        if any(text.strip() for text in values[len(names) :]):
            more = f"{len(values)} cells under {len(names)} heading{'s' * (len(names) > 1)}"
            wrong.append(f"{path}:{number}: {more}; write decimals with a point, and a text with a comma in quotes")
        elif cells and (problem := _problem(cells)):
            wrong.append(f"{path}:{number}: score: {problem}")
        elif cells:
            rows.append(TableRow(number, cells, float(cells["score"])))
    if wrong:
        raise ResultsError("\n".join(wrong))
    if not rows:
        raise ResultsError(f"{path}:1: no rows below the headings")
    return rows


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """The cells of each line with its number, the headings first."""
    text = _text(path)
    if not text.strip():
        raise ResultsError(f"{path}: is empty; the first line of a table has the headings")
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    found, number = [], 1
    try:
        for values in reader:
            found.append((number, values))
            number = reader.line_num + 1  # a cell in quotes may go on in the next line
    except csv.Error as error:
        unclosed = "unexpected end" in str(error)
        why = "a quotation mark opens a cell and none closes it" if unclosed else f"no CSV table: {error}"
        raise ResultsError(f"{path}:{number}: {why}") from error
    return found


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ResultsError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    for encoding in _ENCODINGS:
        with contextlib.suppress(UnicodeDecodeError):
            return content.decode(encoding)
    raise ResultsError(f"{path}: neither UTF-8 nor CP949; save it as CSV in UTF-8")


def _headings(path: Path, columns: list[str]) -> list[str]:
    if len(columns) == 1 and (sign := next((one for one in ";\t|" if one in columns[0]), None)):
        raise ResultsError(f"{path}:1: cells are separated by {sign!r}; save it as CSV with commas")
    columns = columns[: max((number for number, one in enumerate(columns, 1) if one.strip()), default=0)]
    names = [_KNOWN.get(re.sub(r"\s+", " ", clean(one)).lower(), clean(one)) for one in columns]
    shown = ", ".join(map(clean, columns)) or "an empty line"
    for name in names:
        head = re.fullmatch(r"(.*?)\s*\(.*\)", name)
        if head and head[1].lower() in _KNOWN:
            raise ResultsError(
                f"{path}:1: {name}: more than a heading; write {_KNOWN[head[1].lower()]}, and what holds for every row "
                "in columns of its own: model, backbone, epochs, ..."
            )
    if "score" not in names:
        words = ", ".join(HEADINGS["score"])
        raise ResultsError(f"{path}:1: score: no column of that name; found {shown}; call it one of {words}")
    for name in dict.fromkeys(name for name in names if name and names.count(name) > 1):
        raise ResultsError(f"{path}:1: {name}: two columns of that meaning in {shown}; leave one out")
    return names


def _problem(cells: dict[str, str]) -> str | None:
    """What is wrong with a row's score."""
    text = cells.get("score")
    expected = "expected a number from 0 to 1, found"
    if text is None:
        return f"{expected} nothing; leave the row out, or write its score"
    try:
        if 0 <= float(text) <= 1:
            return None
    except ValueError:
        pass
    meant = _meant(text)
    return f"{expected} {text}" + ("" if meant is None else f"; write {meant:.10g}")


def _meant(text: str) -> float | None:
    """The score that people write as 58.6, 58.6% or 0,586; None where it is none."""
    percent = text.endswith("%")
    try:
        number = float(text.rstrip("% ").replace(",", "."))
    except ValueError:
        return None
    share = number / 100 if percent or number > 1 else number
    return share if 0 <= share <= 1 else None
