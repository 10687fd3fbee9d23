"""Make the read model, version 1."""

from alembic import op

from migrations.statements_0001 import STATEMENTS

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    # As one script: one by one they are five hundred round trips.
    session = op.get_bind().connection.dbapi_connection
    assert session is not None, "it is connected"
    session.run_async(lambda connection: connection.execute(";\n".join(STATEMENTS)))


def downgrade() -> None:
    op.execute("DROP SCHEMA IF EXISTS backtape CASCADE")
    op.execute("DROP SCHEMA backtape_v1 CASCADE")
