"""An LM of one's own as the LM of a run."""

import dspy
import pytest
import yaml
from dspy.utils.dummies import DummyLM

from po_optimizer.errors import SettingError
from po_optimizer.lms.build import adopt_lm, lm_of
from po_optimizer.lms.lm import use_lm
from po_optimizer.lms.providers.embedded import DEFAULT
from po_optimizer.lms.selection import task_lm_params
from tests.faces.project import ROOT
from tests.scripted import ScriptedEngine

ANSWER = "[[ ## answer ## ]]\nBern\n\n[[ ## completed ## ]]"


@pytest.mark.parametrize(
    "lm",
    [
        dspy.LM("openai/scripted", engine=ScriptedEngine(lambda prompt: ANSWER)),
        DummyLM([{"answer": "Bern"}] * 9),
    ],
    ids=["dspy.LM", "class of one's own"],
)
def test_its_calls_stand_in_the_ledger(lm, tmp_path):
    """Once each, under the run and the stage; the LM itself is as it was."""
    adopted = adopt_lm(lm, tmp_path, run_id="run")
    with use_lm(adopted, stage="optimize"):
        assert dspy.Predict("question -> answer")(question="q").answer == "Bern"
    assert adopted.meter.ledger.totals(run_id="run", stage="optimize").paid == 1
    assert not hasattr(lm, "meter")
    assert adopted.copy(temperature=1.0).slug == adopted.slug


def test_what_is_known_of_it_holds_no_secret(tmp_path):
    """Its model, window, price and settings are told, its key is not."""
    secrets = {"api_key": "sk-canary", "extra_headers": {"X-Team": "canary"}}
    lm = dspy.LM("openai/gpt-4o-mini", **secrets, temperature=0.3, top_p=0.9)
    adopted = adopt_lm(lm, tmp_path, run_id="run")
    assert adopted.params.context_tokens == 128_000
    assert adopted.params.extra == {"top_p": 0.9}
    assert adopted.knows_cost
    assert "canary" not in adopted.params.model_dump_json()


def test_the_embedded_lm_is_that_of_the_configuration():
    """The Python API and conf/base name the same weights and bounds."""
    text = (ROOT / "conf/base/parameters_lm.yml").read_text("utf-8")
    stored = yaml.safe_load(text)["lm"]
    del stored["vertex"]
    assert task_lm_params({"lm": stored}) == DEFAULT


@pytest.mark.parametrize("string", ["ollama/mistral", "ollama_chat/mistral"])
def test_ollama_is_asked_in_the_projects_way(string, tmp_path):
    """With the length of its context, which DSPy by itself does not send."""
    lm = lm_of(string, tmp_path, run_id="run")
    assert (lm.params.provider, lm.params.model) == ("ollama", "mistral")
    assert lm.params.adapter == "chat"


@pytest.mark.parametrize("string", ["ollama/mistral", "openai/m", "embedded"])
@pytest.mark.parametrize("kind", ["Chat", "JSON", "XML"])
def test_a_configured_adapter_asks_every_lm(string, kind, tmp_path):
    """What was set in DSPy is used and recorded, whoever makes the LM."""
    adapter = type("Own", (getattr(dspy, f"{kind}Adapter"),), {})()
    lm = lm_of(string, tmp_path, run_id="run", adapter=adapter)
    assert lm.adapter is adapter
    assert lm.params.adapter == kind.lower()


@pytest.mark.parametrize("lm", [None, "", 7, "openai/"])
def test_what_is_no_lm_is_refused(lm, tmp_path):
    """With what can be given instead."""
    with pytest.raises(
        SettingError, match=r"prompt_lm=.*cannot be used.*Give a dspy.LM"
    ):
        lm_of(lm, tmp_path, run_id="run", name="prompt_lm")
