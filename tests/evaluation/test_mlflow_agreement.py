"""MLflow's paired comparison and ours judge the same data alike, where it is there."""

import numpy as np
import pytest
from benchmarks.mlflow_agreement import mlflows, ours, passed

from po_optimizer.params.evaluate import PromotionParams

pytest.importorskip("mlflow", "3.18", reason="3.18 was the first to compare in pairs")


@pytest.mark.parametrize("uplift", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("n", [12, 40])
def test_agrees_on_passed_or_not(uplift: float, n: int) -> None:
    """Mean, interval and exact p-value of scores of 0 and 1 are the same."""
    before, after = passed(np.random.default_rng(n), 1, n, uplift)
    expected = mlflows(before, after[0])
    assert ours(before, after[0], PromotionParams()) == pytest.approx(
        expected, abs=0.02
    )
