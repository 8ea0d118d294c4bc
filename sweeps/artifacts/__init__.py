"""Files that trainings leave: configs, checkpoints, logs, pictures, and the label files that workers need."""

from sweeps.artifacts.backends import open_backend
from sweeps.artifacts.errors import ArtifactError, BackendError, NoRoomError, UnknownArtifactError
from sweeps.artifacts.quota import Limits
from sweeps.artifacts.spool import Place
from sweeps.artifacts.store import Artifacts

__all__ = [
    "ArtifactError", "Artifacts", "BackendError", "Limits", "NoRoomError", "Place", "UnknownArtifactError",
    "open_backend",
]  # fmt: skip
