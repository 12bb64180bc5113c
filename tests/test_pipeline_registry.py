"""Which pipelines a run has, and what `program_from` lets pass."""

import pytest
from kedro.io import DataCatalog

from po_optimizer.datasets import DSPyProgramDataset
from po_optimizer.errors import SettingError
from po_optimizer.pipeline_registry import check_program_from, make_pipelines
from po_optimizer.roles.build import make_program
from tests.test_small_role import ROLE


@pytest.fixture
def catalog(tmp_path):
    """A catalog with one stored program, of the LM `here`."""
    path = tmp_path / "06_models/here/program.json/v1/program.json"
    options = {"dill": "off", "verify": "inline"}
    DSPyProgramDataset(filepath=str(path), **options).save(make_program(ROLE))

    def of(source):
        place = tmp_path / "06_models" / source / "program.json"
        dataset = DSPyProgramDataset(filepath=str(place), **options)
        return DataCatalog({"optimized_program": dataset})

    return of


def test_stored_program_may_be_looked_at(catalog):
    """Evaluating another LM's program makes no program."""
    pipelines = make_pipelines({"program_from": "here"})
    check_program_from({"program_from": "here"}, pipelines["evaluate"], catalog("here"))
    check_program_from({}, pipelines["optimize"], catalog("nosuch"))


def test_program_that_is_not_stored_is_refused_with_those_that_are(catalog):
    """The error lists what may be named."""
    pipeline = make_pipelines({"program_from": "nosuch"})["evaluate"]
    with pytest.raises(SettingError, match=r"no program.*Choose one of: here\."):
        check_program_from({"program_from": "nosuch"}, pipeline, catalog("nosuch"))


@pytest.mark.parametrize("name", ["optimize", "persist", "sweep"])
def test_run_that_would_replace_the_program_is_refused(catalog, name):
    """`program_from` never writes into the other LM's folder."""
    pipeline = make_pipelines({"program_from": "here"})[name]
    with pytest.raises(SettingError, match="would make a program itself"):
        check_program_from({"program_from": "here"}, pipeline, catalog("here"))
