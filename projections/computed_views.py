"""This module lists the views that compute something: episodes of drawdown, and the projector's lag.

They are views and not folded tables. Each follows from rows that are there already; asked for one backtest, which is how they are
asked, they read that backtest's marks by the primary key (some ten milliseconds for ten thousand marks), and cost the projector
nothing. A question over all backtests (the longest drawdown of any) reads every mark; rank by ``max_drawdown`` first.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Computed:
    """One view: its columns with type and comment, and its query, where ``{schema}`` is the generation's schema."""

    name: str
    comment: str
    typed_columns: dict[str, tuple[str, str]]
    sql: str

    @property
    def columns(self) -> dict[str, str]:
        """Return the comment of each column, in order."""
        return {name: comment for name, (_, comment) in self.typed_columns.items()}

    def type_of(self, name: str) -> str:
        return self.typed_columns[name][0]

    def select(self, schema: str) -> str:
        return " ".join(self.sql.format(schema=schema).split())


# A mark whose drawdown is 0 is a peak; the marks up to the next one belong to it. Every window is cut by backtest_id, so that a
# condition on it reaches the scan.
DRAWDOWNS = Computed(
    "drawdowns",
    "One row per fall of equity below a peak, from the equity marks: what lies between two marks is not seen.",
    {
        "backtest_id": ("text", "the backtest"),
        "episode": ("bigint", "number of peaks up to its start; ascending in time"),
        "start": ("timestamptz", "the peak's mark, market time; the first mark where equity began below a peak"),
        "trough": ("timestamptz", "the mark with the deepest drawdown, market time"),
        "recovery": ("timestamptz", "the first mark at a new peak, market time; null where there is none"),
        "last_mark": ("timestamptz", "the last mark below the peak, market time"),
        "peak_equity": ("double precision", "equity at the start's mark, account currency"),
        "trough_equity": ("double precision", "equity at the trough, account currency"),
        "depth": ("double precision", "the deepest drawdown, a fraction < 0"),
        "days": ("double precision", "days of 24 hours from the start to the recovery, or to the last mark"),
    },
    """
    SELECT backtest_id, episode, start, trough, recovery, last_mark, peak_equity, trough_equity, depth,
           extract(epoch FROM coalesce(recovery, last_mark) - start)::double precision / 86400 AS days
    FROM (
        SELECT backtest_id, episode, min(time) AS start, (array_agg(time ORDER BY drawdown, mark))[1] AS trough,
               lead(min(time)) OVER (PARTITION BY backtest_id ORDER BY episode) AS recovery, max(time) AS last_mark,
               (array_agg(equity ORDER BY mark))[1] AS peak_equity,
               (array_agg(equity ORDER BY drawdown, mark))[1] AS trough_equity, min(drawdown) AS depth
        FROM (
            SELECT backtest_id, mark, time, equity, drawdown,
                   count(*) FILTER (WHERE drawdown >= 0) OVER (PARTITION BY backtest_id ORDER BY mark) AS episode
            FROM {schema}.equity
        ) AS marks
        GROUP BY backtest_id, episode
    ) AS episodes
    WHERE depth < 0
    """,
)

PROJECTION_HEALTH = Computed(
    "projection_health",
    "One row per source partition: how far it was read, and how far that is behind its log. Offsets have holes: markers of "
    "transactions count.",
    {
        "topic": ("text", "topic that is read"),
        "partition": ("integer", "its partition"),
        "next_offset": ("bigint", "the next offset to read: everything before it is in these tables"),
        "log_end": ("bigint", "the last stable offset when the projector last looked; null before it did"),
        "lag": ("bigint", "offsets that were not read then and are not read now; null before the projector looked"),
        "projected_until": ("timestamptz", "time of the newest record in these tables, wall clock; null before the first"),
        "oldest_unread_at": ("timestamptz", "time of the oldest record not in these tables, wall clock; null without any"),
        "oldest_unread_seconds": ("double precision", "its age now, seconds; null without any"),
        "observed_at": (
            "timestamptz",
            "when the projector looked, wall clock: some seconds ago while one runs; null before it did",
        ),
        "observed_seconds": ("double precision", "how long ago that is, seconds; growing: no projector has this partition"),
    },
    """
    SELECT topic, partition, next_offset, log_end, greatest(log_end - next_offset, 0) AS lag, recorded_at AS projected_until,
           oldest_unread_at, extract(epoch FROM now() - oldest_unread_at)::double precision AS oldest_unread_seconds,
           observed_at, extract(epoch FROM now() - observed_at)::double precision AS observed_seconds
    FROM (
        SELECT p.topic, p.partition, p.next_offset, p.recorded_at, e.log_end, e.observed_at,
               CASE WHEN e.log_end > p.next_offset THEN greatest(e.oldest_unread_at, p.recorded_at) END AS oldest_unread_at
        FROM {schema}.projection_state AS p
        LEFT JOIN {schema}.log_ends AS e ON e.topic = p.topic AND e.partition = p.partition
    ) AS sources
    """,
)

COMPUTED_VIEWS = (DRAWDOWNS, PROJECTION_HEALTH)
