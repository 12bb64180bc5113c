"""Tutorial, README and CONTRIBUTING: each command runs, in the pages' order.

Then the tutorial is followed: what it says that one sees is there. What it types was
typed already, so these tests look at what that printed and left behind. The Python
blocks of all pages run, too.
"""

import json
import shutil
import sys

import pytest

from tests.faces.commands import FIRST_STEPS, PAGES, blocks
from tests.servers.shell import EMBEDDED, Shell

pytestmark = pytest.mark.servers

FORMS = "--params=role=return_form"
VIZ = ("make viz", "kedro viz run")  # they go on until Ctrl-C
PROGRAM = """
import json, sys
import po_optimizer
sys.path.insert(0, "path/to/the/project/roles")
from support_desk.role import Triage, triage_metric as metric
program = po_optimizer.load_program("program.json")
"""
OWN = """
with open("path/to/the/project/roles/support_desk/records.jsonl") as lines:
    rows = list(map(json.loads, lines))
program, train, val, test = Triage(), rows[:4], rows[4:8], rows[8:]
"""
"""What a reader has who optimizes a program."""
TYPED = [one for one in FIRST_STEPS if one.line not in VIZ]


@pytest.mark.parametrize("command", TYPED, ids=lambda one: one.line)
def test_command_ends_well(shell, command):
    """It exits with 0 and shows no traceback."""
    shell.shows(command.line, command.exports)


@pytest.mark.parametrize("line", VIZ)
def test_page_is_served_until_ctrl_c(shell, line):
    """kedro-viz says where it is."""
    with shell.running(line, ready="http://127.0.0.1:"):
        pass


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_python_blocks_run(shell, tmp_path, page):
    """The blocks of a page run as one, with the reader's program in a variable."""
    stored = shell.folder / f"data/06_models/product_owner/{EMBEDDED}/program.json"
    shutil.copy(next(stored.glob("*/program.json")), tmp_path)
    read = "\n".join(blocks(page, "python"))
    text = "\n".join([PROGRAM, OWN if "trainset=train" in read else "", read])
    address = f"api_base='{shell.server.address}/v1', api_key='none'"
    text = text.replace('"openai/gpt-4o-mini"', f"'openai/my-model', {address}")
    text = text.replace("http://127.0.0.1:11434", shell.server.address)
    text = text.replace("path/to/the/project", str(shell.folder))
    (tmp_path / "blocks.py").write_text(text)
    Shell(tmp_path, shell.server, shell.variables).shows(f"{sys.executable} blocks.py")


def test_tutorial_looks_around(shell):
    """Step 1: targets, pipelines and our own commands are listed."""
    assert "make viz-build" in shell.shows("make help")
    assert "- data_prep" in shell.shows("kedro registry list")
    assert "metric_report" in shell.shows("po-optimizer --help")


def test_tutorial_looks_at_the_data(shell):
    """Step 2: rejected records have their file; the others are split."""
    shown = shell.shows(f"kedro run --pipeline=data_prep {FORMS}")
    assert "200 usable records, 0 rejected, 0 duplicates" in shown
    rejected = shell.folder / "data/02_intermediate/return_form/rejected_records.json"
    assert isinstance(json.loads(rejected.read_text()), list)


def test_tutorial_looks_at_the_metric(shell):
    """Step 3: references and empty outputs are scored; no LM is asked."""
    line = f"kedro run --pipeline=metric_report {FORMS}"
    shown = shell.shows(line)
    assert "reference" in shown
    assert "empty" in shown
    assert shell.asked[line] == 0


def test_tutorial_asks_what_it_takes(shell):
    """Step 4: calls are counted by formula after the preflight's few questions."""
    line = f"kedro run --pipeline=forecast {FORMS}"
    assert "LM calls" in shell.shows(line)
    assert 0 < shell.asked[line] < 10


def test_tutorial_runs(shell):
    """Step 5: the program is promoted; the README's second run asks nothing."""
    assert "6 demos added" in shell.shows("make demo")
    shell.shows("make run")
    shell.shows("kedro run")
    assert shell.asked["make run"] > 0
    assert shell.asked["kedro run"] == 0


def test_tutorial_reads_the_report(shell):
    """Step 6: the report and the built page are there."""
    shell.shows("make viz-build")
    assert list(shell.folder.glob("data/08_reporting/return_form/*/report.html"))
    assert (shell.folder / "build/index.html").is_file()


def test_tutorial_uses_the_forms(shell):
    """Step 7: each new message has its form, from the optimized program."""
    shell.shows(f"kedro run --pipeline=predict {FORMS}")
    (answers,) = shell.folder.glob("data/07_model_output/return_form/*/answers.jsonl")
    rows = list(map(json.loads, answers.read_text().splitlines()))
    assert {row["program"] for row in rows} == {"optimized"}


def test_tutorial_plans_a_product(shell):
    """Step 8: vision and review are in planning/, with which program and why."""
    shell.shows("po-optimizer runs demote <run> --by Ada")  # whom README promoted
    shown = shell.shows('make po CONCEPT="A planner for tool libraries"')
    assert "planning/product_vision.yaml" in shown
    planning = shell.folder / "planning"
    assert (planning / "product_owner_review.yaml").is_file()
    report = json.loads((planning / "integration_report.json").read_text())
    assert report["program"] == "baseline"
    assert report["reason"]
