"""How long a trial's model takes for an image."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add it; unknown for the trials there are."""
    op.add_column("sweep_trials", sa.Column("seconds_per_image", sa.Double(), nullable=True))


def downgrade() -> None:
    """Take it away again."""
    op.drop_column("sweep_trials", "seconds_per_image")
