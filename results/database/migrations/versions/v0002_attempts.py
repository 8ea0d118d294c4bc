"""Attempts, kinds of failure, what a retry changed, why a study is paused.

Attempts made before this step were only counted: none are made up for them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them."""
    op.add_column("sweep_studies", sa.Column("reason", sa.Text(), nullable=True))
    op.add_column("sweep_trials", sa.Column("failure", sa.String(length=16), nullable=True))
    op.add_column("sweep_trials", sa.Column("adjusted", sa.JSON(), nullable=True))
    op.add_column("sweep_trials", sa.Column("retries", sa.Integer(), server_default="0", nullable=False))
    op.add_column("sweep_trials", sa.Column("optuna_number", sa.Integer(), nullable=True))
    op.create_table(
        "sweep_attempts",
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("fence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("batch_size", sa.Integer(), nullable=True),
        sa.Column("accumulate", sa.Integer(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end", sa.String(length=16), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("first_epoch", sa.Integer(), nullable=False),
        sa.Column("last_epoch", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["sweep_trials.id"], name=op.f("fk_sweep_attempts_trial_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("trial_id", "fence", name=op.f("pk_sweep_attempts")),
    )


def downgrade() -> None:
    """Take them away again."""
    op.drop_table("sweep_attempts")
    for name in ("optuna_number", "retries", "adjusted", "failure"):
        op.drop_column("sweep_trials", name)
    op.drop_column("sweep_studies", "reason")
