"""Configuration as in any Kedro project, and a catalog that follows the parameters."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from kedro.io import DatasetError
from kedro.io.core import Version

from po_optimizer.config_loader import results_folder
from po_optimizer.datasets import WholeTextDataset
from po_optimizer.errors import PoOptimizerError, SettingError
from po_optimizer.settings import CONFIG_LOADER_ARGS, CONFIG_LOADER_CLASS

PROJECT = Path(__file__).parents[1]
ROLES = ("product_owner", "tag")


@pytest.fixture
def conf(tmp_path):
    """A copy of the configuration, so that a test may add to it."""
    shutil.copytree(PROJECT / "conf", tmp_path / "conf")
    return tmp_path / "conf"


def loader(conf, env=None, **params):
    """The configuration as a run reads it."""
    return CONFIG_LOADER_CLASS(str(conf), env, params, **CONFIG_LOADER_ARGS)


def folder_of_results(conf, env=None, **params):
    """The LM's folder."""
    return Path(
        loader(conf, env, **params)["catalog"]["trials"]["filepath"]
    ).parent.name


def write(path, text):
    """A file with its folder."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("name", ["parameters.yml", "parameters_mine.yml"])
def test_results_follow_the_lm_whatever_the_file_is_called(conf, name):
    """Never in the folder of the LM that base names."""
    write(conf / "mine" / name, "lm: {provider: ollama, model: phi4}\n")
    assert folder_of_results(conf, "mine") == "ollama-phi4"


def test_results_follow_the_lm_of_the_command_line(conf):
    """In any environment."""
    lm = {"provider": "openai", "model": "m"}
    assert folder_of_results(conf, "ollama", lm=lm) == "openai-m"
    assert folder_of_results(conf, "ollama", lm={"model": "M/2"}) == "ollama-m-2"


def test_loaders_do_not_mix(conf):
    """Of two in one process each answers for itself."""
    first, second = loader(conf, "ollama"), loader(conf, "vertex")
    assert "gemini" in second["catalog"]["trials"]["filepath"]
    assert "mistral" in first["catalog"]["trials"]["filepath"]


def test_globals_work(conf):
    """In base, over it, and with a default."""
    write(conf / "base" / "globals.yml", "data: /mnt/data\n")
    write(conf / "mine" / "globals.yml", "data: /mnt/mine\n")
    more = "x: {type: MemoryDataset, where: '${globals:data}'}\n"
    write(conf / "base" / "catalog_more.yml", more)
    assert loader(conf)["catalog"]["x"]["where"] == "/mnt/data"
    assert folder_of_results(conf) == "embedded-smollm2-135m-instruct"


def test_local_is_read_without_an_environment(conf):
    """As Kedro does; not with one."""
    write(conf / "local" / "parameters.yml", "lm: {provider: ollama, model: mine}\n")
    assert folder_of_results(conf) == "ollama-mine"
    assert folder_of_results(conf, "vertex") == "vertex-gemini-2.5-flash"


def test_local_may_be_missing(conf):
    """Git keeps no empty folder."""
    shutil.rmtree(conf / "local")
    assert folder_of_results(conf) == "embedded-smollm2-135m-instruct"


@pytest.mark.parametrize("by", ["parameter", "variable"])
def test_a_document_that_was_named_must_be_there(conf, monkeypatch, by):
    """The default vision may be missing."""
    given = {"existing_vision": "nope.yaml"} if by == "parameter" else {}
    if by == "variable":
        monkeypatch.setenv("PO_VISION", "nope.yaml")
    entry = loader(conf, **given)["catalog"]["existing_vision"]
    assert (entry["filepath"], entry["optional"]) == ("nope.yaml", False)
    monkeypatch.delenv("PO_VISION", raising=False)
    assert loader(conf)["catalog"]["existing_vision"]["optional"] is True


def test_number_is_a_text_where_one_is_wanted(conf):
    """What stands after `=` is YAML: 2030 is a number there, and a good concept."""
    write(conf / "mine" / "parameters.yml", "concept: 2030\n")
    assert loader(conf, "mine")["parameters"]["concept"] == "2030"
    given = loader(conf, concept=2.5, program_from=1)
    assert given["parameters"]["concept"] == "2.5"
    assert "06_models/product_owner/1/" in given["catalog"]["trials"]["filepath"]


def test_null_program_is_the_own_one(conf):
    """As where `program_from` is left out."""
    own = loader(conf)["catalog"]["trials"]
    assert loader(conf, program_from=None)["catalog"]["trials"] == own


@pytest.mark.parametrize("concept", ["$HOME", "${HOME}", "a, b=c", "100 % 'x' \"y\""])
def test_a_concept_is_taken_as_it_stands(conf, monkeypatch, concept):
    """Nothing in it is configuration."""
    monkeypatch.setenv("CONCEPT", concept)
    assert loader(conf)["parameters"]["concept"] == concept


@pytest.fixture
def make(tmp_path):
    """`make po`, with a kedro that tells what it was given."""
    kedro = tmp_path / "kedro"
    kedro.write_text(
        '#!/bin/sh\necho "$@"\necho "$CONCEPT|$PO_REQUIREMENTS|$PO_VISION"\n'
    )
    kedro.chmod(0o755)

    def run(*given):
        command = ["make", "-s", "po", f"BIN={tmp_path}", "-o", "install", *given]
        done = subprocess.run(  # noqa: S603 our own Makefile
            command, cwd=PROJECT, capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    return run


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_make_hands_on_what_it_was_given(make):
    """Dollars, commas, quotes and blanks included."""
    concept, path = "costs $HOME, \"50 %\" 'x'", "a, b/$x.yaml"
    assert make(f"CONCEPT={concept}")[1] == f"{concept}||"
    arguments, values = make(f"REQUIREMENTS={path}", "VISION=v,1.yaml", "ENV=ollama")
    assert arguments == "run --pipeline=integrate --env=ollama"
    assert values == f"|{path}|v,1.yaml"


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_make_po_goes_on_from_the_last_run(make, tmp_path):
    """Its vision is the existing one of the next run, unless told otherwise."""
    planning = tmp_path / "planning"
    planning.mkdir()
    for name in ("requirements.yaml", "product_vision.yaml"):
        (planning / name).touch()
    here = ("-f", str(PROJECT / "Makefile"), "-C", str(tmp_path))
    assert make(*here)[1] == "||planning/product_vision.yaml"
    assert make(*here, "VISION=none")[1] == "||"
    assert make(*here, "VISION=other.yaml")[1] == "||other.yaml"
    (planning / "existing_vision.yaml").touch()
    assert make(*here)[1] == "||planning/existing_vision.yaml"


def test_home_is_the_home_folder(tmp_path, monkeypatch):
    """Also where Kedro put the project's folder before it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in ("~/file.txt", "/some/project/~/file.txt"):
        WholeTextDataset(filepath=path).save(path)
        assert (tmp_path / "file.txt").read_text() == path


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="needs another user")
@pytest.mark.parametrize("version", [None, Version(None, None)])
def test_a_folder_that_may_not_be_read_is_an_error(tmp_path, version):
    """Not a program, a text or a version that is not there."""
    dataset = WholeTextDataset(
        filepath=str(tmp_path / "closed/file"), optional=True, version=version
    )
    assert dataset.load() == ""
    dataset.save("text")
    (tmp_path / "closed").chmod(0)
    os.seteuid(65534)
    try:
        for look in (dataset.load, dataset.exists, dataset.preview):
            dataset.release()
            with pytest.raises((DatasetError, OSError), match="closed"):
                look()
    finally:
        os.seteuid(0)


def write_role(conf, name, text):
    """A role in a folder of its own, beside the configuration."""
    (conf.parent / "roles" / name).mkdir(parents=True)
    write(conf.parent / "roles" / name / "role.yml", text)


def test_role_goes_over_base_and_under_the_environment(conf):
    """What is nearer to the run wins, key by key."""
    write_role(conf, "tag", "data_prep: {sizes: {train: 1, val: 2, test: 3}}\n")
    write(conf / "mine" / "parameters.yml", "data_prep: {sizes: {val: 20}}\n")
    given = {"role": "tag", "data_prep": {"sizes": {"test": 300}}}
    sizes = loader(conf, "mine", **given)["parameters"]["data_prep"]["sizes"]
    assert sizes == {"train": 1, "val": 20, "test": 300}


def test_environment_may_name_the_role(conf):
    """As `--params role=NAME` does, which wins."""
    write_role(conf, "tag", "role: {program: tag.P}\n")
    write(conf / "mine" / "parameters.yml", "role: tag\n")
    assert loader(conf, "mine")["parameters"]["role"]["program"] == "tag.P"
    role = loader(conf, "mine", role="product_owner")["parameters"]["role"]
    assert role["program"].endswith("product_owner")


def test_single_values_of_a_role_may_be_replaced(conf):
    """Another program of the same role, with the same metric."""
    given = {"role": {"name": "product_owner", "program": "mine.P"}}
    role = loader(conf, **given)["parameters"]["role"]
    assert (role["program"], role["name"]) == ("mine.P", "product_owner")
    assert role["metric"].endswith("product_owner_metric")


def test_roles_of_one_lm_have_folders_of_their_own(conf):
    """No entry that a run writes is shared by two roles."""
    write_role(conf, "tag", "{}\n")
    apart = {"judged_programs"}  # keeps testsets apart by what is in them
    first, second = (loader(conf, role=name)["catalog"] for name in ROLES)
    shared = {
        name
        for name, entry in first.items()
        if str(entry.get("filepath")).startswith("data/0")
        and not str(entry["filepath"]).startswith("data/01_raw")
        and entry == second[name]
    }
    assert shared == apart


def test_unknown_role_is_told_with_those_that_are_there(conf):
    """The one that was meant, and where both kinds lie."""
    write_role(conf, "tag", "{}\n")
    with pytest.raises(SettingError, match=r"mean tag\?.*one of product_owner, tag"):
        loader(conf, role="tags")["parameters"]


def test_role_is_read_from_packed_configuration(conf, tmp_path, monkeypatch):
    """An archive holds the roles that stand in the configuration."""
    archive = shutil.make_archive(str(tmp_path / "packed"), "gztar", tmp_path, "conf")
    monkeypatch.chdir(tmp_path)
    write_role(conf, "tag", "raw_records: x.csv\n")
    assert loader(archive)["parameters"]["role"]["program"].endswith("product_owner")
    assert loader(archive, role="tag")["parameters"]["raw_records"] == "x.csv"


def test_results_of_another_lms_program_lie_apart():
    """They never replace the LM's own."""
    assert results_folder("x", "x") == "x"
    assert results_folder("x", "y/sweep/a") == "x/from-y-sweep-a"


@pytest.mark.parametrize(
    ("source", "file", "folder", "results"),
    [
        ("ollama-m/sweep/a", "data/06_models/product_owner/ollama-m/sweep/a", "", ""),
        ("other/p.json", "other/p.json", "other", "from-other-p.json"),
        ("a/program.json/v1/program.json", "a/program.json/v1/program.json", "a", ""),
    ],
)
def test_program_may_come_from_a_folder_or_a_document(
    conf, source, file, folder, results
):
    """What is known of its optimization lies beside it; results never do."""
    catalog = loader(conf, program_from=source)["catalog"]
    program = catalog["optimized_program"]["filepath"]
    assert program == file if folder else program == f"{file}/program.json"
    assert catalog["trials"]["filepath"] == f"{folder or file}/trials.json"
    assert catalog["trials"]["optional"] is bool(folder)
    assert results in catalog["score_report"]["filepath"]


def test_document_that_is_a_file_has_no_versions(conf, tmp_path):
    """A folder of versions is one, too: its newest is looked at."""
    path = tmp_path / "program.json"
    for make, versioned in ((path.mkdir, True), (path.touch, False)):
        make()
        entry = loader(conf, program_from=str(path))["catalog"]["optimized_program"]
        assert entry["versioned"] is versioned
        if versioned:
            path.rmdir()


def test_unknown_name_is_refused_in_a_project_without_credentials(conf):
    """Neither its catalog nor anything else has a place for it."""
    (conf / "base" / "credentials.yml").unlink()
    with pytest.raises(PoOptimizerError, match="--params nosuch: nothing reads"):
        loader(conf, nosuch=1).checked_parameters()


def test_file_that_may_not_be_read_is_told(conf, monkeypatch):
    """By its path, with what the system says."""
    reading = loader(conf)

    def refuse(*_args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(reading._fs, "open", refuse)
    monkeypatch.setattr(reading._fs, "cat_file", refuse)
    with pytest.raises(PoOptimizerError, match=r"parameters_\w+\.yml: Permission den"):
        reading["parameters"]
