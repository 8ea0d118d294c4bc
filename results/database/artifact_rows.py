"""The tables of what an artifact store holds. The files themselves lie there, under ids that say nothing."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from results.database.models import Base

OF_THE_STUDY = -1  # instead of a trial's number: a file of the study's data


class ArtifactRow(Base):
    """A file that is there, whole (see artifacts.ArtifactRecord)."""

    __tablename__ = "sweep_artifacts"

    study_id: Mapped[int] = mapped_column(ForeignKey("sweep_studies.id", ondelete="CASCADE"), primary_key=True)
    trial: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    artifact_id: Mapped[str] = mapped_column(String(36), unique=True)
    stored_at: Mapped[datetime]


class LooseRow(Base):
    """An object of the artifact store that no artifact needs: half written, replaced or deleted.

    Its id is kept before it is written, and until it is gone: a crash at any moment leaves no object behind
    that nobody knows of.
    """

    __tablename__ = "sweep_loose_objects"

    artifact_id: Mapped[str] = mapped_column(String(36), primary_key=True)
