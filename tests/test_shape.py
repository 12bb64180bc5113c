"""The form that the parameters give to the pipelines."""

import pytest
from kedro.io import DataCatalog
from pydantic import ValidationError

from po_optimizer.datasets import DSPyProgramDataset
from po_optimizer.errors import SettingError
from po_optimizer.pipeline_registry import make_pipelines
from po_optimizer.roles import make_program
from po_optimizer.shape import (
    Shape,
    by_namespace,
    check_program_from,
    configuration_of,
    results_folder,
    with_configurations,
)
from tests.test_small_role import ROLE

TWO = {"configurations": [{"name": "a"}, {"name": "b", "optimize": {"seed": 2}}]}


def sweep_of(*configurations, **rest):
    """Parameters with these configurations, as the hook leaves them."""
    return with_configurations(
        {"sweep": {"configurations": list(configurations)}, **rest}
    )


def test_form_without_parameters_is_that_of_one_program():
    """No sweep, the LM's own program."""
    assert Shape.of({}) == Shape()
    assert not make_pipelines(Shape())["sweep"].nodes


def test_configuration_has_the_rest_under_what_differs():
    """Its own keys win; what it does not name is that of the whole project."""
    base = {"seed": 1, "optimizer": "gepa"}
    own = sweep_of(*TWO["configurations"], optimize=base)["sweep"]
    assert own["a"]["optimize"] == base
    assert own["b"]["optimize"] == {"seed": 2, "optimizer": "gepa"}


def test_parameters_that_were_given_are_not_changed():
    """The hook hands the same mapping to every session of a process."""
    given = {"sweep": TWO, "optimize": {"seed": 1}}
    with_configurations(given)
    assert given == {"sweep": TWO, "optimize": {"seed": 1}}


def test_configurations_are_judged_as_one_of_many():
    """Each knows among how many programs the best is picked."""
    own = sweep_of(*TWO["configurations"])["sweep"]
    assert own["a"]["promotion"]["num_compared"] == 2


@pytest.mark.parametrize(
    "data_prep", [{"sizes": {"test": 9}}, {"seed": 1}, {"near_duplicate_similarity": 1}]
)
def test_configuration_may_not_change_the_testset(data_prep):
    """Scores on different examples are not ranked."""
    with pytest.raises(SettingError, match="one testset"):
        sweep_of({"name": "a", "data_prep": data_prep})


def test_configuration_may_change_train_and_val_sizes():
    """They follow the testset in the order of the records."""
    own = sweep_of({"name": "a", "data_prep": {"sizes": {"train": 9, "val": 5}}})
    assert own["sweep"]["a"]["data_prep"]["sizes"] == {"train": 9, "val": 5}


@pytest.mark.parametrize(
    "configurations",
    [
        [{"name": "a"}, {"name": "a"}],
        [{"name": "configurations"}],
        [{"name": "a.b"}],
        [{"name": "a", "nosuch": 1}],
        [{}],
    ],
)
def test_unusable_configurations_are_refused(configurations):
    """A name twice, one that is no name, an unknown key."""
    with pytest.raises(ValidationError):
        sweep_of(*configurations)


def test_every_configuration_has_nodes_of_its_own():
    """Records are checked once; all else is done under the configuration's name."""
    nodes = make_pipelines(Shape(configurations=("a", "b")))["sweep"].nodes
    spaces = [(node.namespace or "").rpartition(".")[0] for node in nodes]
    assert spaces.count("sweep.a") == spaces.count("sweep.b") > 8
    shared = {
        node.short_name for node, space in zip(nodes, spaces, strict=True) if not space
    }
    assert shared == {
        "check_raw_records_node",
        "rank_configurations_node",
        "draw_leaderboard_node",
    }


@pytest.mark.parametrize(
    ("node_namespace", "configuration"),
    [
        ("optimize", ""),
        ("", ""),
        ("sweep.a.optimize", "sweep.a"),
        ("sweep.a", "sweep.a"),
        ("sweep", "sweep"),
    ],
)
def test_log_lines_name_the_configuration_alone(node_namespace, configuration):
    """The stage is left out: what is said names it already."""
    assert configuration_of(node_namespace) == configuration


def test_namespaces_have_their_own_parameters():
    """The empty prefix stands for what holds outside of every configuration."""
    parameters = sweep_of(*TWO["configurations"], optimize={"seed": 1})
    found = by_namespace(parameters)
    assert list(found) == ["", "sweep.a.", "sweep.b."]
    assert found["sweep.b."]["optimize"] == {"seed": 2}


def test_results_of_another_lms_program_lie_apart():
    """They never replace the LM's own."""
    assert results_folder("x", "x") == "x"
    assert results_folder("x", "y/sweep/a") == "x/from-y-sweep-a"


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
    pipelines = make_pipelines(Shape(program_from="here"))
    check_program_from({"program_from": "here"}, pipelines["evaluate"], catalog("here"))
    check_program_from({}, pipelines["optimize"], catalog("nosuch"))


def test_program_that_is_not_stored_is_refused_with_those_that_are(catalog):
    """The error lists what may be named."""
    pipeline = make_pipelines(Shape(program_from="nosuch"))["evaluate"]
    with pytest.raises(SettingError, match=r"no program.*Choose one of: here\."):
        check_program_from({"program_from": "nosuch"}, pipeline, catalog("nosuch"))


@pytest.mark.parametrize("name", ["optimize", "persist"])
def test_run_that_would_replace_the_program_is_refused(catalog, name):
    """`program_from` never writes into the other LM's folder."""
    pipeline = make_pipelines(Shape(program_from="here"))[name]
    with pytest.raises(SettingError, match="would make a program itself"):
        check_program_from({"program_from": "here"}, pipeline, catalog("here"))
