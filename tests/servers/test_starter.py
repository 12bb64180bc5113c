"""A project made by the starter runs from its records to a promoted program."""

import json
import os
import subprocess
import sys

import pytest

from po_optimizer import load_program
from tests.faces.project import ROOT, answering, kedro, proposal

pytestmark = pytest.mark.servers
TEMPLATE = ROOT / "starter/{{ cookiecutter.repo_name }}"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """What `kedro new` makes, after a run of all stages."""
    folder = tmp_path_factory.mktemp("starter")
    assert _new(folder, "Room Bookings").returncode == 0
    project = folder / "room-bookings"
    with answering(_answer) as url:
        done = kedro(project, "run", base_url=url, environment="openai-compatible")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return project


@pytest.mark.parametrize("place", ["{cwd}", "/nowhere"])
def test_starter_may_be_named_by_a_relative_path(tmp_path, place):
    """The documented command: a project without a catalog would not run."""
    (tmp_path / "clone").symlink_to(ROOT)
    place = place.format(cwd=tmp_path)
    done = _new(tmp_path, "Room Two", "./clone/starter", PWD=place)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "room-two/conf/base/catalog.yml").is_file()


def _new(folder, name, starter=ROOT / "starter", **variables):
    """`kedro new` with the starter."""
    command = [sys.executable, "-m", "kedro", "new", f"--starter={starter}"]
    options = (f"--name={name}", "--telemetry=no")
    return subprocess.run(  # noqa: S603 -- our own interpreter
        [*command, *options],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def _answer(prompt):
    """Writes rooms as the demos do; without demos as the message does."""
    if "people" not in prompt.rsplit("Respond with", 1)[-1]:
        return proposal(prompt)
    lines = (TEMPLATE / "data/01_raw/bookings.jsonl").read_text().splitlines()
    records = {record["message"]: record for record in map(json.loads, lines)}
    form = dict(records[max(records, key=prompt.rfind)])
    form.pop("message")
    if '"R-' not in prompt:
        form["room"] = form["room"].removeprefix("R-")
    return json.dumps(form)


def test_program_is_promoted_and_loads_elsewhere(project, monkeypatch):
    """Its class is the project's own; its prompt has the demos that helped."""
    reporting = project / "data/08_reporting/bookings/openai-scripted"
    promotion = json.loads((reporting / "promotion.json").read_text())
    assert promotion["decision"] == "promote"
    assert (reporting / "report.html").is_file()
    monkeypatch.syspath_prepend(project / "src")
    stored = project / "data/06_models/bookings/openai-scripted/program.json"
    (path,) = stored.glob("*/program.json")
    program = load_program(path, allowed_packages=["room_bookings"])
    assert type(program).__module__ == "room_bookings.role"
    assert program.fill.demos


def test_project_holds_no_code_of_the_library(project):
    """Its modules are those of the template, and its configuration is complete."""
    modules = {path.name for path in (project / "src").rglob("*.py")}
    expected = {"__init__.py", "cli.py", "pipeline_registry.py", "role.py"}
    assert modules == {*expected, "settings.py"}
    names = {path.name for path in (ROOT / "conf/base").glob("*.yml")}
    assert {path.name for path in (project / "conf/base").glob("*.yml")} == names


def test_mistake_is_one_sentence(project):
    """The command line is po_optimizer's, too."""
    done = kedro(project, "run", "--pipeline=evalute")
    assert "did you mean evaluate?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "why"), [("PO Optimizer", "would be hidden"), ("2 fast", "is no name")]
)
def test_name_that_python_would_mistake_is_refused(tmp_path, name, why):
    """One sentence says why, and nothing is left behind."""
    done = _new(tmp_path, name)
    assert done.returncode == 1
    assert f"--name='{name}' cannot be used" in done.stderr
    assert why in done.stderr
    assert list(tmp_path.iterdir()) == []
