"""What is handed back: the winning config, its checkpoint, its parameters."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from results.errors import ResultsError
from results.files import copy_atomically
from results.ranking import tried
from results.ranking.rows import finite
from results.records import StudyRecord, TrialRecord

MACHINE = ("device", "threads", "loader_workers")  # in versions, but no packages


def config_text(study: StudyRecord, trial: TrialRecord, config: str, command: str, notes: Sequence[str] = ()) -> str:
    """The config under a header that says where it comes from.

    Args:
        study: the study.
        trial: the trial that the config trained.
        config: its rendered text.
        command: the line that runs it with MMDetection's own train tool.
        notes: further lines for the header, e.g. what a standalone config leaves out.

    Returns:
        Python source; whatever the values hold, the header stays a comment.
    """
    epoch = "best" if study.at == "best" else "last"
    size = f", {study.data['n_val']} validation images" if study.data.get("n_val") is not None else ""
    packages = {name: value for name, value in trial.versions.items() if name not in MACHINE}
    plugins = imported(config)
    header = {
        "study": study.name,
        "trial": f"{trial.number}, combination {trial.combination}, seed {trial.seed}, {trial.epochs} epochs",
        "owner": trial.owner,
        "parts": ", ".join(f"{part} {name}" for part in tried.PARTS if (name := tried.part_name(trial, part))),
        "score": f"{finite(trial.score)!r} ({study.objective} of the {epoch} epoch)",
        "detections": f"at most {study.detections} an image",
        "data": f"{study.data.get('name', '?')}{size}, hash {trial.data_hash}",
        "versions": ", ".join(f"{name} {value}" for name, value in sorted(packages.items())) or "unknown",
        "machine": ", ".join(_machine(trial)),
        "imports": ", ".join(plugins) + " (install this project to run it)" if plugins else "MMDetection only",
        **_plugins(study),
        "run": command,
    }
    lines = ["MMDetection config, exported by sweep", ""]
    lines += [f"{name + ':':<12}{_line(value)}" for name, value in header.items()]
    if not notes:
        lines.append(_digits(trial))
    lines += [_line(note) for note in notes]
    # The first two lines of a file could name an encoding; the first two here are ours and name none.
    comment = "".join(f"# {line}".rstrip() + "\n" for line in lines)
    return f"{comment}\n{config.rstrip()}\n"


def imported(config: str) -> list[str]:
    """The modules that a config imports for MMDetection's registries (``custom_imports``)."""
    try:
        body = ast.parse(config).body
    except (SyntaxError, ValueError):
        return []
    for node in body:
        names = [target.id for target in getattr(node, "targets", []) if isinstance(target, ast.Name)]
        if "custom_imports" in names:
            lists = [item for item in ast.walk(node) if isinstance(item, ast.List | ast.Tuple)]
            items = [item for one in lists for item in one.elts if isinstance(item, ast.Constant)]
            return [str(item.value) for item in items]
    return []


def params_document(study: StudyRecord, trial: TrialRecord) -> dict[str, Any]:
    """What was trained, for another program: parts, settings, parameters, seed, and the score it gave."""
    document = {
        "study": study.name,
        "trial": trial.number,
        "combination": trial.combination,
        "objective": study.objective,
        "score": trial.score,
        "scale": study.scale,
        "data": study.data.get("name"),
        "data_hash": trial.data_hash,
        "seed": trial.seed,
        "epochs": trial.epochs,
        "parts": trial.trained,
        "params": trial.params,
    }
    return {name: finite(value) for name, value in document.items()}


def copy_checkpoint(source: Path, target: Path, option: str = "") -> None:
    """Copy a trial's checkpoint; the target is the whole file or what it was before.

    Args:
        source: the checkpoint.
        target: the file to write.
        option: what a command line that is suggested needs to find the study.

    Raises:
        ResultsError: the source is gone, or the target cannot be written.
    """
    if not source.is_file():
        raise ResultsError(
            f"the checkpoint {source} is gone; export the config and train again: sweep best --export config{option}"
        )
    copy_atomically(source, target)


def _machine(trial: TrialRecord) -> list[str]:
    known = {"device": trial.device, **trial.versions}
    return [f"{name.replace('_', ' ')} {known.get(name) or 'unknown'}" for name in MACHINE]


def _digits(trial: TrialRecord) -> str:
    """How exactly the score comes out again."""
    if trial.device and trial.device.startswith("cuda"):
        return "On a GPU of this type kernels that add atomically may change the last digits of the score."
    return "On a CPU of this type, with these threads and workers, the score comes out to the last digit."


def _plugins(study: StudyRecord) -> dict[str, str]:
    """The line about the files of the user's own that the config imports; none where there are none."""
    files = study.identity.get("plugins") or {}
    named = ", ".join(f"{module}.py with SHA-256 {sha256[:12]}" for module, sha256 in files.items())
    return {"plugins": f"{named} (PYTHONPATH names the folder)"} if named else {}


def _line(value: object) -> str:
    """One line that cannot end the comment; no ``{{`` either, which mmengine would fill in."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value))
    return re.sub(r"([{}])(?=\1)", r"\1 ", text)
