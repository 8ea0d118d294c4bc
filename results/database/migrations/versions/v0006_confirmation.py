"""What a study is confirmed with, and what its trials score on the images held out."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, make the table."""
    op.add_column("sweep_studies", sa.Column("confirmation", sa.JSON(none_as_null=True), nullable=True))
    op.create_table(
        "sweep_holdout",
        sa.Column("trial_id", sa.Integer(), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("evidence", sa.LargeBinary(), nullable=True),
        sa.Column("scored_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["sweep_trials.id"], name=op.f("fk_sweep_holdout_trial_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("trial_id", name=op.f("pk_sweep_holdout")),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("sweep_holdout")
    op.drop_column("sweep_studies", "confirmation")
