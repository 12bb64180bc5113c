"""What README and docs tell people to type exists.

Here lines are read only; `make test-servers` and `make test-docs` type them
(tests/servers/test_first_steps.py and its neighbors).
"""

import ast
import re
import runpy
import shlex
from pathlib import Path

import click
import pytest
from omegaconf import OmegaConf

from po_optimizer.__main__ import COMMANDS
from po_optimizer.cli import run
from po_optimizer.params.lm import PriceParams
from po_optimizer.pipeline_registry import register_pipelines
from tests.faces.commands import (
    EXEMPT,
    FIRST_STEPS,
    GUIDE_STEPS,
    LM_STEPS,
    PAGES,
    REFERENCE_STEPS,
    blocks,
    commands,
)
from tests.faces.project import ROOT

FREE = {
    "raw_records",
    "program_from",
    "requirements",
    "existing_vision",
    "requirements_optional",
}
OURS = {"kedro": "run", "po-optimizer": "run"}


def _commands():
    """Every command line: page and words, without assignments."""
    for page in PAGES:
        for command in commands(page):
            words = shlex.split(command.line)
            while words and re.match(r"[A-Z_]+=", words[0]):
                words.pop(0)
            yield page, words


RUNS = [
    pytest.param(page, words, id=f"{page}: {' '.join(words)}")
    for page, words in _commands()
    if OURS.get(words[0]) in words[1:2]
]
MADE = [(page, words[1]) for page, words in _commands() if words[0] == "make"]
KEYS = OmegaConf.merge(
    *map(OmegaConf.load, (ROOT / "conf/base").glob("parameters*.yml"))
)


@pytest.mark.parametrize(("page", "words"), RUNS)
def test_run_commands_name_what_exists(page, words):
    """Options, pipelines, environments and parameters of a `run` line are there."""
    with click.Context(run) as context:
        options, _, _ = run.make_parser(context).parse_args(args=words[2:])
    named = options.get("pipelines") or options.get("pipeline") or ""
    assert set(filter(None, named.split(","))) <= set(register_pipelines())
    environment = options.get("env", "base")
    made_there = f"conf/{environment}/" in (ROOT / page).read_text()
    assert (ROOT / "conf" / environment).is_dir() or made_there
    for pair in filter(None, (options.get("params") or "").split(",")):
        key = pair.partition("=")[0]
        assert key in FREE or _has(key), key


def _has(key):
    """Whether the parameters have a key; its value may be null."""
    parent, _, last = re.sub("^prompt_lm", "lm", key).rpartition(".")
    if parent == "lm.price":  # null as long as nobody gives one
        return last in PriceParams.model_fields
    return last in (OmegaConf.select(KEYS, parent) if parent else KEYS)


def test_make_targets_exist():
    """Every `make` line names a target that `make help` lists."""
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.M)
    assert {name for _, name in MADE if "=" not in name} <= set(targets)


def test_our_own_commands_exist():
    """Every `po-optimizer` line names a command or an option of the group."""
    named = {words[1] for _, words in _commands() if words[0] == "po-optimizer"}
    assert named <= {*COMMANDS, "--help", "--version"}


@pytest.mark.parametrize(
    "text", [text for page in PAGES for text in blocks(page, "python")]
)
def test_python_blocks_are_python(text):
    """Every Python block compiles, and what it imports from us is there."""
    compile(text, "docs", "exec")
    imports = [one for one in text.splitlines() if one.startswith("from po_optimizer")]
    exec("\n".join(imports), {})  # noqa: S102 -- our own documentation


def test_each_command_is_typed_once_or_exempt():
    """`make test-servers` and `make test-docs` type all that is not exempt."""
    typed = [*FIRST_STEPS, *GUIDE_STEPS, *LM_STEPS, *REFERENCE_STEPS]
    exempt = [command for command in commands(*PAGES) if command.is_exempt]
    assert sorted(map(str, [*typed, *exempt])) == sorted(map(str, commands(*PAGES)))
    assert {ROOT / page for page in PAGES} >= set(ROOT.glob("docs/**/*.md"))


def test_exemptions_occur_and_each_line_is_found():
    """No exemption is stale, and none of a block's lines is overlooked."""
    lines = {command.line for command in commands(*PAGES)}
    for begin in EXEMPT:
        assert any(f"{line} ".startswith(f"{begin} ") for line in lines), begin
    shown = "\n".join(text for page in PAGES for text in blocks(page, "bash"))
    for line in filter(None, shown.splitlines()):
        assert line.partition(" #")[0].strip() in lines or line.startswith("export ")


def test_ci_runs_what_is_left_to_it():
    """The Makefile's targets that no test types are steps of the workflow."""
    steps = (ROOT / ".github/workflows/ci.yml").read_text()
    for begin, reason in EXEMPT.items():
        if reason == "CI runs it":
            assert begin.replace("make", "make PYTHON=python") + "\n" in steps, begin


def test_each_parameter_has_a_meaning():
    """The table that the site includes names every parameter and explains it."""
    tables = runpy.run_path(str(ROOT / "scripts/parameters_table.py"))["tables"]()
    assert "optimize.miprov2.num_trials" in tables
    assert "|  |" not in tables


def test_code_that_contributors_are_sent_to_is_there():
    """Files and folders that CONTRIBUTING names exist, in the root or the package."""
    text = re.sub(r"```.*?```", "", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.S)
    words = [word for name in re.findall(r"`([^`]+)`", text) for word in name.split()]
    paths = [word for word in words if "/" in word and "<" not in word]
    bases = (ROOT, ROOT / "src/po_optimizer", ROOT / "src/po_optimizer/lms")
    assert len(paths) > 15
    assert [p for p in paths if not any((base / p).exists() for base in bases)] == []


def _sentences(tree):
    """Every text in a module, `…` where a value is filled in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (
                p.value if isinstance(p, ast.Constant) else "…" for p in node.values
            )
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_troubleshooting_quotes_errors_that_there_are():
    """Each error in the tables of that page stands in the code, word for word."""
    page = (ROOT / "docs/troubleshooting.md").read_text()
    quoted = re.findall(r"^\| `([^`]*[a-z] [^`]*)` \|", page, re.M)
    modules = map(Path.read_text, (ROOT / "src").rglob("*.py"))
    texts = {text for code in modules for text in _sentences(ast.parse(code))}
    pieces = {piece.strip() for error in quoted for piece in error.split("…")}
    assert len(quoted) > 40
    assert [p for p in sorted(pieces) if not any(p in text for text in texts)] == []


def test_lines_of_each_adapter_are_about_what_the_page_says():
    """Within a fifth, pages and templates of its folder included."""
    text = (ROOT / "docs/how-to/other-tools.md").read_text()
    rows = re.findall(r"^\| [^|]+ \| `([\w.]+)` \| (\d+) \|", text, re.MULTILINE)
    assert len(rows) == 6
    for name, lines in rows:
        place = ROOT / "src/po_optimizer/integrations" / name
        files = [place] if place.is_file() else place.glob("[!_.]*.*")
        n = sum(len(file.read_text().splitlines()) for file in files)
        assert abs(n - int(lines)) <= n / 5, (name, n)


def test_files_that_pages_name_are_there():
    """Tests, benchmarks, scripts and notebooks that README and docs refer to exist."""
    pattern = r"`((?:tests|benchmarks|scripts|notebooks|src)/[\w./]+)`"
    text = "".join((ROOT / page).read_text() for page in PAGES)
    files = set(re.findall(pattern, text))
    assert len(files) > 15
    assert [file for file in sorted(files) if not (ROOT / file).exists()] == []
