"""Requests and tokens per minute: each paid attempt waits until it is its turn.

What was sent in the last minute stands in a table of the ledger, so all threads and
all processes that share an LM's folder keep one limit together, over restarts too.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import getLogger

from dspy.lm15 import Request

from po_optimizer.lms.ledger import Ledger
from po_optimizer.lms.stop import LedgerWriteFailed

logger = getLogger(__name__)

WINDOW_SECONDS = 61.0  # a minute, and a second for requests that arrive late
_STEP_SECONDS = (
    1.0  # between two looks: an answer may have freed tokens, or a stop came
)
_BYTES_PER_TOKEN = 3  # at least: English has 4, Chinese 3 and more
_UNKNOWN_COMPLETION = 1000  # tokens, of a request that sets no limit


class RateLimit:
    """Lets attempts pass so that no minute holds more than is allowed.

    Tokens are known only after the answer, so a turn takes an estimate that is rather
    too high, and `settle` puts it right.

    Args:
        ledger: Of the LM.
        requests: Per minute; None: no bound.
        tokens: Per minute, prompt and completion together; None: no bound. A single
            request above it passes when nothing else was sent for a minute.
        now: Seconds since 1970: the one clock that processes share.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        requests: int | None,
        tokens: int | None,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ledger = ledger
        self._requests = requests
        self._tokens = tokens
        self._now = now
        self._sleep = sleep
        self._queue = threading.Lock()  # one looks for its turn, the others stand by
        self._told = False

    def take_turn(self, request: Request, check: Callable[[], None]) -> int:
        """Waits until the request may be sent.

        Args:
            request: What is to be sent.
            check: Called before each look; what it raises ends the wait.

        Returns:
            The turn's number, for `settle`.

        Raises:
            LedgerWriteFailed: The disk refused it.
        """
        tokens = self._estimate(request)
        with self._queue:
            while True:
                check()
                with self._table() as table:
                    wait = self._seconds_to_wait(table, tokens)
                    if wait <= 0:
                        return _insert(table, self._now(), tokens)
                self._tell()
                self._sleep(min(wait, _STEP_SECONDS))

    def settle(self, turn: int, tokens: int) -> None:
        """Replaces the estimate by what the request really took.

        Raises:
            LedgerWriteFailed: The disk refused it.
        """
        with self._table() as table:
            table.execute("UPDATE turns SET tokens = ? WHERE id = ?", (tokens, turn))

    def _seconds_to_wait(self, table: sqlite3.Connection, tokens: int) -> float:
        """0 or less: it may be sent now."""
        now, wait = self._now(), 0.0
        # turns of the future are those of a clock that was put back
        known = (now - WINDOW_SECONDS, now + WINDOW_SECONDS)
        table.execute("DELETE FROM turns WHERE started NOT BETWEEN ? AND ?", known)
        select = "SELECT started, tokens FROM turns ORDER BY started"
        taken = table.execute(select).fetchall()
        requests, spent = len(taken), sum(row[1] for row in taken)
        for started, freed in taken:
            if self._fits(requests + 1, spent + tokens):
                break
            requests, spent = requests - 1, spent - freed
            wait = started + WINDOW_SECONDS - now
        return wait

    def _fits(self, requests: int, tokens: int) -> bool:
        return (self._requests is None or requests <= self._requests) and (
            self._tokens is None or tokens <= self._tokens
        )

    def _estimate(self, request: Request) -> int:
        if self._tokens is None:
            return 0
        most = request.config.max_tokens or _UNKNOWN_COMPLETION
        usual = self._ledger.usual_completion()
        return _prompt_tokens(request) + (most if usual is None else usual)

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            logger.info(
                "The LM's limit is reached (lm.requests_per_minute=%s, "
                "lm.tokens_per_minute=%s): calls wait for their turn from here on",
                self._requests,
                self._tokens,
            )

    @contextmanager
    def _table(self) -> Iterator[sqlite3.Connection]:
        """The table of turns, locked for all processes until the block ends."""
        try:
            with self._ledger.transaction() as connection:
                yield connection
        except sqlite3.Error as error:
            raise LedgerWriteFailed(str(self._ledger.path), str(error)) from error


def _insert(table: sqlite3.Connection, now: float, tokens: int) -> int:
    insert = "INSERT INTO turns (started, tokens) VALUES (?, ?)"
    return int(table.execute(insert, (now, tokens)).lastrowid or 0)


def _prompt_tokens(request: Request) -> int:
    """Rather too many: the schema counts, and no language has longer tokens."""
    schema = json.dumps(request.config.response_format or "", ensure_ascii=False)
    texts = [str(request.system), schema, *(one.text or "" for one in request.messages)]
    return sum(len(text.encode()) for text in texts) // _BYTES_PER_TOKEN
