import functools
import os
import subprocess
import sys
from pathlib import Path

import dspy
import pytest

from po_optimizer.optimization.run_identity import (
    changes,
    optimization_id,
    run_fingerprint,
)
from po_optimizer.params.project import RoleParams
from po_optimizer.roles.build import load_metric
from tests.optimization import world


@pytest.fixture
def make(tmp_path):
    """Makes a fingerprint with some parts changed."""

    def fingerprint(params=None, lm_params=None, **changed):
        lm = world.lm(tmp_path, **(lm_params or {}))
        return run_fingerprint(world.job(lm, params, n_train=4, n_val=4, **changed))

    return fingerprint


def names(earlier, now):
    """The names of what changed."""
    return [change.split(" (")[0] for change in changes(earlier, now)]


def test_equal_parts_give_equal_fingerprints(make):
    """The same run has the same identity, in any process."""
    assert make() == make()
    assert optimization_id(make()) == optimization_id(make())


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"trainset": world.examples("t", 5)}, ["trainset"]),
        ({"valset": world.examples("w", 4)}, ["valset"]),
        ({"lm_params": {"temperature": 0.5}}, ["task_lm.temperature"] * 1),
        ({"lm_params": {"model": "other"}}, ["task_lm.model"]),
        ({"params": world.settings(seed=1)}, ["optimize.seed"]),
        ({"params": world.settings(miprov2={"num_trials": 2})}, ["num_trials"]),
        ({"params": world.settings("gepa")}, ["optimize.optimizer"]),
        ({"metric": functools.partial(world.metric, trace=1)}, ["metric source"]),
    ],
)
def test_what_changed_is_named(make, changed, named):
    """Data, LM, arguments, seed and metric are each named when they change."""
    found = names(make(), make(**changed))
    assert all(any(name in each for each in found) for name in named)


@pytest.mark.parametrize(
    "changed",
    [
        {"params": world.settings(budget={"max_calls": 5})},
        {"params": world.settings(floor_stop=False, on_change="restart")},
        {"lm_params": {"num_threads": 8, "timeout_seconds": 5.0}},
        {"lm_params": {"price": {"prompt": 1.0, "completion": 1.0}}},
    ],
)
def test_bounds_and_pace_are_no_part_of_it(make, changed):
    """What cannot change the result may be changed between restarts."""
    assert names(make(), make(**changed)) == []


def test_another_program_is_named(make):
    """Another signature is named as such."""
    found = names(make(), make(student=dspy.Predict("question, hint -> answer")))
    assert found == ["program signature"]


def test_short_values_are_shown_and_digests_are_not(make):
    """An error shows what a person can read."""
    told = changes(make(), make(world.settings(seed=1), trainset=[]))
    assert "optimize.seed (was 9, is 1)" in told
    assert "trainset" in told


def test_a_metric_object_counts_by_its_state(make):
    """A callable object's attributes are part of the metric."""

    class Weighted:
        def __init__(self, weight):
            self.weight = weight

        def __call__(self, example, prediction, trace=None):
            return self.weight

    assert names(make(metric=Weighted(0.1)), make(metric=Weighted(0.2))) == [
        "metric source"
    ]


def test_sources_beyond_the_package_count_too(make):
    """A module's own class and a bound argument are read, builtins by their names."""

    class Own(dspy.Module):
        def __init__(self):
            super().__init__()
            self.predict = dspy.Predict("question -> answer")

    assert "program source" in names(make(), make(student=Own()))
    bound = functools.partial(world.metric, trace=1)
    assert names(make(metric=bound), make(metric=world.metric)) == ["metric source"]
    assert names(make(metric=max), make(metric=min)) == ["metric source"]


def test_metric_s_package_counts_as_far_as_it_is_imported(make, tmp_path, monkeypatch):
    """A helper that the metric imports is part of it; a test beside it is not."""
    package = tmp_path / "own_metric"
    package.mkdir()
    files = {name: package / f"{name}.py" for name in ("helper", "metric", "test_it")}
    (package / "__init__.py").touch()
    files["helper"].write_text("WEIGHT = 1.0\n")
    files["test_it"].touch()
    code = "from own_metric.helper import WEIGHT\n\ndef score(*_):\n    return WEIGHT\n"
    files["metric"].write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    metric = load_metric(RoleParams(metric="own_metric.metric.score"))
    before = make(metric=metric)
    files["test_it"].write_text("# another line\n")
    assert names(before, make(metric=metric)) == []
    files["helper"].write_text("WEIGHT = 0.5\n")
    assert names(before, make(metric=metric)) == ["metric source"]


PRINT_IDENTITY = """
import sys
from pathlib import Path
from po_optimizer.optimization.run_identity import optimization_id, run_fingerprint
from po_optimizer.optimization.job import Job
from po_optimizer.params.project import RoleParams
from po_optimizer.roles.build import load_metric, make_program
from tests.optimization import world
from tests.product_owner.records import PRODUCT_OWNER as role

lm = world.lm(Path(sys.argv[1]))
examples = [e.copy(kinds={"a", "b", "c"}, other=world) for e in world.examples("t", 3)]
job = Job(make_program(role), examples, [], load_metric(role), lm, lm,
              world.settings())
print(optimization_id(run_fingerprint(job)))
"""


def test_every_process_finds_the_same_identity(tmp_path):
    """Neither addresses nor the order of sets get into it: a resume finds its run."""
    identities = set()
    for seed in ("1", "2"):
        done = subprocess.run(  # noqa: S603 -- our own script
            [sys.executable, "-c", PRINT_IDENTITY, str(tmp_path)],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        identities.add(done.stdout.strip())
    assert len(identities) == 1


def test_other_weights_under_one_name_are_a_change(tmp_path):
    """After a pull, Ollama's model of that name is another one."""
    prints = []
    for digest in ("a" * 64, "b" * 64):
        lm = world.lm(tmp_path)
        lm.provider.weights = lambda folder, digest=digest: digest
        prints.append(run_fingerprint(world.job(lm, n_train=4, n_val=4)))
    assert names(*prints) == ["task_lm.weights", "prompt_lm.weights"]
    assert optimization_id(prints[0]) != optimization_id(prints[1])
