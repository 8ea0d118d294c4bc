"""A server that starts again without a study: workers that train it go on with another one."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
from pathlib import Path

from desk import NUCLEI
from scenes import opened, until
from town import Plan, town

SPACE = """\
study: {name}
data: {data}
scale: tiny
fixed: {{model: mask_rcnn, backbone: resnet18, epochs: {epochs}}}
search: {{seed: [0]}}
budget: {{trials: 1}}
"""


def test_a_worker_goes_on_with_another_study(tmp_path: Path) -> None:
    plan = Plan(tmp_path, f"sqlite:///{tmp_path}/sweeps.db", tmp_path / "server", workers=1, epoch_seconds=0.5)
    with town(plan) as place:
        opened(place, SPACE.format(name="gone", data=NUCLEI, epochs=500))
        until(place, lambda: bool(place.ask("/studies/gone/trials/0/epochs")))
        place.submit(written(tmp_path, SPACE.format(name="stays", data=NUCLEI, epochs=2)))
        place.server.signal(signal.SIGTERM)
        assert place.server.process
        place.server.process.wait(60)
        with contextlib.closing(sqlite3.connect(tmp_path / "sweeps.db")) as database, database:
            database.execute("update sweep_studies set space_text = 'of another version' where name = 'gone'")
        until(place, lambda: ((place.ask("/studies/stays/status") or {}).get("trials") or {}).get("complete") == 1)
        assert "study gone is not served" in place.server.log.read_text()
        assert place.workers[0].starts == 1
        said = place.workers[0].log.read_text()
        assert "trial 0: no study gone on this server; there are: stays; its training ends here" in said


def written(folder: Path, text: str) -> Path:
    path = folder / "other.yaml"
    path.write_text(text)
    return path
