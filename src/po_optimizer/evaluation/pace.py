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
        positions: The examples' places in the testset.
        judged: Whether the records' scores say something.
    """

    def __init__(self, stage: str, positions: range, *, judged: bool = True) -> None:
        self._stage = stage
        self._judged = judged
        self._n = len(positions)
        self._first = positions.start
        self._lock = threading.Lock()
        self._counts = {"ok": 0, "failed": 0, "unscored": 0}
        self._told = (0, time.monotonic())  # examples and clock at the last line

    def tell(self, record: PredictionRecord) -> None:
        """Logs the record, or now and then how many there are."""
        if self._n <= MOST_LINES:
            place = f"example {record.index - self._first + 1} of {self._n}"
            _tell_one(f"{self._stage}: {place}", record, judged=self._judged)
            return
        with self._lock:
            self._counts[record.status] += 1
            done, now = sum(self._counts.values()), time.monotonic()
            if now - self._told[1] >= SECONDS or done == self._n:
                self._tell_pace(done, now)

    def _tell_pace(self, done: int, now: float) -> None:
        # the pace since the last line: kept answers come fast, and first
        examples, seconds = done - self._told[0], now - self._told[1]
        each = seconds / max(1, examples)
        logger.info(
            "%s: %d of %d examples, %d failed, %d unscored, %.2f s per example, "
            "about %.0f minutes left",
            self._stage,
            done,
            self._n,
            self._counts["failed"],
            self._counts["unscored"],
            each,
            each * (self._n - done) / 60,
        )
        self._told = (done, now)


def _tell_one(what: str, record: PredictionRecord, *, judged: bool) -> None:
    score = "none" if record.score is None else f"{record.score:.3f}"
    why = f" ({record.reason[:_REASON]})" if record.reason else ""
    logger.info(
        "%s, %s %s%s%s, %.1f s",
        what,
        record.example_id,
        record.status,
        why,
        f", score={score}" if judged else "",
        record.seconds,
    )
