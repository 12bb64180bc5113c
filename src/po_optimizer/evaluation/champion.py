"""The promoted program of an LM: what a new program must beat, and what runs."""

from typing import Literal

from po_optimizer.evaluation.predictions import Result
from po_optimizer.evaluation.promotion import Promotion


class Champion(Result):
    """What `champion.json` holds.

    Attributes:
        program: Fingerprint of the promoted program, per predictor; None: none is
            promoted, and the baseline runs.
        run: The run that promoted it; "": not known.
        reason: Why, in a sentence.
    """

    format_version: Literal[1] = 1
    program: dict[str, str] | None = None
    run: str = ""
    reason: str = ""

    def after(self, promotion: Promotion, run: str) -> "Champion":
        """Who is promoted once this was decided.

        A promoted program stays until another one is promoted, or a person decides
        against it (`promotion.override`).
        """
        if promotion.decision == "promote" and promotion.program != self.program:
            reason = next(iter(promotion.reasons), "")
            return Champion(program=promotion.program, run=run, reason=reason)
        by_hand = promotion.override is not None
        own = promotion.program is not None and promotion.program == self.program
        if own and by_hand and promotion.decision == "keep_baseline":
            return Champion(run=run, reason=promotion.reasons[0])
        return self
