"""Exports in the tools they are for: what these send or render is what DSPy sends."""

import json
import os
import subprocess
from pathlib import Path

import dspy
import pytest

from po_optimizer.integrations.exports.conformance import probe_inputs
from po_optimizer.integrations.exports.template import sent_by_dspy, text_of
from tests.faces.project import answering
from tests.integrations.exported import ADAPTERS, Desk, Order, exported, stored

TOOLS = Path(__file__).parent / "tools"
PROMPTFOO = TOOLS / "node_modules/.bin/promptfoo"
INSPECT = TOOLS / "inspect/bin/inspect"

pytestmark = pytest.mark.integrations


def tool(path: Path) -> str:
    """A tool's command; the test is skipped where it is not installed."""
    if not path.exists():
        pytest.skip(f"{path.name} is not installed: make test-integrations")
    return str(path)


def asked_by(command: list[str], folder: Path, **variables: str) -> list[object]:
    """The messages of every request that a command made, with the settings of Desk."""
    bodies: list[dict[str, object]] = []
    own = {name: v for name, v in os.environ.items() if name != "PYTHONPATH"}
    with answering(lambda _: "ok", model="gpt-4o-mini", bodies=bodies) as url:
        done = subprocess.run(  # noqa: S603 -- the tool under test
            command,
            cwd=folder,
            env={**own, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "none", **variables},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert {(b["temperature"], *b["stop"]) for b in bodies} == {(0.5, "##")}
    return [body["messages"] for body in bodies]


def with_inputs(folder: Path, target: str, adapter: str) -> tuple[Path, list[object]]:
    """An export with 20 awkward inputs, and what DSPy sends for them."""
    predictor = Desk().steps[0]
    inputs = probe_inputs(predictor)
    table = folder / "inputs.jsonl"
    rows = [dspy.Example(values).toDict() for values in inputs]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    written, _ = exported(stored(folder), target, adapter, "--inputs", str(table))
    return written, [sent_by_dspy(predictor, adapter, values) for values in inputs]


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_promptfoo_sends_the_same_bytes(tmp_path, adapter):
    """Braces, line ends, addresses of files: 20 requests are DSPy's."""
    command = tool(PROMPTFOO)
    folder, expected = with_inputs(tmp_path, "promptfoo", adapter)
    options = ("--no-cache", "--no-table", "--max-concurrency", "1")
    config = ("-c", "steps_0.promptfooconfig.json")
    quiet = {
        "PROMPTFOO_DISABLE_TELEMETRY": "1",
        "PROMPTFOO_DISABLE_UPDATE": "1",
        "PROMPTFOO_CONFIG_DIR": str(tmp_path / "promptfoo"),
        "PROMPTFOO_MODEL": "gpt-4o-mini",
    }
    assert asked_by([command, "eval", *config, *options], folder, **quiet) == expected


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_inspect_sends_the_same_bytes(tmp_path, adapter):
    """Each sample's messages are DSPy's."""
    command = tool(INSPECT)
    folder, expected = with_inputs(tmp_path, "inspect", adapter)
    options = ("--model", "openai/gpt-4o-mini", "-M", "responses_api=false")
    quiet = ("--display", "none", "--max-connections", "1", "--max-retries", "1")
    task = [command, "eval", "tasks.py@steps_0"]
    sent = asked_by([*task, *options, *quiet], folder)
    assert len(sent) == len(expected)
    assert all(messages in sent for messages in expected)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_langfuse_compiles_the_same_bytes(tmp_path, adapter):
    """Its own client makes DSPy's messages of the exported prompt."""
    model = pytest.importorskip("langfuse.model")
    predictor = dspy.Predict(Order)
    folder, _ = exported(stored(tmp_path, predictor), "langfuse", adapter)
    body = json.loads((folder / "predict.json").read_text("utf-8"))
    prompt = model.Prompt_Chat(**body, version=1, labels=[], tags=[])
    client = model.ChatPromptClient(prompt)
    for inputs, texts in probes(predictor):
        rendered = [
            {k: m[k] for k in ("role", "content")} for m in client.compile(**texts)
        ]
        assert rendered == sent_by_dspy(predictor, adapter, inputs)


def test_mlflow_formats_the_same_bytes(tmp_path):
    """A prompt that went through its registry is DSPy's, of every adapter."""
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    predictor, path = Desk().steps[0], stored(tmp_path)
    for adapter in ADAPTERS:
        folder, _ = exported(path, "mlflow-prompt", adapter)
        template = json.loads((folder / "steps_0.json").read_text("utf-8"))
        mlflow.genai.register_prompt(name=adapter, template=template)
        prompt = mlflow.genai.load_prompt(f"prompts:/{adapter}/1")
        for inputs, texts in probes(predictor):
            assert prompt.format(**texts) == sent_by_dspy(predictor, adapter, inputs)


def probes(predictor: dspy.Predict) -> list[tuple[dict, dict]]:
    """Inputs, and their texts."""
    fields = predictor.signature.input_fields
    return [
        (inputs, {name: text_of(fields[name], value) for name, value in inputs.items()})
        for inputs in probe_inputs(predictor)
    ]
