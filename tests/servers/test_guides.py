"""The how-to guides: each command runs, page by page, by `make test-docs`."""

import shutil

import pytest

from tests.faces.commands import GUIDE_STEPS, GUIDES, Command, commands
from tests.servers.shell import Shell

pytestmark = pytest.mark.docs

ELSEWHERE = commands("docs/how-to/elsewhere.md")
BUILD = ELSEWHERE.index(Command("pip wheel . --no-deps"))
PACKAGE = ELSEWHERE[BUILD : BUILD + 6]
CLUSTER = [one for one in commands("docs/how-to/compare.md") if "10.0.0" in one.line]
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
