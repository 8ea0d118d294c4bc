"""Which files of trials and data an artifact store holds, and which objects in it no row names."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "sweep_artifacts",
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("trial", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("artifact_id", sa.String(length=36), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"], ["sweep_studies.id"], name=op.f("fk_sweep_artifacts_study_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("study_id", "trial", "name", name=op.f("pk_sweep_artifacts")),
        sa.UniqueConstraint("artifact_id", name=op.f("uq_sweep_artifacts_artifact_id")),
    )
    op.create_table(
        "sweep_loose_objects",
        sa.Column("artifact_id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("artifact_id", name=op.f("pk_sweep_loose_objects")),
    )


def downgrade() -> None:
    """Drop them; the artifact store keeps its objects."""
    op.drop_table("sweep_loose_objects")
    op.drop_table("sweep_artifacts")
