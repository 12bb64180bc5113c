"""The how-to guides: each command runs, page by page; and all Python blocks."""

import shutil
import sys

import pytest

from tests.faces.commands import GUIDE_STEPS, GUIDES, PAGES, blocks, commands
from tests.servers.shell import EMBEDDED, Shell

pytestmark = pytest.mark.servers

PACKAGE = commands("docs/how-to/elsewhere.md")
CLUSTER = [one for one in commands("docs/how-to/sweep.md") if "10.0.0" in one.line]
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
TYPED = [one for one in GUIDE_STEPS if one not in {*PACKAGE, *CLUSTER}]


@pytest.fixture(scope="module", autouse=True)
def finished(shell):
    """All guides begin after a whole run."""
    shell.shows("kedro run")
    shell.writes(*GUIDES)


def test_package_runs_elsewhere(shell, tmp_path):
    """Wheel and archive are made, and serve in a folder that has records only."""
    made, away = PACKAGE[:2], PACKAGE[2:]
    for one in made:
        shell.shows(one.line)
    wheel, archive = "po_optimizer-0.1.0-py3-none-any.whl", "conf-po_optimizer.tar.gz"
    shutil.copy(shell.folder / wheel, tmp_path)
    shutil.copy(shell.folder / "dist" / archive, tmp_path)
    shutil.copytree(shell.folder / "data/01_raw", tmp_path / "data/01_raw")
    site = str(tmp_path / "site")
    own = {"PIP_TARGET": site, "PIP_NO_DEPS": "1", "PYTHONPATH": site}
    elsewhere = Shell(tmp_path, shell.server, {**shell.variables, **own})
    for one in away:
        elsewhere.shows(one.line)
    assert (tmp_path / "data/05_model_input/product_owner/testset.jsonl").is_file()


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


@pytest.mark.parametrize("command", TYPED, ids=lambda one: one.line)
def test_command_ends_well(shell, command):
    """It exits with 0 and shows no traceback."""
    shell.shows(command.line, command.exports)


def test_cluster_runs_the_pipeline(shell):
    """Scheduler, worker and run find one another by the address of the page."""
    scheduler, worker, run = (one.line for one in CLUSTER)
    with (
        shell.running(scheduler, ready="Scheduler at:"),
        shell.running(worker, ready="Registered to:"),
    ):
        shell.shows(run)
