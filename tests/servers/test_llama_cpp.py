"""llama.cpp's own server, as an OpenAI-compatible one that somebody else started."""

import dspy
import pytest
import yaml

from po_optimizer.lms.build import make_lm
from po_optimizer.lms.embedded.server import KEY, serve, stop_servers
from po_optimizer.lms.ledger import Ledger
from po_optimizer.lms.lm import use_lm
from po_optimizer.lms.providers import make_provider
from po_optimizer.params.lm import LMParams
from tests.faces.project import copy_project, kedro, store_no_snapshots
from tests.weights import SMALL, needs_weights

CONTEXT = 8192
MODEL = SMALL.file.removesuffix(".gguf")
# as few and as short answers of a small model as a whole run can have
SETTINGS = {
    "data_prep": {"sizes": {"train": 2, "val": 2, "test": 2}},
    "optimize": {"miprov2": {"num_candidates": 2, "num_trials": 1}},
    "lm": {
        "provider": "openai",
        "model": MODEL,
        "bounds": {"items": 1, "item_characters": 20, "text_characters": 40},
        "context_tokens": CONTEXT,
    },
    "prompt_lm": {"max_tokens": 60, "bounds": {"text_characters": 120}},
}


@needs_weights
def test_llama_cpp_answers_under_a_schema(tmp_path):
    """It lists a model, keeps to the schema and reports its tokens."""
    try:
        base = serve(SMALL, 1024)
        params = LMParams(
            provider="openai",
            model=MODEL,
            api_base=base,
            max_tokens=60,
            bounds={"items": 2, "item_characters": 20, "text_characters": 20},
        )
        checks = make_provider(params, KEY).check_provider()
        assert [check.name for check in checks if check.passed] == [
            "server_answers",
            "server_has_model",
        ]
        lm = make_lm(params, tmp_path, run_id="r", api_key=KEY)
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


@needs_weights
@pytest.mark.servers
def test_whole_pipeline_through_llama_cpp(tmp_path):
    """data_prep to evaluate on a server that knows nothing of us, from its address."""
    project = copy_project(tmp_path / "project")
    store_no_snapshots(project)
    settings = project / "conf" / "llama-cpp" / "parameters_lm.yml"
    settings.parent.mkdir()
    settings.write_text(yaml.safe_dump(SETTINGS))
    try:
        done = kedro(
            project,
            "run",
            "--env=llama-cpp",
            "--params=role=support_desk",
            base_url=serve(SMALL, CONTEXT),
            most_seconds=900,
            PO_LM_API_KEY=KEY,
        )
    finally:
        stop_servers()
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (ledger,) = project.glob(
        "data/07_model_output/support_desk/openai-smollm2-*/ledger.sqlite"
    )
    totals = Ledger(ledger).totals()
    assert totals.paid > 5
    assert totals.failed == 0
    assert totals.prompt_tokens > 100 * totals.paid
