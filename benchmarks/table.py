"""The table of recorded trainings: what every combination of a space scored after each epoch, with several seeds."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("table.json.gz")
SPACE = Path(__file__).with_name("table_space.yaml")
GOOD = 0.005  # half a point: a combination whose mean is as close to the best one's is as good


@dataclass(frozen=True)
class Row:
    """One training.

    Attributes:
        params: what the study chose, by its parameter names, without the seed.
        seed: of the training.
        state: ``complete``, or how it ended otherwise.
        scores: mask mAP after each epoch; 0 where COCO gives none.
        seconds: what each epoch took, validation included.
    """

    params: dict[str, Any]
    seed: int
    state: str
    scores: tuple[float, ...]
    seconds: tuple[float, ...]

    @property
    def key(self) -> str:
        """Names the combination."""
        return key(self.params)


@dataclass(frozen=True)
class Table:
    """All trainings, and where they come from (``study``: data, versions, machine)."""

    study: dict[str, Any]
    rows: tuple[Row, ...]

    @cached_property
    def by_combination(self) -> dict[str, list[Row]]:
        """Rows of each combination, by seed."""
        found: dict[str, list[Row]] = {}
        for row in sorted(self.rows, key=lambda row: row.seed):
            found.setdefault(row.key, []).append(row)
        return found

    @cached_property
    def means(self) -> dict[str, float]:
        """Mean score of each combination over its seeds after the last epoch; 0 for a training that failed."""
        return {
            name: sum(row.scores[-1] if row.state == "complete" else 0.0 for row in rows) / len(rows)
            for name, rows in self.by_combination.items()
        }

    @cached_property
    def good(self) -> set[str]:
        """The combinations to be found: those within half a point of the best mean."""
        best = max(self.means.values())
        return {name for name, mean in self.means.items() if mean >= best - GOOD}

    def draw(self, params: Mapping[str, Any], seed: int) -> Row | None:
        """The training that a simulated study with this seed gets of a combination: always the same one."""
        rows = self.by_combination.get(key(params))
        return random.Random(f"{seed} {key(params)}").choice(rows) if rows else None


def key(params: Mapping[str, Any]) -> str:
    """Names a combination by what was chosen."""
    return json.dumps({name: value for name, value in params.items() if name != "seed"}, sort_keys=True)


def save(table: Table, path: Path = FILE) -> None:
    """Writes a table; the same one gives the same bytes."""
    document = {"study": table.study, "rows": [asdict(row) for row in table.rows]}
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def load(path: Path = FILE) -> Table:
    """Reads a table."""
    document = json.loads(gzip.decompress(path.read_bytes()))
    return Table(document["study"], tuple(map(_row, document["rows"])))


def _row(raw: Mapping[str, Any]) -> Row:
    return Row(raw["params"], raw["seed"], raw["state"], tuple(raw["scores"]), tuple(raw["seconds"]))


def table(study: dict[str, Any], rows: Iterable[Row]) -> Table:
    """A table of rows in a fixed order."""
    return Table(study, tuple(sorted(rows, key=lambda row: (row.seed, row.key))))
