"""The wheel in an environment of its own: what it holds is enough."""

import json
import os
import subprocess
import sys
from shutil import copytree, ignore_patterns

import pytest

from po_optimizer import load_program
from tests.faces.project import (
    ENVIRONMENT,
    ROOT,
    SLUG,
    SMALL,
    answering,
    copy_project,
    product_owner_answers,
)


def _python(folder, *arguments, **variables):
    """Our interpreter in a folder, where the package comes from the wheel alone."""
    return subprocess.run(  # noqa: S603 -- our own interpreter
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that holds the installed wheel and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    source = copy_project(folder / "source")
    for name in ("README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    pip, offline = ("-m", "pip"), ("--no-deps", "--quiet", "--no-index")
    build = ("wheel", ".", *offline, "--no-build-isolation", "--wheel-dir", "..")
    made = _python(source, *pip, *build)
    assert made.returncode == 0, made.stderr
    wheel = next(folder.glob("*.whl")).name
    done = _python(folder, *pip, "install", *offline, "--target", "site", wheel)
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def elsewhere(installed, tmp_path_factory):
    """An empty folder with configuration and data, where all five stages ran."""
    folder = tmp_path_factory.mktemp("elsewhere")
    copytree(ROOT / "conf", folder / "conf", ignore=ignore_patterns("local"))
    copytree(ROOT / "data" / "01_raw", folder / "data" / "01_raw")
    (folder / "data" / "08_reporting").mkdir()
    with answering(product_owner_answers(folder)) as url:
        done = _python(
            folder,
            *("-m", "po_optimizer", "run", f"--env={ENVIRONMENT}"),
            f"--params={SMALL}",
            PYTHONPATH=str(installed),
            PO_LM_BASE_URL=url,
            PO_LM_MODEL="scripted",
        )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder


def test_package_comes_from_the_wheel(installed):
    """What the runs below import is the wheel's."""
    code = "import po_optimizer; print(po_optimizer.__file__)"
    found = _python(installed.parent, "-c", code, PYTHONPATH=str(installed)).stdout
    assert found.startswith(str(installed))


def test_all_five_stages_run_without_the_repository(elsewhere):
    """Report and both documents are written: templates and schemas are there too."""
    assert (elsewhere / "planning/product_vision.yaml").is_file()
    page = (
        elsewhere / f"data/08_reporting/product_owner/{SLUG}/report.html"
    ).read_text()
    assert "Before and after" in page


def test_nothing_is_sent_about_a_run(installed):
    """Kedro's telemetry is refused where no `.telemetry` says so."""
    code = """
import os
from kedro_telemetry.plugin import _check_for_telemetry_consent as consent
from po_optimizer.__main__ import main
os.environ.pop("DO_NOT_TRACK", None)
before = consent(None)
main(["--version"], standalone_mode=False)
print(before, consent(None))
"""
    done = _python(installed.parent, "-c", code, PYTHONPATH=str(installed))
    assert done.stdout.splitlines()[-1] == "None False", done.stderr


def test_released_program_loads_in_three_lines(elsewhere, installed):
    """Another project's Python loads it without Kedro's project."""
    path = next(
        (elsewhere / f"data/06_models/product_owner/{SLUG}/program.json").glob(
            "*/*.json"
        )
    )
    code = f"""
import json
from po_optimizer import load_program
program = load_program({str(path)!r})
print(json.dumps(program.write.signature.instructions))
"""
    done = _python(installed.parent, "-c", code, PYTHONPATH=str(installed))
    instructions = load_program(path).write.signature.instructions
    assert json.loads(done.stdout) == instructions
