"""One project, one program: the model is `--env`, and a new one is one file."""

import shutil
from pathlib import Path

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from po_optimizer.errors import SettingError

PROJECT = Path(__file__).parents[1]
ENVIRONMENTS = sorted(
    folder.name for folder in (PROJECT / "conf").iterdir() if folder.name != "local"
)
STORED = ("optimized_program", "score_report", "baseline_predictions", "workspace")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of the configuration, so that a test may add to it."""
    shutil.copytree(PROJECT / "conf", tmp_path / "conf")
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    (tmp_path / "src").mkdir()  # the package is installed
    monkeypatch.setenv("PO_LM_MODEL", "served")
    monkeypatch.setenv("DO_NOT_TRACK", "true")
    return tmp_path


def catalog_of(project, env, **params):
    """The catalog as a run in this environment would have it."""
    bootstrap_project(project)
    with KedroSession.create(project, env=env, runtime_params=params) as session:
        return session.load_context().catalog


def paths(project, env, **params):
    """Where results of this environment lie."""
    catalog = catalog_of(project, env, **params)
    return {str(getattr(catalog[name], "_filepath", "")) for name in STORED}


def test_no_two_environments_write_to_one_place(project):
    """Provider and model stand in every path."""
    environments = [
        folder.name
        for folder in (project / "conf").iterdir()
        if folder.is_dir() and folder.name != "local"
    ]
    seen: set[str] = set()
    for env in environments:
        mine = paths(project, env)
        assert len(mine) == len(STORED)
        assert not mine & seen
        seen |= mine
    assert len(environments) >= 8


def test_model_on_the_command_line_has_paths_of_its_own(project):
    """`--params lm.model=...` is an environment without a folder."""
    other = paths(project, "ollama", lm={"model": "phi4"})
    assert not other & paths(project, "ollama")
    assert all("ollama-phi4" in path for path in other)


def test_new_model_is_one_folder_with_one_file(project):
    """It says what differs; the paths follow it."""
    (project / "conf/mine").mkdir()
    (project / "conf/mine/parameters_lm.yml").write_text(
        "lm: {provider: ollama, model: 'phi4:14b', bounds: null}\n"
    )
    lm = catalog_of(project, "mine")["task_lm"].load()
    assert lm.slug == "ollama-phi4-14b"
    assert lm.params.adapter == "json"
    assert all("ollama-phi4-14b" in path for path in paths(project, "mine"))


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_every_environment_is_a_folder_with_few_lines(env):
    """It says only what differs from base."""
    if env in {"base", "logging.yml"}:
        return
    text = "".join(file.read_text() for file in (PROJECT / "conf" / env).iterdir())
    assert len(text.splitlines()) <= 20


def test_prompt_lm_of_another_provider_keeps_its_own_books(project):
    """A strong cloud model may write instructions for a small local one."""
    params = {"provider": "vertex", "model": "gemini-2.5-flash"}
    catalog = catalog_of(project, "base", prompt_lm=params)
    task, prompt = catalog["task_lm"].load(), catalog["prompt_lm"].load()
    assert task.meter.ledger.path != prompt.meter.ledger.path
    assert task.cache_folder != prompt.cache_folder
    assert prompt.slug == "vertex-gemini-2.5-flash"
    assert prompt.params.bounds is None


def test_two_roles_of_one_lm_share_the_ledger(project):
    """Budget and forecast read one file."""
    catalog = catalog_of(project, "base")
    task, prompt = catalog["task_lm"].load(), catalog["prompt_lm"].load()
    assert task.meter.ledger.path == prompt.meter.ledger.path


def test_openai_environment_without_a_model_is_refused(project, monkeypatch):
    """No artifact is ever named after a model that nobody chose."""
    monkeypatch.delenv("PO_LM_MODEL")
    with pytest.raises(SettingError, match="PO_LM_MODEL"):
        catalog_of(project, "openai-compatible")


def test_model_parameter_stands_in_for_the_variable(project, monkeypatch):
    """`--params lm.model=...` works where PO_LM_MODEL is not set."""
    monkeypatch.delenv("PO_LM_MODEL")
    catalog = catalog_of(project, "openai-compatible", lm={"model": "mine"})
    assert catalog["task_lm"].load().slug == "openai-mine"


def test_google_project_comes_from_the_environment(project, monkeypatch):
    """GCP_PROJECT and VERTEX_LOCATION, in every environment."""
    monkeypatch.setenv("GCP_PROJECT", "payer")
    monkeypatch.setenv("VERTEX_LOCATION", "europe-west4")
    place = catalog_of(project, "vertex")["task_lm"].load().params.vertex
    assert (place.project, place.location) == ("payer", "europe-west4")
