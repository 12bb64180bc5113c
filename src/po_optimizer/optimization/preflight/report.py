"""The preflight's report."""

from pydantic import BaseModel, ConfigDict

from po_optimizer.lms.check import Check


class PreflightReport(BaseModel):
    """Every check in the order in which it was made.

    Args:
        optimization_id: Of the optimization that this clears.
        checks: Passed and failed ones.
        seconds: Wall time of the preflight.
        calls_per_run: LM calls of each run of the probe, cached ones included.
    """

    model_config = ConfigDict(frozen=True)

    optimization_id: str
    checks: list[Check]
    seconds: float
    calls_per_run: list[int] = []

    @property
    def passed(self) -> bool:
        """True if every check did."""
        return all(check.passed for check in self.checks)

    def failures(self) -> list[str]:
        """One line per failed check, with its setting, value and remedy."""
        return [
            f"{c.setting}={c.value!r}: {c.name} needs {c.allowed}. {c.message}".strip()
            for c in self.checks
            if not c.passed
        ]
