"""`po-optimizer export`: what is written is what DSPy sends, or a sentence why not."""

import json
import re

import dspy
import jinja2
import pytest
from click.testing import CliRunner

from po_optimizer.__main__ import group
from po_optimizer.errors import ArtifactError
from po_optimizer.integrations.exports.conformance import check_export, probe_inputs
from po_optimizer.integrations.exports.targets import TARGETS
from po_optimizer.integrations.exports.template import (
    TemplateMessage,
    make_template,
    sent_by_dspy,
    text_of,
)
from po_optimizer.persistence import attach_provenance
from tests.integrations.exported import ADAPTERS, Desk, Item, Order, exported, stored


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """The document of a program with whatever is awkward in a template."""
    return stored(tmp_path_factory.mktemp("stored"))


@pytest.mark.parametrize(
    ("target", "adapter"),
    [
        *(("jinja", adapter) for adapter in ADAPTERS),
        ("messages", "xml"),
        ("promptfoo", "chat"),
        ("inspect", "json"),
        ("mlflow-prompt", "chat"),
    ],
)
def test_every_target_renders_what_dspy_sends(document, target, adapter):
    """For 20 inputs of every predictor, byte for byte, and the code is named."""
    _, output = exported(document, target, adapter)
    assert output.count("20 of 20 inputs render as DSPy's") == 2
    assert "not exported: the code of tests.integrations.exported:Desk" in output
    lost = "not exported: the settings of steps_0: {'temperature': 0.5" in output
    assert lost is (target in ("jinja", "mlflow-prompt"))


def test_messages_are_read_without_a_library(document):
    """A content is a list: a text stands for itself, a mapping for an input."""
    folder, _ = exported(document, "messages", "chat")
    template = json.loads((folder / "generate.json").read_text("utf-8"))
    inputs = {"text": "{{ n }}", "n": "1", "sure": "False"}
    last = template["messages"][-1]["content"]
    text = "".join(p if isinstance(p, str) else inputs[p["input"]] for p in last)
    values = {"text": "{{ n }}", "n": 1, "sure": False}
    assert text == sent_by_dspy(Desk().generate.predict, "chat", values)[-1]["content"]


def test_jinja_needs_no_setting(document):
    """Jinja's own defaults render the same bytes."""
    folder, _ = exported(document, "jinja", "xml")
    messages = json.loads((folder / "steps_0.json").read_text("utf-8"))
    for message in messages:
        message["content"] = jinja2.Template(message["content"])
    predictor = Desk().steps[0]
    for inputs in probe_inputs(predictor):
        fields = predictor.signature.input_fields
        texts = {name: text_of(fields[name], value) for name, value in inputs.items()}
        rendered = [{**m, "content": m["content"].render(texts)} for m in messages]
        assert rendered == sent_by_dspy(predictor, "xml", inputs)


def test_state_is_dspys_own(document):
    """Another process's program of the class has the same prompts after `load`."""
    folder, output = exported(document, "dspy", "json")
    program, blank = Desk(), Desk()
    blank.steps[0].demos = blank.generate.predict.demos = []
    blank.load(str(folder / "state.json"))
    for predictor, loaded in zip(program.predictors(), blank.predictors(), strict=True):
        inputs = probe_inputs(predictor)[-1]
        sent = sent_by_dspy(predictor, "json", inputs)
        assert sent_by_dspy(loaded, "json", inputs) == sent
    assert "not exported: the types of fields" in output


def test_state_names_what_dspy_leaves_out(tmp_path):
    """A frozen module's predictors are not in DSPy's state."""
    program = Desk()
    program.generate._compiled = True
    _, output = exported(stored(tmp_path, program), "dspy", "json")
    assert "not exported: generate, in a frozen module" in output


def test_an_lm_of_a_predictor_stays_behind(tmp_path):
    """It is named, not written: addresses and keys are no part of an export."""
    program = Desk()
    program.steps[0].lm = dspy.LM("openai/x", api_key="k-1", api_base="http://host")
    folder, output = exported(stored(tmp_path, program), "dspy", "json")
    assert "not exported: the LM that steps_0 holds" in output
    Desk().load(str(folder / "state.json"))


def test_settings_that_are_no_data_are_named(tmp_path):
    """So is what DSPy tells apart its own answers by."""
    program = dspy.Predict("question -> answer", response_format=Item, rollout_id=3)
    folder, output = exported(stored(tmp_path, program), "inspect", "json")
    assert "not exported: settings of predict: response_format, rollout_id" in output
    assert json.loads((folder / "predict.json").read_text("utf-8"))["config"] == {}


def test_names_of_inputs_and_predictors_are_free(tmp_path):
    """Also those that a file of the export uses itself, or that differ by case."""
    program = dspy.Module()
    program.task, program.Task = (dspy.Predict("inputs -> answer") for _ in range(2))
    path = stored(tmp_path, program)
    for target in ("jinja", "promptfoo", "inspect"):
        folder, output = exported(path, target, "chat")
        assert output.count("20 of 20 inputs") == 2
    names = re.findall(r"^def (\w+)", (folder / "tasks.py").read_text(), re.MULTILINE)
    assert names == ["message", "make_task", "predictor_task", "predictor_Task_"]


@pytest.mark.parametrize(
    ("signature", "why"),
    [
        ("scan: dspy.Image -> text", "the input scan is a dspy.Image"),
        ("pages: list[dspy.Image] -> text", "the input pages is a dspy.Image"),
        ("question, history: dspy.History -> answer", "the input history is a dspy."),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, signature, why):
    """No file is written for a prompt that no template holds."""
    path = stored(tmp_path, dspy.Predict(signature))
    folder = tmp_path / "out"
    done = CliRunner().invoke(
        group, ["export", str(path), "--to", "jinja", "--output", str(folder)]
    )
    assert done.exit_code == 1
    assert why in done.output
    assert not folder.exists()


def test_export_that_differs_is_refused():
    """The comparison is one: a template with another text does not pass."""
    predictor = dspy.Predict("question -> answer")
    template = make_template("predict", predictor, "chat")
    first = TemplateMessage(role="system", content=["Another text."])
    other = template.model_copy(update={"messages": [first, *template.messages[1:]]})
    target = TARGETS["messages"]
    render = target.read(target.write("predict", other))
    with pytest.raises(ArtifactError, match="renders other messages than DSPy"):
        check_export("predict", predictor, "chat", render)


def test_langfuse_has_the_braces_that_name_no_input(tmp_path):
    """What looks like a variable and is no input stays what it is."""
    path = stored(tmp_path, dspy.Predict(Order))
    _, output = exported(path, "langfuse", "json")
    assert "20 of 20 inputs render as DSPy's" in output


def test_langfuse_refuses_what_it_would_take_for_a_variable(tmp_path):
    """Its prompts have no escape for a text like `{{question}}`."""
    program = dspy.Predict(dspy.Signature("question -> answer", "Fill {{question}}."))
    path = stored(tmp_path, program)
    done = CliRunner().invoke(group, ["export", str(path), "--to", "langfuse"])
    assert done.exit_code == 1
    assert "renders other messages than DSPy" in done.output


def test_inputs_of_a_table_become_tests(document, tmp_path):
    """Rows with all inputs of a predictor are its tests; a strange table is refused."""
    table = tmp_path / "rows.csv"
    table.write_text("text,n,sure\nfirst,1,True\nsecond,2,False\n")
    folder, _ = exported(document, "promptfoo", "json", "--inputs", str(table))
    config = json.loads((folder / "generate.promptfooconfig.json").read_text("utf-8"))
    assert config["tests"] == "file://generate.tests.json"
    tests = json.loads((folder / "generate.tests.json").read_text("utf-8"))
    assert [t["vars"]["inputs"]["text"] for t in tests] == ["first", "second"]
    table.write_text("other\n1\n")
    arguments = [str(document), "--to", "promptfoo", "--inputs", str(table)]
    done = CliRunner().invoke(group, ["export", *arguments])
    assert done.exit_code == 1
    assert "no row has all inputs of a predictor" in done.output


@pytest.mark.parametrize(("adapter", "used"), [("xml", "xml"), (["chat"], "json")])
def test_adapter_of_the_optimization_is_the_default(tmp_path, adapter, used):
    """Prompts are exported as they were measured, if the document says how."""
    program = attach_provenance(dspy.Predict("q -> a"), {"adapter": adapter})
    arguments = ["--to", "messages", "--output", str(tmp_path)]
    path = str(stored(tmp_path, program))
    done = CliRunner().invoke(group, ["export", path, *arguments])
    assert f"as DSPy's {used} adapter sends them" in done.output


def test_newest_version_is_exported(tmp_path):
    """The folder of a versioned program stands for its newest version."""
    folder = tmp_path / "program.json"
    for version, text in (("2026-01-01", "old"), ("2026-01-02", "new")):
        program = dspy.Predict(dspy.Signature("question -> answer", f"Be {text}."))
        stored(folder / version, program)
    (written, _) = exported(folder, "messages", "chat")
    assert "Be new." in (written / "predict.json").read_text("utf-8")
    empty = tmp_path / "empty"
    empty.mkdir()
    done = CliRunner().invoke(group, ["export", str(empty), "--to", "jinja"])
    assert "no version of a program is in it" in done.output
    done = CliRunner().invoke(
        group, ["export", str(stored(empty, dspy.Module())), "--to", "jinja"]
    )
    assert "it has no predictor" in done.output
