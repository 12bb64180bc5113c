"""How far an evaluation is, in the log: a line an example, or the pace of many."""

import logging
import threading
import time

from po_optimizer.evaluation.predictions import PredictionRecord

logger = logging.getLogger(__name__)

MOST_LINES = 200  # up to so many examples each has its line
_REASON = 200  # characters of why an example has no score or a score of 0.0
SECONDS = 30.0  # between two lines of more examples


class Pace:
    """Counts an evaluation's records as they are made, in whatever thread.

    Args:
        stage: What the lines begin with.
        n: How many examples there are.
        judged: Whether the records' scores say something.
    """

    def __init__(self, stage: str, n: int, *, judged: bool = True) -> None:
        self._stage = stage
        self._judged = judged
        self._n = n
        self._lock = threading.Lock()
        self._counts = {"ok": 0, "failed": 0, "unscored": 0}
        self._last = (0, time.monotonic())  # examples and clock at the last line

    def log(self, record: PredictionRecord) -> None:
        """Logs the record, or now and then how many there are."""
        if self._n <= MOST_LINES:
            self._log_record(record)
            return
        with self._lock:
            self._counts[record.status] += 1
            done, now = sum(self._counts.values()), time.monotonic()
            if now - self._last[1] >= SECONDS or done == self._n:
                self._log_pace(done, now)

    def _log_pace(self, done: int, now: float) -> None:
        # the pace since the last line: kept answers come fast, and first
        examples, seconds = done - self._last[0], now - self._last[1]
        per_example = seconds / max(1, examples)
        logger.info(
            "%s: %d of %d examples, %d failed, %d unscored, %.2f s per example, "
            "about %.0f minutes left",
            self._stage,
            done,
            self._n,
            self._counts["failed"],
            self._counts["unscored"],
            per_example,
            per_example * (self._n - done) / 60,
        )
        self._last = (done, now)

    def _log_record(self, record: PredictionRecord) -> None:
        score = "none" if record.score is None else f"{record.score:.3f}"
        why = f" ({record.reason[:_REASON]})" if record.reason else ""
        logger.info(
            "%s: example %d of %d, %s %s%s%s, %.1f s",
            self._stage,
            record.index + 1,
            self._n,
            record.example_id,
            record.status,
            why,
            f", score={score}" if self._judged else "",
            record.seconds,
        )
