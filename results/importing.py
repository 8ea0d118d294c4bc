"""Tables that people kept before: rows of a CSV file under the headings that we know, in English or Korean."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from results.columns import clean
from results.errors import ResultsError

if TYPE_CHECKING:
    import pandas as pd

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
    frame = _frame(path)
    names = _headings(path, [str(one) for one in frame.columns])
    rows, wrong = [], []
    for number, values in enumerate(frame.itertuples(index=False), start=2):
        cells = {name: clean(str(value)) for name, value in zip(names, values, strict=True) if str(value).strip()}
        if not cells:
            continue
        problem = _problem(cells)
        if problem:
            wrong.append(f"{path}:{number}: score: {problem}")
        else:
            rows.append(TableRow(number, cells, float(cells["score"])))
    if wrong:
        raise ResultsError("\n".join(wrong))
    if not rows:
        raise ResultsError(f"{path}:1: no rows below the headings")
    return rows


def _frame(path: Path) -> pd.DataFrame:
    import pandas as pd  # half a second, and a server that is sent rows needs none of it

    try:
        content = path.read_bytes()
    except OSError as error:
        raise ResultsError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    for encoding in _ENCODINGS:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        try:
            return pd.read_csv(
                io.StringIO(text), dtype=str, keep_default_na=False, skip_blank_lines=False, skipinitialspace=True
            )
        except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
            raise ResultsError(f"{path}: no CSV table: {str(error).splitlines()[0]}") from error
    raise ResultsError(f"{path}: neither UTF-8 nor CP949; save it as CSV in UTF-8")


def _headings(path: Path, columns: list[str]) -> list[str]:
    names = [_KNOWN.get(re.sub(r"\s+", " ", clean(one)).lower(), clean(one)) for one in columns]
    shown = ", ".join(map(clean, columns))
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
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        raise ResultsError(f"{path}:1: {name}: two columns of that meaning in {shown}; leave one out")
    return names


def _problem(cells: dict[str, str]) -> str | None:
    """What is wrong with a row's score."""
    text = cells.get("score")
    if text is None:
        return "expected a number from 0 to 1, found nothing; leave the row out, or write its score"
    try:
        score = float(text)
    except ValueError:
        return f"expected a number from 0 to 1, found {text}"
    if 1 < score <= 100:
        return f"expected a number from 0 to 1, found {text}; write {score / 100:g}"
    return None if 0 <= score <= 1 else f"expected a number from 0 to 1, found {text}"
