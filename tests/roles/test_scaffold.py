"""A new role runs as it is written, and goes with its folder."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

from po_optimizer.__main__ import group
from po_optimizer.errors import SettingError
from po_optimizer.roles.scaffold import write_role
from tests.faces.project import SLUG, answering, copy_project, kedro, proposal

FIELDS = ("--inputs", "question, context", "--outputs", "answer,kind")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project of its own."""
    return copy_project(tmp_path_factory.mktemp("scaffold") / "project")


def new_role(project, name, *fields):
    """`po-optimizer new role` in the project's folder."""
    before = os.getcwd()  # noqa: PTH109
    os.chdir(project)
    try:
        return CliRunner().invoke(group, ["new", "role", name, *fields])
    finally:
        os.chdir(before)


@pytest.mark.servers
def test_new_role_runs_whole(project):
    """Written, tested, optimized, judged; removing the folder removes it."""
    done = new_role(project, "words", *FIELDS)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == "Run it: kedro run --params role=words"
    lines = (project / "roles/words/records.jsonl").read_text().splitlines()
    records = list(map(json.loads, lines))

    def answer(prompt):
        if "answer" not in prompt.rsplit("Respond with", 1)[-1]:
            return proposal(prompt)
        asked = max(records, key=lambda record: prompt.rfind(record["question"]))
        kind = asked["kind"] if "with care" in prompt else "other"
        return json.dumps({"answer": asked["answer"], "kind": kind})

    run = ("run", "--env=openai-compatible", "--params=role=words")
    with answering(answer) as url:
        done = kedro(project, *run, base_url=url)
    assert done.returncode == 0, done.stderr
    report = project / f"data/08_reporting/words/{SLUG}/score_report.json"
    scores = json.loads(report.read_text())
    assert scores["optimized"]["score"]["n"] == 3
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(  # noqa: S603 -- our own interpreter
        [*tests, "roles/words"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    shutil.rmtree(project / "roles/words")
    done = kedro(project, "run", "--params=role=words")
    assert "role='words' cannot be used: there is no such role" in done.stderr


@pytest.mark.parametrize(
    ("name", "inputs", "outputs", "problem"),
    [
        ("json", ["a"], ["b"], "Python has a package of that name"),
        ("My-Role", ["a"], ["b"], "a role is a package"),
        ("class", ["a"], ["b"], "a role is a package"),
        ("words", ["a"], ["a"], "stands once"),
        ("words", ["a b"], ["c"], "name of Python"),
        ("words", ["a"], [], "one or more"),
        ("words", ["_a"], ["b"], "_a cannot be a field. .* without _ in front"),
        ("words", ["a"], ["items"], "items cannot be a field"),
        ("words", ["model_config"], ["b"], "model_config cannot be a field"),
        ("configured", ["a"], ["b"], "is there already"),
        ("there", ["a"], ["b"], "is there already"),
    ],
)
def test_names_that_cannot_be_used_are_refused(
    tmp_path, name, inputs, outputs, problem
):
    """Nothing is written then."""
    configured = tmp_path / "conf/base/roles/configured.yml"
    configured.parent.mkdir(parents=True)
    configured.touch()
    (tmp_path / "roles/there").mkdir(parents=True)
    with pytest.raises(SettingError, match=problem):
        write_role(tmp_path, name, inputs, outputs)
    assert [path.name for path in (tmp_path / "roles").iterdir()] == ["there"]


def test_refusal_is_one_sentence(tmp_path):
    """Of the command, too."""
    done = new_role(tmp_path, "json", *FIELDS)
    assert done.exit_code == 1
    last = done.output.splitlines()[-1]  # Kedro's first import logs a line
    assert last.startswith("Error: name='json' cannot be used")
