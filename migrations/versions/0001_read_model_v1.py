"""Make the read model, version 1."""

import sqlalchemy as sa
from alembic import op

from migrations.statements_0001 import STATEMENTS

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(sa.text(statement.replace(":", "\\:")))


def downgrade() -> None:
    op.execute("DROP SCHEMA IF EXISTS backtape CASCADE")
    op.execute("DROP SCHEMA backtape_v1 CASCADE")
