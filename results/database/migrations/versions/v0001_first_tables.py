"""The first tables: studies, combinations, trials, epochs and configs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "sweep_combinations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=8), nullable=False),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sweep_combinations")),
        sa.UniqueConstraint("digest", name=op.f("uq_sweep_combinations_digest")),
    )
    op.create_index(op.f("ix_sweep_combinations_hash"), "sweep_combinations", ["hash"], unique=False)
    op.create_table(
        "sweep_configs",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_sweep_configs")),
    )
    op.create_table(
        "sweep_studies",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("objective", sa.String(length=64), nullable=False),
        sa.Column("at", sa.String(length=8), nullable=False),
        sa.Column("scale", sa.String(length=16), nullable=False),
        sa.Column("identity", sa.JSON(), nullable=False),
        sa.Column("space_text", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("data_hash", sa.String(length=64), nullable=False),
        sa.Column("detections", sa.Integer(), nullable=False),
        sa.Column("adapted", sa.JSON(), nullable=False),
        sa.Column("work_dir", sa.Text(), nullable=False),
        sa.Column("budget", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sweep_studies")),
        sa.UniqueConstraint("name", name=op.f("uq_sweep_studies_name")),
    )
    op.create_table(
        "sweep_trials",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("combination_id", sa.Integer(), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("optuna_params", sa.JSON(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("device", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("best_score", sa.Double(), nullable=True),
        sa.Column("best_epoch", sa.Integer(), nullable=True),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("parameters", sa.BigInteger(), nullable=True),
        sa.Column("peak_memory_mb", sa.Double(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("versions", sa.JSON(), nullable=False),
        sa.Column("data_hash", sa.String(length=64), nullable=False),
        sa.Column("config_hash", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["combination_id"], ["sweep_combinations.id"], name=op.f("fk_sweep_trials_combination_id")
        ),
        sa.ForeignKeyConstraint(["config_hash"], ["sweep_configs.hash"], name=op.f("fk_sweep_trials_config_hash")),
        sa.ForeignKeyConstraint(
            ["study_id"], ["sweep_studies.id"], name=op.f("fk_sweep_trials_study_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sweep_trials")),
        sa.UniqueConstraint("study_id", "number", name=op.f("uq_sweep_trials_study_id")),
    )
    op.create_index(op.f("ix_sweep_trials_combination_id"), "sweep_trials", ["combination_id"], unique=False)
    op.create_index(
        "ix_sweep_trials_study_id_state_score", "sweep_trials", ["study_id", "state", "score"], unique=False
    )
    op.create_table(
        "sweep_epochs",
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["sweep_trials.id"], name=op.f("fk_sweep_epochs_trial_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("trial_id", "epoch", name=op.f("pk_sweep_epochs")),
    )


def downgrade() -> None:
    """Drop the tables, last first."""
    op.drop_table("sweep_epochs")
    op.drop_index("ix_sweep_trials_study_id_state_score", table_name="sweep_trials")
    op.drop_index(op.f("ix_sweep_trials_combination_id"), table_name="sweep_trials")
    op.drop_table("sweep_trials")
    op.drop_table("sweep_studies")
    op.drop_table("sweep_configs")
    op.drop_index(op.f("ix_sweep_combinations_hash"), table_name="sweep_combinations")
    op.drop_table("sweep_combinations")
