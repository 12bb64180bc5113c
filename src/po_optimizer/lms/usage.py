"""What LM calls took: counted once, for ledger, budget, forecast and reports alike."""

from typing import Any, Literal

from pydantic import model_validator

from po_optimizer.params.base import Frozen

Basis = Literal["ledger", "probe", "setting"]


class MeanUsage(Frozen):
    """What one answered call takes, on average.

    Args:
        basis: `ledger`: of earlier calls; `probe`: of the preflight's calls;
            `setting`: lm.seconds_per_example, with tokens and cost unknown.
        n: Calls that it is the mean of.
        seconds: Wall time, that of failed attempts included.
        tokens: Prompt and completion together; None: unknown.
        cost_usd: None: unknown.
    """

    basis: Basis = "ledger"
    n: int
    seconds: float
    tokens: float | None
    cost_usd: float | None


class Usage(Frozen):
    """What some LM calls took together.

    Args:
        paid: Calls that the LM was asked for, failed ones included.
        cached: Calls answered from the response cache.
        failed: Paid calls that ended in an error.
        prompt_tokens: Of the paid calls that reported them.
        completion_tokens: Likewise.
        cost_usd: US dollars; None as soon as one paid answer's cost is unknown.
        seconds: Sum of the paid calls' wall times.
    """

    paid: int = 0
    cached: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = 0.0
    seconds: float = 0.0

    @model_validator(mode="before")
    @classmethod
    def _from_earlier_report(cls, data: Any) -> Any:
        """Optimization reports of earlier versions had names of their own."""
        if not isinstance(data, dict) or "calls_paid" not in data:
            return data
        return {
            "paid": data["calls_paid"],
            "cached": data.get("calls_cached", 0),
            "prompt_tokens": data.get("tokens", 0),
            "cost_usd": data.get("cost_usd"),
            "seconds": data.get("call_seconds", 0.0),
        }

    @property
    def tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def calls(self) -> int:
        """Paid and cached together."""
        return self.paid + self.cached

    def __add__(self, other: "Usage") -> "Usage":
        """The sum; its cost is unknown if either's is."""
        costs = (self.cost_usd, other.cost_usd)
        return Usage(
            paid=self.paid + other.paid,
            cached=self.cached + other.cached,
            failed=self.failed + other.failed,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost_usd=None if None in costs else sum(c for c in costs if c is not None),
            seconds=round(self.seconds + other.seconds, 4),
        )

    def per_call(self, basis: Basis = "ledger") -> MeanUsage | None:
        """The means over the answered calls; None: none was answered."""
        n = self.paid - self.failed
        if n <= 0:
            return None
        return MeanUsage(
            basis=basis,
            n=n,
            seconds=self.seconds / n,
            tokens=self.tokens / n if self.tokens else None,
            cost_usd=None if self.cost_usd is None else self.cost_usd / n,
        )
