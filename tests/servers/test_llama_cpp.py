"""llama.cpp's own server, as an OpenAI-compatible one that somebody else started."""

import dspy

from po_optimizer.lms import make_lm, stop_servers, use_lm
from po_optimizer.lms.embedded import serve
from po_optimizer.lms.providers import look_at_provider
from po_optimizer.params import LMParams
from tests.weights import SMALL, needs_weights


@needs_weights
def test_llama_cpp_answers_under_a_schema(tmp_path):
    """It lists a model, keeps to the schema and reports its tokens."""
    try:
        base = serve(SMALL, 1024)
        params = LMParams(
            provider="openai",
            model="smollm2",
            api_base=base,
            max_tokens=60,
            bounds={"items": 2, "item_characters": 20, "text_characters": 20},
        )
        findings = {f.name: f for f in look_at_provider(params)}
        assert not findings["server_answers"].problem
        lm = make_lm(params, tmp_path, run_id="r")
        signature = dspy.Signature("text -> colors: list[str]", "Name the colors.")
        with use_lm(lm, stage="test"):
            answer = dspy.Predict(signature)(text="The sky is blue.")
        assert all(isinstance(color, str) for color in answer.colors)
        (row,) = lm.meter.ledger.rows()
        assert row.prompt_tokens > 10
        assert row.completion_tokens > 0
        assert row.cost_usd is None
    finally:
        stop_servers()
