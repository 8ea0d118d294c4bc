"""Files that trainings leave: configs, checkpoints, logs, pictures, and the label files that workers need."""

from sweeps.artifacts.errors import ArtifactError, NoRoomError, ShelfError, UnknownArtifactError
from sweeps.artifacts.room import Limits
from sweeps.artifacts.shelves import open_shelf
from sweeps.artifacts.spool import Place
from sweeps.artifacts.store import Artifacts

__all__ = [
    "ArtifactError", "Artifacts", "Limits", "NoRoomError", "Place", "ShelfError", "UnknownArtifactError", "open_shelf",
]  # fmt: skip
