"""Make the control tables of the web service: keys, sessions, submissions, audits. They follow from no log: back them up."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE backtape_control.api_keys (
        key_id text COLLATE "C" PRIMARY KEY,
        name text NOT NULL,
        secret_sha256 bytea NOT NULL,
        scopes text[] NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz,
        revoked_at timestamptz
    )
    """,
    """
    CREATE TABLE backtape_control.login_links (
        secret_sha256 bytea PRIMARY KEY,
        key_id text COLLATE "C" NOT NULL REFERENCES backtape_control.api_keys,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL,
        used_at timestamptz
    )
    """,
    """
    CREATE TABLE backtape_control.web_sessions (
        secret_sha256 bytea PRIMARY KEY,
        key_id text COLLATE "C" NOT NULL REFERENCES backtape_control.api_keys,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE backtape_control.submissions (
        command_id text COLLATE "C" PRIMARY KEY,
        key_id text COLLATE "C" NOT NULL REFERENCES backtape_control.api_keys,
        idempotency_key text,
        request_digest text NOT NULL,
        submitter text NOT NULL,
        backtest_id text COLLATE "C" NOT NULL,
        issued_at_text text NOT NULL,
        issued_at timestamptz NOT NULL,
        log_partition integer,
        log_offset bigint,
        UNIQUE (key_id, idempotency_key)
    )
    """,
    "CREATE INDEX submissions_by_backtest ON backtape_control.submissions (backtest_id)",
    "CREATE INDEX submissions_by_issued_at ON backtape_control.submissions (issued_at)",
    """
    CREATE TABLE backtape_control.audits (
        backtest_id text COLLATE "C" PRIMARY KEY,
        requested_by text NOT NULL,
        state text NOT NULL,
        verdict text,
        findings jsonb NOT NULL DEFAULT '[]',
        detail text NOT NULL DEFAULT '',
        requested_at timestamptz NOT NULL DEFAULT now(),
        started_at timestamptz,
        finished_at timestamptz
    )
    """,
    "CREATE INDEX audits_waiting ON backtape_control.audits (requested_at) WHERE state IN ('queued', 'running')",
    "GRANT USAGE ON SCHEMA backtape_control TO backtape_web",
    """
    GRANT SELECT, INSERT, UPDATE, DELETE ON backtape_control.api_keys, backtape_control.login_links,
        backtape_control.web_sessions, backtape_control.submissions, backtape_control.audits TO backtape_web
    """,
    "COMMENT ON TABLE backtape_control.api_keys IS 'One row per API key; its secret is kept as SHA-256 only.'",
    "COMMENT ON TABLE backtape_control.login_links IS 'One row per login link: each logs one browser in, once.'",
    "COMMENT ON TABLE backtape_control.web_sessions IS 'One row per session of a browser.'",
    "COMMENT ON TABLE backtape_control.submissions IS 'One row per command that the web service sent to run a backtest.'",
    "COMMENT ON TABLE backtape_control.audits IS 'One row per backtest that was audited from the web service: its last audit.'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("audits", "submissions", "web_sessions", "login_links", "api_keys"):
        op.execute(f"DROP TABLE backtape_control.{table}")
