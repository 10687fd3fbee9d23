"""This module holds the SQL functions of schema ``backtape``. They ask its views: a new generation changes nothing here."""

from projections.ddl import quoted_text

WAIT_FOR = "backtape.wait_for(text, bigint, interval)"
WAIT_FOR_COMMENT = (
    "Wait until the read model holds this event of the backtest: true once it does, false after the timeout. Call it as a "
    "statement of its own, in READ COMMITTED: the rest of the same statement sees the rows of when it began."
)

# A statement sees one snapshot, but each query inside a VOLATILE function sees a new one, unless the transaction keeps its
# first: then nothing new would ever be seen, which is refused at once. clock_timestamp, because now() stands still.
_WAIT_FOR = """
CREATE OR REPLACE FUNCTION backtape.wait_for(backtest_id text, sequence bigint, timeout interval DEFAULT '30 seconds')
RETURNS boolean LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE STRICT SET search_path = pg_catalog AS $wait$
DECLARE
    ends_at timestamptz := clock_timestamp() + timeout;
    pause double precision := 0.005;
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'backtape.wait_for: transaction_isolation: % is not allowed: read committed',
            current_setting('transaction_isolation') USING ERRCODE = 'active_sql_transaction';
    END IF;
    LOOP
        PERFORM FROM backtape.backtests AS b WHERE b.backtest_id = wait_for.backtest_id AND b.last_sequence >= wait_for.sequence;
        IF FOUND THEN RETURN true; END IF;
        IF clock_timestamp() >= ends_at THEN RETURN false; END IF;
        PERFORM pg_sleep(least(pause, extract(epoch FROM ends_at - clock_timestamp())));
        pause := least(2 * pause, 0.1);
    END LOOP;
END
$wait$
"""


def functions_sql() -> list[str]:
    """Return the statements that put the functions in place."""
    return [
        _WAIT_FOR.strip(),
        f"COMMENT ON FUNCTION {WAIT_FOR} IS {quoted_text(WAIT_FOR_COMMENT)}",
        f"REVOKE ALL ON FUNCTION {WAIT_FOR} FROM PUBLIC",
    ]
