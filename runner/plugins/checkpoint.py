"""Checkpoints that are whole or not there, and can be read without trusting their author."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import Runner

# mmengine resumes from it. Its own holds the log's smoothing windows, of classes that torch refuses to read unless
# `getattr` is trusted, which would let a hostile file run code. The windows fill again after a few iterations.
_EMPTY_HUB: dict[str, dict[str, Any]] = {"log_scalars": {}, "runtime_info": {}, "resumed_keys": {}}
_OTHER = ".other.pth"  # suffix of a checkpoint of another training


def save(
    runner: Runner, target: Path, training: str, history: list[dict[str, Any]], evidence: bytes | None = None
) -> None:
    """Saves model, optimizer, schedulers and the validations so far, under a temporary name, then renames.

    The layout is mmengine's (Runner.save_checkpoint), so its tools read it. Called after a validation, so that an
    epoch on disk has its figures with it. One of another training, put aside by `read_history`, goes then.

    Args:
        runner: in training; its epoch counts finished epochs.
        target: the checkpoint's final name.
        training: what is trained (`Lease.training`).
        history: one entry a validation, plain numbers and strings.
        evidence: of the epoch that has the score (`runner.training.evidence`).

    Raises:
        OSError: the disk is full or read-only; `target` is as it was.
    """
    checkpoint = {
        "meta": {
            "epoch": runner.epoch,
            "iter": runner.iter,
            "seed": runner.seed,
            "dataset_meta": runner.train_dataloader.dataset.metainfo,
            "training": training,
            "history": history,
        },
        "state_dict": runner.model.state_dict(),
        "optimizer": runner.optim_wrapper.state_dict(),
        "param_schedulers": [scheduler.state_dict() for scheduler in runner.param_schedulers],
        "message_hub": _EMPTY_HUB,
    }
    if evidence:
        checkpoint["evidence"] = torch.frombuffer(bytearray(evidence), dtype=torch.uint8)
    runner.call_hook("before_save_checkpoint", checkpoint=checkpoint)
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        with temporary.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        target.with_suffix(_OTHER).unlink(missing_ok=True)
    except RuntimeError as error:
        # torch's zip writer lays its own complaint ("unexpected pos") over the disk's
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def read_history(path: Path, training: str) -> list[dict[str, Any]]:
    """The validations stored in a checkpoint by `save`; an empty list where there is no file.

    A checkpoint of another training (a database that was deleted, a folder that two databases share, a batch that was
    too large) is put aside under another name until this training has saved its own: its weights and figures are not
    ours.
    """
    if not path.exists():
        return []
    meta = torch.load(path, map_location="cpu", weights_only=True)["meta"]
    if meta.get("training") != training:
        path.replace(path.with_suffix(_OTHER))
        return []
    history: list[dict[str, Any]] = meta["history"]
    return history


def read_evidence(path: Path) -> bytes | None:
    """The evidence stored in a checkpoint by `save`, None where there is no file or none in it."""
    if not path.exists():
        return None
    found = torch.load(path, map_location="cpu", weights_only=True, mmap=True).get("evidence")
    return None if found is None else found.numpy().tobytes()
