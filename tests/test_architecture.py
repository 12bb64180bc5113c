"""The design as tests: layers, environments, catalog, one truth for every default."""

import functools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from kedro.io import DataCatalog

from po_optimizer.config_loader import ProjectConfigLoader
from po_optimizer.lms.selection import prompt_lm_params, task_lm_params
from po_optimizer.params.base import Params
from po_optimizer.params.lm import DecodingBounds, LMParams
from po_optimizer.params.project import Parameters
from po_optimizer.pipeline_registry import register_pipelines
from po_optimizer.settings import CONFIG_LOADER_ARGS
from tests.weights import SMALL

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
ENVIRONMENTS = sorted(folder.name for folder in CONF.iterdir() if folder.is_dir())
MODELS = {
    name: field.annotation
    for name, field in Parameters.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Params)
}
LAYERS = {
    "raw",
    "intermediate",
    "primary",
    "feature",
    "model_input",
    "models",
    "model_output",
    "reporting",
}


@pytest.fixture(autouse=True)
def named_model(monkeypatch):
    """The environment that takes its model from outside is given one."""
    monkeypatch.setenv("PO_LM_MODEL", "some-model")


@functools.cache
def configuration(environment, **params):
    """What Kedro reads for an environment, read once for all tests."""
    return ProjectConfigLoader(str(CONF), environment, params, **CONFIG_LOADER_ARGS)


def test_every_environment_is_found():
    """Base and at least the models that the design names have a folder."""
    assert {"base", "embedded-qwen", "ollama", "vertex", "test"} <= set(ENVIRONMENTS)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_parameters_of_an_environment_are_valid(environment):
    """Every value fits its model; no key is unknown."""
    loader = configuration(environment)
    assert not loader.checked_parameters().model_extra
    parameters = loader["parameters"]
    assert task_lm_params(parameters).model
    assert prompt_lm_params(parameters).model


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_catalog_of_an_environment_resolves(environment):
    """Every entry has a path without an open reference, and can be made."""
    loader = configuration(environment)
    catalog = loader["catalog"]
    assert "${" not in str(catalog)
    made = DataCatalog.from_config(catalog, loader["credentials"])
    assert {"task_lm", "optimized_program", "product_vision"} <= set(made.keys())


def test_catalog_is_the_same_from_its_own_configuration():
    """Kedro's `to_config` gives what makes every dataset again."""
    loader = configuration("base")
    catalog = DataCatalog.from_config(loader["catalog"], loader["credentials"])
    again = DataCatalog.from_config(*catalog.to_config())
    for name in catalog:
        described = [c[name]._describe() for c in (catalog, again)]
        versions = [entry.pop("version", None) for entry in described]
        assert described[0] == described[1], name
        assert len(set(map(bool, versions))) == 1, name


def test_environment_says_what_its_name_says():
    """An environment named after a model chooses that model."""
    for environment in ENVIRONMENTS:
        lm = task_lm_params(configuration(environment)["parameters"])
        provider, _, model = environment.partition("-")
        if provider in {"ollama", "vertex", "embedded"}:
            assert lm.provider == provider
            assert lm.model.replace(":", "-").startswith(model)


def test_every_entry_has_a_layer():
    """kedro-viz draws each entry in its layer."""
    for name, entry in configuration("base")["catalog"].items():
        assert entry["metadata"]["kedro-viz"]["layer"] in LAYERS, name


def test_every_dataset_of_the_pipelines_is_in_the_catalog():
    """Nothing lives in memory only: any runner can run every node anywhere."""
    loader = configuration("base")
    catalog = DataCatalog.from_config(loader["catalog"], loader["credentials"])
    used = register_pipelines()["__default__"].datasets()
    outside = {
        name
        for name in used
        if not name.startswith("params:") and catalog.get(name) is None
    }
    assert not outside


def test_nothing_of_a_configuration_lies_in_the_lms_own_folder():
    """Two configurations never write into one another's folder, nor into the LM's."""
    # a champion is one of the stored programs; LMs share their folder
    shared = {"judged_programs", "champion", "champion_program", "task_lm", "prompt_lm"}
    written = register_pipelines()["evaluate"].datasets() - shared
    given = [{}, {"sweep_folder": "/sweep/a"}, {"sweep_folder": "/sweep/b"}]
    paths = [
        str(entry["filepath"])
        for params in given
        for name, entry in configuration("base", **params)["catalog"].items()
        if name in written and not name.endswith("_records")
    ]
    assert len(paths) > 40
    assert len(set(paths)) == len(paths)


@pytest.mark.parametrize("name", sorted({*MODELS} - {"role", "sweep"}))
def test_defaults_are_those_of_the_configuration(name):
    """What users read in conf/base is what the code does without it."""
    parameters = configuration("base")["parameters"]
    assert MODELS[name].model_validate(parameters[name]) == MODELS[name]()


def test_lm_defaults_are_those_of_the_configuration():
    """Bounds and weights, which only the embedded LM has, are compared apart.

    Of a role that has no bounds of its own.
    """
    lm = task_lm_params(configuration("base", role="support_desk")["parameters"])
    apart = {"embedded", "bounds", "price"}
    assert lm.model_dump(exclude=apart) == LMParams().model_dump(exclude=apart)
    assert lm.bounds == DecodingBounds()
    assert lm.embedded == SMALL


def test_no_environment_holds_a_secret():
    """Keys come from the operating system's environment, by name."""
    for path in CONF.rglob("*.yml"):
        for line in path.read_text().splitlines():
            if "api_key" in line:
                assert "${oc.env:" in line, path


def test_imports_keep_to_the_layers():
    """The contracts in pyproject.toml hold: the diagram is a test."""
    command = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    done = subprocess.run(  # noqa: S603 -- our own tool
        [command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert " 0 broken" in done.stdout
