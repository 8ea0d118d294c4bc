"""Pictures of a trial stand on its page of the ordinary dashboard, and are read by Optuna's own functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna_dashboard
from depot import STUDY, last, send
from made_up import ASK, Bench, result
from optuna.artifacts import download_artifact
from optuna.storages import RDBStorage

from results.artifacts import ArtifactIndex
from sweeps.artifacts import Artifacts, open_backend
from sweeps.artifacts.dashboard import Pictures
from sweeps.leases.coordinator import Coordinator

PNG = b"\x89PNG\r\n\x1a\n made up"


def visit(app: Any, path: str) -> tuple[str, dict[str, str], bytes]:
    """What a browser gets."""
    got: list[Any] = []
    environ = {
        "REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", "SERVER_NAME": "x", "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
    }  # fmt: skip
    body = b"".join(app(environ, lambda status, headers, *_: got.extend([status, dict(headers)])))
    return got[0], got[1], body


def test_pictures_are_shown(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with bench.study() as study:
        coordinator = Coordinator(study)
        lease = coordinator.lease(ASK).lease
        assert lease
        storage = RDBStorage(bench.storage)
        backend = open_backend(str(tmp_path / "artifacts"))
        pictures = Pictures(storage, study.store)
        with Artifacts(ArtifactIndex(study.store), backend, tmp_path / "spool", kept=pictures) as artifacts:
            send(artifacts, last(0, "curve.png"), b"an earlier one")
            picture = send(artifacts, last(0, "curve.png"), PNG)
            send(artifacts, last(0, "last.pth"), b"no picture")
            coordinator.finish(0, lease.fence, result())
            send(artifacts, last(0, "late.png"), PNG)  # is kept, and not shown: Optuna's trial has ended
            assert len(artifacts.index.of_trial(STUDY, 0)) == 3
        (trial,) = bench.optuna()
        metas = [json.loads(value) for key, value in trial.system_attrs.items() if key.startswith("artifacts:")]
        assert [meta["artifact_id"] for meta in metas if meta] == [picture.artifact_id]
        download_artifact(artifact_store=backend, file_path=str(tmp_path / "x"), artifact_id=picture.artifact_id)
        assert (tmp_path / "x").read_bytes() == PNG
        app = optuna_dashboard.wsgi(storage, artifact_store=backend)
        study_id = storage.get_study_id_from_name(STUDY)
        status, headers, body = visit(app, f"/artifacts/{study_id}/{trial._trial_id}/{picture.artifact_id}")
        assert (status, headers["Content-Type"], body) == ("200 OK", "image/png", PNG)
        _, _, page = visit(app, f"/api/studies/{study_id}")
        (row,) = json.loads(page)["trials"]
        assert [one["filename"] for one in row["artifacts"]] == ["curve.png"]
