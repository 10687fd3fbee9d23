"""List the generations of the read model, and which of them people read."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE backtape_control.generations (
        name text PRIMARY KEY,
        state text NOT NULL CHECK (state IN ('building', 'standby', 'live', 'kept', 'dropping')),
        changed_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE UNIQUE INDEX one_is_live ON backtape_control.generations (state) WHERE state = 'live'",
    "COMMENT ON TABLE backtape_control.generations IS 'One row per generation of the read model: a build of its tables.'",
    "COMMENT ON COLUMN backtape_control.generations.name IS 'its schema is backtape_ and this name'",
    "COMMENT ON COLUMN backtape_control.generations.state IS "
    "'building; standby: complete and fed; live: what the views show; kept: fed for a rollback; dropping'",
    "COMMENT ON COLUMN backtape_control.generations.changed_at IS 'when the state last changed, wall clock'",
    "INSERT INTO backtape_control.generations (name, state) VALUES ('v1', 'live')",
    "GRANT USAGE ON SCHEMA backtape_control TO backtape_projector, backtape_web",
    "GRANT SELECT ON backtape_control.generations TO backtape_projector, backtape_web",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(sa.text(statement))


def downgrade() -> None:
    op.execute("DROP TABLE backtape_control.generations")
