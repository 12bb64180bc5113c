"""A user's mistake ends in one sentence that names it and says what to do."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from kedro.framework.cli.cli import KedroCLI
from kedro.framework.startup import bootstrap_project

from po_optimizer.cli import run

ROOT = Path(__file__).parents[1]
MINE = "conf/base/parameters_mine.yml"
CATALOG = "conf/base/catalog_mine.yml"
DATA_PREP = "--pipeline=data_prep"
COMPARE = "--pipeline=compare"  # without a result it ends in a sentence

FILES = {
    "syntax": (MINE, b"mine: {a: 1\nother: 2\n", "mine.yml, line 2, column 6: "),
    "tab": (MINE, b"mine:\n\ta: 1\n", "line 2, column 1: found character '\\t'"),
    "key twice": (MINE, b"mine: 1\nmine: 2\n", "line 2, column 1: found duplicate key"),
    "unknown alias": (MINE, b"mine: *nosuch\n", "line 1, column 7: found undefined al"),
    "control character": (
        MINE,
        b"mine: a\x00b\n",
        "characters are not allowed",
    ),
    "Latin-1": (MINE, "mine: café\n".encode("latin-1"), "is not in UTF-8 (byte 10)"),
    "list": (MINE, b"- 1\n", "mine.yml: it holds a list, not names with values"),
    "number": (MINE, b"3\n", "mine.yml: it holds no names with values"),
    "key in two files": (MINE, b"optimize: {seed: 1}\n", "parameters_mine.yml"),
    "unknown resolver": (MINE, b"mine: ${nosuch:x}\n", "mine: Unsupported interpolati"),
    "nothing to interpolate": (MINE, b"mine: ${a.b}\n", "Interpolation key 'a.b' not"),
    "syntax of the catalog": (CATALOG, b"a: [\n", "catalog_mine.yml, line 2, column 1"),
    "syntax of a role": (
        "conf/base/roles/product_owner.yml",
        b"role: {a: 1\n",
        "product_owner.yml, line 2, column 1",
    ),
    "unset variable": (
        "conf/base/credentials_mine.yml",
        b"mine: {key: '${oc.env:NOSUCH}'}\n",
        "Environment variable 'NOSUCH' not found. Correct it in the credentials",
    ),
    "list for a group": (MINE, b"prompt_lm: [1]\n", "prompt_lm: a group of parameters"),
    "unknown dataset type": (
        "conf/local/catalog.yml",
        b"raw_records: {type: nosuch.Dataset, filepath: x}\n",
        "nosuch.Dataset",
    ),
    "unknown credentials": (
        CATALOG,
        b"mine: {type: json.JSONDataset, filepath: x.json, credentials: nosuch}\n",
        "credentials 'nosuch'",
    ),
}
"""What stands in a file, and what is told of it."""

ARGUMENTS = {
    "unknown pipeline": (
        ["--pipeline=optimise"],
        "--pipeline='optimise'|(did you mean optimize?)|Choose one of compare, ",
    ),
    "several pipelines": (
        ["--pipeline=data_prep,optimize"],
        "|or several: --pipelines=data_prep,optimize.",
    ),
    "unknown pipelines": (["--pipelines=x"], "--pipelines='x'|Choose one of"),
    "unknown environment": (
        ["--env=olama"],
        "env='olama'|(did you mean ollama?)|openai-compatible, reasoning, test, vertex",
    ),
    "unknown node": (
        ["--nodes=split_checked_records"],
        "--nodes='split_checked_records'|(did you mean data_prep.split_checked_records",
    ),
    "unknown first node": (["--from-nodes=x"], "--from-nodes='x'|Choose one of"),
    "unknown tag": (["--tags=nosuch"], "--tags='nosuch'|there is none of this name"),
    "unknown dataset": (["--from-inputs=trainsett"], "(did you mean trainset?)"),
    "unknown namespace": (["--namespaces=x"], "following namespaces: ['x']"),
    "version without an entry": (["--load-versions=x"], "found x instead"),
    "unknown runner": (
        ["--runner=ThreadRuner"],
        "runner='ThreadRuner'|(did you mean ThreadRunner?)|SequentialRunner",
    ),
    "runner in several processes": (
        ["--runner=ParallelRunner"],
        "runner='ParallelRunner'|one process|ThreadRunner|--pipeline=sweep",
    ),
    "module for a runner": (["--runner=os.path"], "runner='os.path'|no such runner"),
    "unknown runner's module": (["--runner=nosuch.Runner"], "runner='nosuch.Runner'"),
    "unknown parameter of a runner": (
        ["--runner=ThreadRunner", "--runner-params=nosuch=1"],
        "unexpected keyword argument 'nosuch'",
    ),
    "unknown parameter": (
        ["--params=optimise.seed=1"],
        "--params optimise: nothing reads|(did you mean optimize?)",
    ),
    "unknown parameter, archive": (
        ["--conf-source=conf.tar.gz", "--params=optimise.seed=1"],
        "--params optimise: nothing reads|(did you mean optimize?)",
    ),
    "damaged archive": (["--conf-source=broken.tar.gz"], "conf_source=|is no archive"),
    "unknown nested parameter": (
        ["--params=optimize.miprov2.num_trails=1"],
        "optimize.miprov2.num_trails: not known (did you mean num_trials?)",
    ),
    "several at once": (
        ["--params=data_prep.x=1,evaluate.y=2"],
        "data_prep.x: not known (known: sizes, |; evaluate.y: not known|--params.",
    ),
    "wrong type": (
        ["--params=data_prep.sizes.train=abc"],
        "data_prep.sizes.train: it is no number of examples (1 or more)",
    ),
    "out of range": (
        ["--params=lm.temperature=3"],
        "lm.temperature: Input should",
    ),
    "unknown key of the LM": (
        ["--params=lm.nosuch=1"],
        "lm.nosuch: not known",
    ),
    "unknown bound of another provider's LM": (
        ["--env=ollama", "--params=lm.bounds.nosuch=1"],
        "lm.bounds.nosuch: not known (known: items, ",
    ),
    "wrong choice": (
        ["--params=lm.adapter=jso"],
        "lm.adapter: Input should be 'json', 'chat' or 'xml' (did you mean json?)",
    ),
    "unknown provider": (
        ["--params=lm.provider=olama"],
        "lm.provider='olama'|ollama?)",
    ),
    "value for a group": (
        ["--params=lm=ollama"],
        "lm: it is a group of parameters: name one|--params lm.model=",
    ),
    "list for a group": (
        ["--params=optimize=[1]"],
        "optimize: a group of parameters is no list",
    ),
    "list for a group in a group": (
        ["--params=optimize.miprov2=[1]"],
        "optimize.miprov2: a group of parameters is no list",
    ),
    "null for a group": (
        ["--params=optimize=null"],
        "optimize: it is a group of",
    ),
    "unknown role": (["--params=role=nosuch"], "role='nosuch'|there is no such role"),
    "unknown class": (
        [DATA_PREP, "--params=role.record=nosuch.Thing"],
        "role.record='nosuch.Thing'|package.module.Name",
    ),
    "no model": (["--env=openai-compatible"], "lm.model=None|Set PO_LM_MODEL"),
    "missing records": (
        [DATA_PREP, "--params=raw_records=nosuch.jsonl"],
        "raw_records: there is no file|nosuch.jsonl|--params",
    ),
    "empty records": (
        [DATA_PREP, "--params=raw_records=empty.jsonl"],
        "raw_records=|the file is empty|README.md",
    ),
    "too few records": (
        [DATA_PREP, "--params=data_prep.sizes.train=100000"],
        "data_prep.sizes='100000+|180 usable records|Lower the sizes",
    ),
    "missing requirements": (
        ["--pipeline=integrate", "--params=requirements=nosuch.yaml"],
        "requirements: there is no file|nosuch.yaml",
    ),
}
"""What is typed after `kedro run`, and what is told of it."""


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """What a project consists of without its code, and its configuration packed."""
    project = tmp_path_factory.mktemp("mistakes") / "project"
    shutil.copytree(ROOT / "conf", project / "conf")
    shutil.copytree(ROOT / "data" / "01_raw", project / "data" / "01_raw")
    (project / "src").mkdir()
    shutil.copy(ROOT / "pyproject.toml", project)
    with tarfile.open(project / "conf.tar.gz", "w:gz") as archive:
        archive.add(project / "conf", "conf")
    (project / "broken.tar.gz").write_text("no archive")
    (project / "empty.jsonl").write_text("")
    return project


@pytest.fixture
def project(origin, monkeypatch):
    """The project, as it was, with the working directory in it."""
    shutil.rmtree(origin / "conf")
    shutil.copytree(ROOT / "conf", origin / "conf")
    monkeypatch.chdir(origin)
    monkeypatch.setenv("COLUMNS", "200")
    bootstrap_project(origin)
    return origin


def told(*arguments):
    """What `kedro run` says on stderr: one line."""
    done = CliRunner().invoke(run, arguments)
    assert done.exit_code == 1, done.output
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize("mistake", FILES)
def test_mistake_in_a_file_is_one_sentence(project, mistake):
    """File and line, or the parameter, and what is wrong there."""
    name, data, sentence = FILES[mistake]
    (project / name).write_bytes(data)
    assert sentence in told(DATA_PREP)


@pytest.mark.parametrize("mistake", ARGUMENTS)
def test_mistake_on_the_command_line_is_one_sentence(project, mistake):
    """The name, what there is, and what was probably meant."""
    arguments, parts = ARGUMENTS[mistake]
    line = told(*arguments)
    assert [part for part in parts.split("|") if part not in line] == [], line


def test_unknown_kedro_env_is_one_sentence(project, monkeypatch):
    """The variable is another way to say `--env`."""
    monkeypatch.setenv("KEDRO_ENV", "olama")
    assert "env='olama'" in told(DATA_PREP)


def test_switch_that_is_none_is_refused(project, monkeypatch):
    """USE_DSPY_PO takes the words of a switch; the error lists them."""
    monkeypatch.setenv("USE_DSPY_PO", "maybe")
    line = told("--pipeline=integrate")
    assert "features.use_dspy_product_owner: 'maybe' is no switch: 1/true/yes" in line
    assert "USE_DSPY_PO" in line


def test_lost_settings_are_no_environment(project):
    """Nobody chose `base`; there is nothing to choose instead."""
    shutil.rmtree(project / "conf/base")
    assert "conf/base. Put it back (`git checkout conf`)" in told(DATA_PREP)


@pytest.mark.parametrize(
    "data", [b"", b"\xef\xbb\xbfmine: {a: 1}\n", b"mine: {a: 1}\n"]
)
def test_parameters_of_ones_own_are_nobodys_mistake(project, data):
    """Also empty or with a byte order mark; `--params` may change them."""
    (project / MINE).write_bytes(data)
    changed = ["--params=mine.a=2"] if data else []
    assert "no score report" in told(COMPARE, *changed)


def test_names_that_a_catalog_asks_for_are_known(project):
    """A path of the project's own may be replaced by `--params`."""
    entry = b"mine: {type: MemoryDataset, data: '${runtime_params:where, a}'}\n"
    (project / CATALOG).write_bytes(entry)
    assert "no score report" in told(COMPARE, "--params=where=b")


def test_value_of_an_unknown_parameter_is_not_shown(project):
    """A key that was given by mistake is not repeated."""
    assert "canary" not in told("--params=api_key=canary")


def test_misspelt_group_in_a_file_is_warned_of(project, caplog):
    """It may be the project's own: so the run goes on."""
    (project / MINE).write_text("optimise: {seed: 1}\n")
    CliRunner().invoke(run, ["--pipeline=nosuch"])
    assert "reads no parameter optimise (did you mean optimize?)" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["catalog", "list-patterns"], f"/{MINE}, line 2, column 1: expected ','"),
        (["viz", "run"], f"/{MINE}, line 2, column 1: expected ','"),
        (["viz", "build", "--env=olama"], "env='olama' cannot be used"),
        (["viz", "--params=nonsense"], "'nonsense' is not of the form key=value"),
    ],
)
def test_other_commands_have_the_same_sentence(project, capsys, arguments, sentence):
    """Kedro and its plugins raise what `sys.excepthook` prints as one line."""
    (project / MINE).write_bytes(b"mine: {a: 1\n")
    error = CliRunner().invoke(KedroCLI(project), arguments).exception
    sys.excepthook(type(error), error, error.__traceback__)
    line = capsys.readouterr().err
    assert line.startswith("Error: ")
    assert sentence in line
    assert line.count("\n") == 1


def test_notebook_shows_the_sentence(project):
    """IPython asks an error how it is rendered; Kedro loads this package anew there."""
    (project / MINE).write_bytes(b"mine: {a: 1\n")
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "-c", "%load_ext kedro.ipython"],
        capture_output=True,
        text=True,
        check=False,
    )
    shown = done.stdout + done.stderr
    assert "Traceback" not in shown
    assert f"Error: {project}/{MINE}, line 2, column 1:" in shown


def test_failed_run_leaves_nothing_behind(project):
    """Mistakes that are seen in time write no data."""
    told("--params=lm.temperature=abc")
    assert not (project / "data/06_models").exists()
    assert not (project / "planning").exists()
