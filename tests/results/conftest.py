from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from results.records import StudyRecord, TrialRecord, now
from results.store import Store

TrialMaker = Callable[..., TrialRecord]


def part(name: str, **params: Any) -> dict[str, Any]:
    return {"name": name, "params": params}


def parts(model: str = "mask_rcnn", optimizer: str = "AdamW", **params: Any) -> dict[str, Any]:
    return {
        "model": part(model),
        "backbone": part("resnet18"),
        "augmentation": [part("flip", probability=0.5)],
        "optimizer": part(optimizer, **params),
        "schedule": None,
        "settings": {"epochs": 12, "batch_size": 2, "image_size": [256, 192], "pretrained": None},
        "config": {},
    }


@pytest.fixture
def study() -> StudyRecord:
    return StudyRecord(
        name="models",
        state="running",
        objective="segm_mAP",
        at="last",
        scale="tiny",
        identity={"search": {"model": ["mask_rcnn", "solov2"]}},
        space_text="study: models\n# 입자\n",
        data={"name": "nuclei", "n_val": 4},
        data_hash="d" * 64,
        detections=300,
        adapted={"proposals": 600},
        work_dir="work_dirs/models",
        budget={"trials": 6},
    )


@pytest.fixture
def trial_of() -> TrialMaker:
    """Makes a complete trial of the study; keywords change its fields."""

    def make(number: int, score: float | None = 0.5, **fields: Any) -> TrialRecord:
        shape = fields.pop("parts", None) or parts(
            fields.pop("model", "mask_rcnn"), fields.pop("optimizer", "AdamW"), lr=fields.get("lr", 0.001)
        )
        known: dict[str, Any] = {
            "study": "models",
            "number": number,
            "combination": f"{number:08x}",
            "parts": shape,
            "params": {"optimizer.lr": fields.pop("lr", 0.001), "augmentation.flip.probability": 0.5},
            "optuna_params": {},
            "seed": 0,
            "epochs": 12,
            "owner": "Ann",
            "worker": "w1",
            "device": "cpu",
            "state": "complete",
            "fence": 1,
            "attempts": 1,
            "score": score,
            "best_score": score,
            "best_epoch": 12,
            "metrics": {"segm_mAP": score, "segm_mAP_50": 0.81234567, "segm_mAP_75": 0.4},
            "parameters": 123456,
            "peak_memory_mb": 812.5,
            "seconds": 65.4,
            "reason": None,
            "versions": {"torch": "2.13.0", "mmdet": "3.3.0", "threads": "1", "loader_workers": "2"},
            "data_hash": "d" * 64,
            "config_hash": None,
            "created_at": now(),
            "started_at": now(),
            "finished_at": now(),
        }
        return TrialRecord(**{**known, **fields})

    return make


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'sweeps.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def any_url(request: pytest.FixtureRequest, url: str) -> str:
    """A database of each kind, one after the other."""
    if request.param == "sqlite":
        return url
    new: str = request.getfixturevalue("postgres").database()
    return new


@pytest.fixture
def store(url: str, study: StudyRecord) -> Iterator[Store]:
    """An open store that holds the study and its waiting trial 0."""
    with Store.open(url) as opened:
        opened.add_study(study)
        add_trial(opened, 0)
        yield opened


def add_trial(store: Store, number: int, study: str = "models", **fields: Any) -> None:
    known: dict[str, Any] = {
        "combination": "0a1b2c3d",
        "parts": parts(lr=0.001),
        "params": {"optimizer.lr": 0.001},
        "optuna_params": {"model": "mask_rcnn"},
        "seed": 7,
        "epochs": 12,
        "owner": "김철수",
        "data_hash": "d" * 64,
    }
    store.add_trial(study, number, **{**known, **fields})


@pytest.fixture
def new_trial() -> Callable[..., None]:
    return add_trial
