"""The ledger: one SQLite row per LM call, complete across threads and restarts."""

import sqlite3
import threading
from pathlib import Path
from typing import NamedTuple, TypedDict, cast

from typing_extensions import Unpack

from po_optimizer.errors import refusal
from po_optimizer.files.private import open_private, use_wal
from po_optimizer.lms.stops import WriteFailed
from po_optimizer.lms.usage import Usage

_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY,
    started TEXT NOT NULL,
    run_id TEXT NOT NULL,
    stage TEXT NOT NULL,
    trial INTEGER,
    optimization_id TEXT,
    lm TEXT NOT NULL,
    paid INTEGER NOT NULL,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    cost_usd REAL,
    seconds REAL NOT NULL,
    error TEXT
);
CREATE INDEX IF NOT EXISTS calls_by_optimization ON calls (optimization_id, paid);
"""


class CallRow(NamedTuple):
    """One LM call.

    Args:
        started: ISO 8601, UTC.
        stage: The pipeline stage that made the call.
        lm: Slug of the LM.
        paid: True if the LM was asked, False if the answer came from the cache.
        seconds: Wall time of the call.
        trial: The optimizer's trial, from 1; negative if it was asked ahead, before
            that trial began; None outside trials.
        optimization_id: What all restarts of one optimization share.
        prompt_tokens: As the LM reported them; None: not reported.
        completion_tokens: Likewise.
        cost_usd: US dollars; None: unknown, which is not zero.
        error: Class and message if the call failed, else None.
    """

    started: str
    run_id: str
    stage: str
    lm: str
    paid: bool
    seconds: float
    trial: int | None = None
    optimization_id: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    error: str | None = None


_NAMES = ", ".join(CallRow._fields)
_MARKS = ", ".join("?" for _ in CallRow._fields)
_INSERT = f"INSERT INTO calls ({_NAMES}) VALUES ({_MARKS})"  # noqa: S608 -- our names

_TOTALS = """
SELECT coalesce(sum(paid), 0), coalesce(sum(1 - paid), 0),
       coalesce(sum(paid AND error IS NOT NULL), 0),
       coalesce(sum(CASE WHEN paid THEN prompt_tokens END), 0),
       coalesce(sum(CASE WHEN paid THEN completion_tokens END), 0),
       coalesce(sum(CASE WHEN paid THEN cost_usd END), 0.0),
       round(total(CASE WHEN paid THEN seconds END), 4),
       coalesce(sum(paid AND error IS NULL AND cost_usd IS NULL), 0)
FROM calls
"""


_WALL_SECONDS = """
SELECT total(span) FROM (
    SELECT max(julianday(started) * 86400 + seconds) - min(julianday(started) * 86400)
    AS span FROM calls WHERE optimization_id = ? GROUP BY run_id
)
"""


class CallFilter(TypedDict, total=False):
    """Which calls are meant; None: any."""

    run_id: str | None
    stage: str | None
    optimization_id: str | None
    trial: int | None


class Ledger:
    """A file of LM calls; rows are only ever added.

    Every row is its own transaction in WAL mode, so a killed process loses at
    most the call that was in flight.

    Args:
        path: The SQLite file; it and its folder are made when missing.

    Raises:
        PoOptimizerError: The disk refuses it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._local = threading.local()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self.path.exists():
                open_private(self.path).close()  # errors repeat what a server said
            self._connection.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            problem = refusal(error) if isinstance(error, OSError) else str(error)
            raise WriteFailed(
                "the ledger", str(self.path), problem
            ).as_error() from error

    @property
    def _connection(self) -> sqlite3.Connection:
        """This thread's."""
        connection: sqlite3.Connection | None
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
            use_wal(connection)
            self._local.connection = connection
        return connection

    def __deepcopy__(self, memo: dict[int, object]) -> "Ledger":
        """The same ledger: copies of an LM write into one file."""
        return self

    def record(self, row: CallRow) -> None:
        """Adds one call."""
        self._connection.execute(_INSERT, row)

    def totals(self, **of: Unpack[CallFilter]) -> Usage:
        """Sums over the calls that match every given value.

        Args:
            **of: See `CallFilter`.
        """
        where, values = _where(of)
        row = self._connection.execute(_TOTALS + where, values).fetchone()
        *sums, unknown_costs = row
        usage = Usage(**dict(zip(Usage.model_fields, sums, strict=True)))
        return usage.model_copy(update={"cost_usd": None}) if unknown_costs else usage

    def rows(self, **of: Unpack[CallFilter]) -> list[CallRow]:
        """The calls that match every given value, as for `totals`, oldest first."""
        where, values = _where(of)
        select = f"SELECT {_NAMES} FROM calls {where} ORDER BY id"  # noqa: S608
        rows = map(CallRow._make, self._connection.execute(select, values))
        return [row._replace(paid=bool(row.paid)) for row in rows]

    def stages(self, run_id: str) -> dict[str, Usage]:
        """Usage per stage of one run, in the order in which the stages began."""
        select = "SELECT stage FROM calls WHERE run_id = ? GROUP BY stage ORDER BY id"
        names = [row[0] for row in self._connection.execute(select, (run_id,))]
        return {name: self.totals(run_id=run_id, stage=name) for name in names}

    def wall_seconds(self, optimization_id: str) -> float:
        """From the first call's start to the last one's end, summed over the runs."""
        row = self._connection.execute(_WALL_SECONDS, (optimization_id,)).fetchone()
        return round(float(row[0]), 3)

    def known_cost_usd(self, optimization_id: str) -> float:
        """US dollars of one optimization's calls, as far as their cost is known."""
        select = "SELECT total(cost_usd) FROM calls WHERE paid AND optimization_id = ?"
        cost = self._connection.execute(select, (optimization_id,)).fetchone()[0]
        return float(cost)


def _where(of: CallFilter) -> tuple[str, dict[str, str | int]]:
    given = cast(dict[str, str | int | None], of)
    values = {name: value for name, value in given.items() if value is not None}
    clause = " AND ".join(f"{name} = :{name}" for name in values)
    return (f"WHERE {clause}" if clause else ""), values
