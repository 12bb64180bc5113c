"""One small call to the real model of an environment: `make test-live ENV=ollama`."""

import os
from pathlib import Path

import dspy
import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from po_optimizer.console.messages import explain
from po_optimizer.lms.build import make_lm
from po_optimizer.lms.lm import MeteredLM, use_lm

PROJECT = Path(__file__).parents[1]


def task_lm(env: str, folder: Path) -> MeteredLM:
    """The task LM of an environment, with books of its own."""
    bootstrap_project(PROJECT)
    with KedroSession.create(PROJECT, env=env) as session:
        found = session.load_context().catalog["task_lm"].load()
    return make_lm(found.params, folder, run_id="live", api_key=found.provider.api_key)


def ask(env: str, folder: Path) -> MeteredLM:
    """One question; what stands in its way is said in one sentence."""
    try:
        lm = task_lm(env, folder)
        for check in lm.check_provider():
            if not check.passed:
                pytest.fail(
                    f"{check.setting}={check.value!r}: {check.message}", pytrace=False
                )
        with use_lm(lm, stage="live"):
            answer = dspy.Predict("question -> answer")(question="How much is 1 + 1?")
    except Exception as error:
        if said := explain(error):
            pytest.fail(said, pytrace=False)
        raise
    assert answer.answer
    return lm


@pytest.mark.live
def test_real_model_answers_and_is_recorded(tmp_path):
    """It is there, answers in the form that was asked for, and reports its tokens."""
    env = os.environ.get("PO_LIVE_ENV")
    if not env:
        pytest.skip("PO_LIVE_ENV names no environment")
    totals = ask(env, tmp_path).meter.ledger.totals()
    assert totals.paid == 1
    assert totals.prompt_tokens > 0
