"""One project, one program: the model is `--env`, and a new one is one file."""

import shutil
from pathlib import Path

import pytest

from po_optimizer.datasets import LMDataset
from po_optimizer.lms.identity import lm_slug
from po_optimizer.lms.selection import task_lm_params
from po_optimizer.settings import CONFIG_LOADER_ARGS, CONFIG_LOADER_CLASS

PROJECT = Path(__file__).parents[1]
ENVIRONMENTS = sorted(
    folder.name
    for folder in (PROJECT / "conf").iterdir()
    if folder.is_dir() and folder.name != "local"
)
STORED = ("optimized_program", "score_report", "baseline_predictions", "workspace")


@pytest.fixture
def conf(tmp_path, monkeypatch):
    """A copy of the configuration, so that a test may add to it."""
    shutil.copytree(PROJECT / "conf", tmp_path / "conf")
    monkeypatch.setenv("PO_LM_MODEL", "served")
    return tmp_path / "conf"


def loader(conf, env, **params):
    """The configuration as a run in this environment reads it."""
    return CONFIG_LOADER_CLASS(str(conf), env, params, **CONFIG_LOADER_ARGS)


def paths(reading):
    """Where results of an environment lie."""
    return {reading["catalog"][name]["filepath"] for name in STORED}


def lms(conf, env, **params):
    """The task LM and the prompt LM of this environment."""
    reading = loader(conf, env, **params)
    for role in ("task", "prompt"):
        folder = reading["catalog"][f"{role}_lm"]["filepath"]
        dataset = LMDataset(role=role, filepath=folder)
        dataset.bind(reading["parameters"], "run-1")
        yield dataset.load()


def test_no_two_environments_write_to_one_place(conf):
    """Provider and model stand in every path."""
    seen: set[str] = set()
    for env in ENVIRONMENTS:
        reading = loader(conf, env)
        own, lm = paths(reading), task_lm_params(reading["parameters"])
        assert len(own) == len(STORED)
        assert not own & seen
        folder = f"/product_owner/{lm_slug(lm.provider, lm.model)}"
        assert all(folder in path for path in own)
        seen |= own
    assert len(ENVIRONMENTS) >= 8


def test_new_model_is_one_folder_with_one_file(conf):
    """It says what differs; the paths follow it."""
    (conf / "own").mkdir()
    (conf / "own/parameters_lm.yml").write_text(
        "lm: {provider: ollama, model: 'phi4:14b', bounds: null}\n"
    )
    lm, _ = lms(conf, "own")
    assert lm.slug == "ollama-phi4-14b"
    assert lm.params.adapter == "json"
    assert all("ollama-phi4-14b" in path for path in paths(loader(conf, "own")))


@pytest.mark.parametrize("env", sorted({*ENVIRONMENTS} - {"base"}))
def test_every_environment_is_a_folder_with_few_lines(env):
    """It says only what differs from base."""
    text = "".join(file.read_text() for file in (PROJECT / "conf" / env).iterdir())
    assert len(text.splitlines()) <= 20


def test_prompt_lm_of_another_provider_keeps_its_own_books(conf):
    """A strong cloud model may write instructions for a small local one."""
    params = {"provider": "vertex", "model": "gemini-2.5-flash"}
    task, prompt = lms(conf, "base", prompt_lm=params)
    assert task.meter.ledger.path != prompt.meter.ledger.path
    assert task.cache_folder != prompt.cache_folder
    assert prompt.slug == "vertex-gemini-2.5-flash"
    assert prompt.params.bounds is None


def test_two_roles_of_one_lm_share_the_ledger(conf):
    """Budget and forecast read one file."""
    task, prompt = lms(conf, "base")
    assert task.meter.ledger.path == prompt.meter.ledger.path


def test_model_parameter_stands_in_for_the_variable(conf, monkeypatch):
    """`--params lm.model=...` works where PO_LM_MODEL is not set."""
    monkeypatch.delenv("PO_LM_MODEL")
    lm, _ = lms(conf, "openai-compatible", lm={"model": "mine"})
    assert lm.slug == "openai-mine"


def test_google_project_comes_from_the_environment(conf, monkeypatch):
    """GCP_PROJECT and VERTEX_LOCATION, in every environment."""
    monkeypatch.setenv("GCP_PROJECT", "payer")
    monkeypatch.setenv("VERTEX_LOCATION", "europe-west4")
    lm, _ = lms(conf, "vertex")
    assert (lm.params.vertex.project, lm.params.vertex.location) == (
        "payer",
        "europe-west4",
    )
