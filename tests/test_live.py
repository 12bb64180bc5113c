"""One small call to the real model of an environment: `make test-live ENV=ollama`."""

import os
from pathlib import Path

import dspy
import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from po_optimizer.lms import make_lm, use_lm
from po_optimizer.optimization.preflight.provider import provider_checks

PROJECT = Path(__file__).parents[1]


@pytest.mark.live
def test_real_model_answers_and_is_recorded(tmp_path):
    """It is there, answers in the form that was asked for, and reports its tokens."""
    env = os.environ.get("PO_LIVE_ENV")
    if not env:
        pytest.skip("PO_LIVE_ENV names no environment")
    bootstrap_project(PROJECT)
    with KedroSession.create(PROJECT, env=env) as session:
        found = session.load_context().catalog["task_lm"].load()
    lm = make_lm(found.params, tmp_path, run_id="live", api_key=found.meter.secret)
    assert [check for check in provider_checks(lm) if not check.passed] == []
    with use_lm(lm, stage="live"):
        answer = dspy.Predict("question -> answer")(question="How much is 1 + 1?")
    assert answer.answer
    totals = lm.meter.ledger.totals()
    assert totals.paid == 1
    assert totals.prompt_tokens > 0
