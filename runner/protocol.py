"""The messages between study server and worker, and the words both sides share.

Everything that crosses the wire is a pydantic model, so both sides refuse what does not fit.
Imports nothing heavy: the slim server reads it without torch.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator

from runner.printable import printable

HEARTBEAT_SECONDS = 5.0
LEASE_SECONDS = 30.0
MOST_EVIDENCE = 4 * 2**20  # characters; a message has at most 9 MiB

Scalar = str | int | float | bool | None
# It names folders on workers, so nothing of a path is in it.
StudyName = Annotated[str, StringConstraints(pattern=r"^\w[\w.-]*$", max_length=80)]
_MOST_LETTERS = 2000
_LARGEST = 2**31 - 1  # what a whole number of the database holds


def _one_line(text: str) -> str:
    """What is shown on other people's terminals: no control characters, no line ends, not without end."""
    return printable(text[:_MOST_LETTERS])


Name = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_one_line)]
Line = Annotated[str, AfterValidator(_one_line)]
Fence = Annotated[int, Field(ge=0, le=_LARGEST)]
# It names files on workers. Empty where nobody looked.
_Hash = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
_Path = Annotated[str, Field(max_length=4096)]
_Count = Annotated[int, Field(ge=0, le=_LARGEST)]
Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Scale = Literal["tiny", "standard"]
Failure = Literal[
    "out_of_memory",
    "nan_loss",
    "data_error",
    "code_error",
    "time_out",
    "crashed",
    "lost_worker",
    "preempted",
    "node_fault",
    "stopped",
]
"""How an attempt ended badly; `sweeps.leases.failures` has the rule for each."""
Outcome = Literal["complete", "pruned", "failed", "infeasible"]


class Message(BaseModel):
    """Base of all messages: an unknown key is an error, a message never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Part(Message):
    """A name of the catalog with the parameters that were chosen for it."""

    name: str
    params: dict[str, Any] = Field(default_factory=dict)


class Combination(Message):
    """What one trial trains: parts and settings, without the seed.

    Attributes:
        model, backbone, optimizer: one part each.
        augmentation: parts applied in order; empty means none.
        schedule: learning-rate schedule; None is constant without warm-up.
        settings: epochs, batch_size, image_size ([width, height] pixels or None), pretrained, adapt, ...; train_share
            only where it is below 1 (`runner.share.share_of`).
        config: dotted path in the rendered MMDetection config -> value.
    """

    model: Part
    backbone: Part
    augmentation: tuple[Part, ...] = ()
    optimizer: Part
    schedule: Part | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    config: dict[str, Any] = Field(default_factory=dict)

    def digest(self) -> str:
        """Eight hex digits that name the combination (SHA-256 of its canonical JSON)."""
        return digest(self.model_dump(mode="json"))[:8]

    def flat_params(self) -> dict[str, Any]:
        """Every part's parameter under its dotted name, e.g. ``{"optimizer.lr": 0.001}``."""
        flat: dict[str, Any] = {}
        for kind in ("model", "backbone", "optimizer", "schedule"):
            part: Part | None = getattr(self, kind)
            for key, value in (part.params if part else {}).items():
                flat[f"{kind}.{key}"] = value
        for part in self.augmentation:
            for key, value in part.params.items():
                flat[f"augmentation.{part.name}.{key}"] = value
        flat.update(self.config)
        return flat


Cost = Literal["seconds_per_image", "peak_memory_mb", "parameters"]


class Objective(Message):
    """What is maximised.

    Attributes:
        metric: ``segm_mAP``, ``segm_mAP_50``, ``bbox_mAP``, or a range such as ``segm_mAP@0.3:0.6``.
        at: score of the last validation, or of the best one.
        against: what is minimised beside it, if there are two goals.
    """

    metric: str = "segm_mAP"
    at: Literal["last", "best"] = "last"
    against: Cost | None = None

    @field_validator("metric")
    @classmethod
    def _one_spelling(cls, metric: str) -> str:
        """``segm_mAP@.3:0.60:0.05`` is ``segm_mAP@0.3:0.6``: the metric's figures bear that name."""
        if "@" not in metric:
            return metric
        name, numbers = metric.split("@", 1)
        parts = [f"{float(number):g}" for number in numbers.split(":")]
        return f"{name}@" + ":".join(parts[:2] if parts[2:] == ["0.05"] else parts)

    def iou_thresholds(self) -> tuple[float, float, float] | None:
        """(low, high, step) of a ``segm_mAP@LOW:HIGH[:STEP]`` metric, None for COCO's own .50:.95."""
        if "@" not in self.metric:
            return None
        numbers = [float(x) for x in self.metric.split("@", 1)[1].split(":")]
        low, high = numbers[0], numbers[1]
        return low, high, numbers[2] if len(numbers) > 2 else 0.05


class Holdout(Message):
    """Labelled images that no trial and no ranking sees.

    Attributes:
        images, annotations: absolute paths, on the machine that the study was started on.
        count: how many images.
        check: SHA-256 over the label file and over name and size of every image (`runner.data.guard.fingerprint`).
    """

    images: _Path
    annotations: _Path
    count: _Count
    check: _Hash


class DataPaths(Message):
    """Where the images and labels of a study lie (absolute paths) and what they are.

    Attributes:
        hash: SHA-256 over label files and over name and size of every image.
        sizes: (width, height) in pixels of the most common image.
        max_instances: most labelled objects in one image (train and val).
        object_sizes: 10th, 50th and 90th percentile of sqrt(mask area) in pixels.
        validation_images: how many images each validation scores.
        root: folder of the data file, which ``--data-root`` of a worker replaces.
        labels: SHA-256 of the label files, train and val; a worker fetches those it lacks.
        check: what a worker must find on its own disk (`runner.data.guard.data_proof`).
        holdout: images held out, None where there are none.
    """

    name: str = Field(max_length=_MOST_LETTERS)
    hash: str = Field(max_length=64)
    classes: tuple[Annotated[str, Field(max_length=_MOST_LETTERS)], ...] = Field(max_length=10_000)
    train_images: _Path
    train_annotations: _Path
    val_images: _Path
    val_annotations: _Path
    sizes: tuple[_Count, _Count]
    n_train: _Count
    n_val: _Count
    max_instances: _Count
    object_sizes: tuple[Number, Number, Number]
    root: _Path = ""
    labels: tuple[_Hash, _Hash] = ("", "")
    check: _Hash = ""
    holdout: Holdout | None = None


class Plugin(Message):
    """A file of the user's own that adds to the catalog.

    Attributes:
        path: absolute.
        sha256: of its bytes, 64 hex digits.
    """

    path: _Path
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class EpochReport(Message):
    """One validation.

    Attributes:
        epoch: from 1.
        metrics: figures by name, null where COCO gives none.
        seconds: since the last one.
        seconds_per_image: that the model took (`runner.plugins.stopwatch`).
        evidence: what each image contributed, as that of `Result`; where the lease asks for it.
    """

    epoch: int = Field(ge=1, le=_LARGEST)
    metrics: dict[Annotated[str, Field(max_length=200)], float | None] = Field(max_length=1000)
    seconds: Number = 0.0
    seconds_per_image: Number | None = None
    evidence: str | None = Field(default=None, max_length=MOST_EVIDENCE)


class Result(Message):
    """How a training ended and what it was.

    Attributes:
        failure: what went wrong, where something did; the server's rule for it may try the trial once more.
        seconds: wall-clock training time, over all attempts.
        peak_memory_mb: GPU memory (MiB) by torch, or the trainer's resident memory on a CPU.
        seconds_per_image: of inference in the validations, the median over them.
        config: text of the complete rendered MMDetection config.
        evidence: what each validation image contributed to the score (`runner.training.evidence`), as base64.
        versions: package -> version, plus device, threads and loader workers.
    """

    outcome: Outcome
    failure: Failure | None = None
    reason: Line | None = None
    parameters: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    peak_memory_mb: Number | None = None
    seconds_per_image: Number | None = None
    seconds: Number | None = None
    config: str | None = Field(default=None, max_length=4_000_000)
    evidence: str | None = Field(default=None, max_length=MOST_EVIDENCE)
    versions: dict[Line, Line] = Field(default_factory=dict, max_length=1000)


class Lease(Message):
    """A trial handed to one worker until it is finished, handed back, or not renewed in time.

    ``fence`` rises with every lease of the trial; a report under an old number is refused.

    Attributes:
        images: whether reports must tell what each image contributes.
        limit_seconds: how long it may still train beyond what was reported, None for as long as it takes.
    """

    study: StudyName
    trial: int = Field(ge=0)
    fence: Fence
    combination: Combination
    seed: int
    scale: Scale
    data: DataPaths
    objective: Objective
    detections: int
    work_dir: str
    plugins: tuple[Plugin, ...] = ()
    images: bool = False
    reported: tuple[EpochReport, ...] = ()
    limit_seconds: float | None = None
    lease_seconds: float = LEASE_SECONDS
    heartbeat_seconds: float = HEARTBEAT_SECONDS

    @property
    def patience(self) -> float:
        """Seconds after a renewal in which the server must be reached again: what trains must end before the lease."""
        return self.lease_seconds - 2 * self.heartbeat_seconds

    def training(self) -> str:
        """Names what is trained, wherever and in whichever study: only its own checkpoints may resume it."""
        plugins = sorted(plugin.sha256 for plugin in self.plugins)
        what = [self.combination.digest(), self.seed, self.scale, self.data.hash, self.detections]
        return digest([*what, plugins] if plugins else what)


class LeaseRequest(Message):
    """A worker with a free slot asks for a trial.

    Attributes:
        worker: name of the slot, unique among all workers of the server.
        host: name of its machine.
        study: take trials of this study only.
        ready: study -> `Needs.proof` of what the worker found on its own disk.
        unable: study -> why the worker cannot train it (its data or plugins are missing here).
        life: another one each time the worker starts.
        asked: rises with each request of a life; an older one that arrives later is not answered with a trial.
    """

    worker: Name
    owner: Name
    device: Line = Field(max_length=200)
    host: Line = Field(default="", max_length=200)
    study: StudyName | None = None
    ready: dict[StudyName, Line] = Field(default_factory=dict, max_length=1000)
    unable: dict[StudyName, Line] = Field(default_factory=dict, max_length=1000)
    life: str = Field(default="", max_length=40)
    asked: int = Field(default=0, ge=0, lt=2**53)


class Needs(Message):
    """What a worker must have before it may take trials of a study."""

    study: StudyName
    data: DataPaths
    plugins: tuple[Plugin, ...] = ()

    def proof(self) -> str:
        """What a worker shows in `LeaseRequest.ready`: the data it found and the plugins it may run."""
        return ":".join([self.data.check, *sorted(plugin.sha256 for plugin in self.plugins)])


class LeaseReply(Message):
    """A lease; or what to look for first (`needs`), then ask again; or none of both.

    With ``wait`` the worker asks again later, without it the worker ends.
    """

    lease: Lease | None = None
    needs: Needs | None = None
    wait: bool = False


class Renewal(Message):
    """A heartbeat, a report or a hand-back under a fencing number; `cause` says why it is handed back."""

    fence: Fence
    report: EpochReport | None = None
    reason: Line | None = None
    cause: Failure = "stopped"


class Finish(Message):
    """The end of a trial under a fencing number."""

    fence: Fence
    result: Result


class Verdict(Message):
    """The server's answer to a report: ``go_on``, or ``prune``."""

    action: Literal["go_on", "prune"] = "go_on"


class Note(Message):
    """What the trainer tells its worker: a validation, how it ended, or that the machine failed the trial."""

    kind: Literal["report", "result", "node_fault"]
    report: EpochReport | None = None
    result: Result | None = None
    reason: str | None = None


def digest(document: object) -> str:
    """SHA-256 of a JSON document, independent of key order."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
