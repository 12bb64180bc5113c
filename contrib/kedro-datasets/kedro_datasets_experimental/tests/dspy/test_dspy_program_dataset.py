"""Kedro's checklist for datasets, for programs."""

import html
import inspect
import subprocess
import sys
from pathlib import Path, PurePosixPath
from unittest.mock import Mock

import pytest
from fsspec.implementations.http import HTTPFileSystem
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from kedro.io import DataCatalog
from kedro.io.core import (
    PROTOCOL_DELIMITER,
    DatasetError,
    Version,
    VersionNotFoundError,
    generate_timestamp,
)
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner

pytest.importorskip("po_optimizer")  # which needs a later LiteLLM than ChromaDB takes

import dspy
from po_optimizer.errors import PoOptimizerError

from kedro_datasets_experimental.dspy import DSPyProgramDataset

TYPE = "kedro_datasets_experimental.dspy.DSPyProgramDataset"
OLD, NEW = "2026-01-01T00.00.00.000Z", "2026-01-02T00.00.00.000Z"


@pytest.fixture(scope="module")
def program():
    """A program as an optimizer leaves it: other instructions, a demo."""
    optimized = dspy.ChainOfThought("question -> answer: str, score: float")
    predictor = optimized.predict
    text = "Answer in one word, señor ☃. <b>Be brief</b>"
    predictor.signature = predictor.signature.with_instructions(text)
    predictor.demos = [
        dspy.Example(question="1 + 1", reasoning="-", answer="2", score=0.5)
    ]
    return optimized


@pytest.fixture
def filepath(tmp_path):
    """Where the program is stored."""
    return (tmp_path / "models" / "program.json").as_posix()


@pytest.fixture
def file_systems(monkeypatch):
    """What makes file systems, replaced."""
    made = Mock()
    monkeypatch.setattr("fsspec.filesystem", made)
    return made


@pytest.fixture
def dataset(filepath):
    """An unversioned dataset."""
    return DSPyProgramDataset(filepath=filepath, verify="inline")


def versioned(filepath, load=None, save=None):
    """A versioned dataset."""
    version = Version(load, save or generate_timestamp())
    return DSPyProgramDataset(filepath=filepath, verify="inline", version=version)


def same(left, right):
    """Whether both are of one class, with the same prompts."""
    return type(left) is type(right) and left.dump_state() == right.dump_state()


class TestDSPyProgramDataset:
    """Without versions."""

    def test_save_and_load(self, dataset, program):
        """What was saved is loaded, of the same class, and again after another save."""
        dataset.save(program)
        assert same(dataset.load(), program)
        dataset.save(dspy.Predict("question -> answer"))
        assert type(dataset.load()) is dspy.Predict

    def test_exists(self, dataset, program):
        """It exists once it was saved."""
        assert not dataset.exists()
        dataset.save(program)
        assert dataset.exists()

    def test_save_in_a_process_by_default(self, filepath, program):
        """By default a save is read back in a fresh process, and there is no pickle."""
        DSPyProgramDataset(filepath=filepath).save(program)
        assert [path.name for path in Path(filepath).parent.iterdir()] == [
            "program.json"
        ]

    def test_path_like(self, tmp_path, program):
        """A `Path` is as good as a text."""
        dataset = DSPyProgramDataset(filepath=tmp_path / "p.json", verify="off")
        dataset.save(program)
        assert same(dataset.load(), program)

    def test_load_of_a_missing_file(self, dataset):
        """Nothing stored is an error that names the file."""
        with pytest.raises(DatasetError, match=r"no program .*program\.json"):
            dataset.load()

    @pytest.mark.parametrize("data", [None, {"a": 1}, dspy.Predict])
    def test_save_of_something_else(self, dataset, data):
        """Only programs are stored."""
        with pytest.raises(DatasetError, match=r"None|dspy\.Module"):
            dataset.save(data)
        assert not dataset.exists()

    def test_failed_save_keeps_what_was_there(self, dataset, program):
        """What cannot be stored replaces nothing; the error names the attribute."""
        dataset.save(program)
        broken = dspy.Predict("question -> answer")
        broken.demos = [dspy.Example(question=object())]
        with pytest.raises(DatasetError, match=r"demos\[0\]"):
            dataset.save(broken)
        assert same(dataset.load(), program)

    @pytest.mark.parametrize(
        "options", [{"dill": "maybe"}, {"verify": "maybe"}, {"allowed_packages": "a"}]
    )
    def test_wrong_option(self, filepath, options):
        """A value that does not exist is refused when the catalog is read."""
        with pytest.raises(PoOptimizerError, match=next(iter(options))):
            DSPyProgramDataset(filepath=filepath, **options)

    def test_arguments_are_keywords(self):
        """Every argument is keyword-only and has a default, except the filepath."""
        parameters = inspect.signature(DSPyProgramDataset.__init__).parameters
        for name, parameter in parameters.items():
            if name not in ("self", "filepath"):
                assert parameter.kind is parameter.KEYWORD_ONLY
                assert parameter.default is not parameter.empty

    @pytest.mark.parametrize(
        ("path", "kind"),
        [
            ("/folder/p.json", LocalFileSystem),
            ("file:///folder/p.json", LocalFileSystem),
            ("memory:///folder/p.json", MemoryFileSystem),
            ("https://example.com/p.json", HTTPFileSystem),
        ],
    )
    def test_protocol(self, path, kind):
        """The path's protocol chooses the file system."""
        dataset = DSPyProgramDataset(filepath=path)
        assert isinstance(dataset._fs, kind)
        assert str(dataset._filepath) == path.rpartition(PROTOCOL_DELIMITER)[2]
        assert isinstance(dataset._filepath, PurePosixPath)

    def test_fs_args_and_credentials(self, file_systems):
        """Both reach the file system, and neither is shown."""
        dataset = DSPyProgramDataset(
            filepath="s3://bucket/p.json",
            fs_args={"project": "canary-f"},
            credentials={"token": "canary-c"},
        )
        assert dataset._fs is file_systems.return_value
        file_systems.assert_called_once_with("s3", project="canary-f", token="canary-c")
        assert "canary" not in f"{dataset!r} {dataset} {dataset._describe()}"

    @pytest.mark.parametrize("name", ["open_args_load", "open_args_save"])
    def test_open_args(self, filepath, name):
        """Arguments of `open` are refused: they would be without effect."""
        with pytest.raises(PoOptimizerError, match=name):
            DSPyProgramDataset(filepath=filepath, fs_args={name: {"mode": "rb"}})

    def test_remote_file_system(self, program):
        """Saved and loaded where there are no local files."""
        path = "memory:///models/p.json"
        dataset = DSPyProgramDataset(filepath=path, verify="inline")
        dataset.save(program)
        assert same(dataset.load(), program)

    def test_release(self, file_systems):
        """A release empties the file system's cache."""
        dataset = DSPyProgramDataset(filepath="s3://bucket/p.json")
        filesystem = dataset._fs
        dataset.release()
        filesystem.invalidate_cache.assert_called_once_with("bucket/p.json")

    def test_copy_and_config(self, filepath):
        """Copies, and what a catalog writes of it, are the same dataset."""
        dataset = DSPyProgramDataset(filepath=filepath, verify="off", dill="load")
        catalog = DataCatalog.from_config(*DataCatalog({"p": dataset}).to_config())
        for other in (dataset._copy(), catalog["p"]):
            assert other is not dataset
            assert other._describe() == dataset._describe()

    def test_preview(self, dataset, program):
        """kedro-viz shows what a prompt holds; HTML in it is not run."""
        assert "nothing stored" in dataset.preview()
        dataset.save(program)
        assert "señor ☃" in html.unescape(dataset.preview())
        assert "<b>Be" not in dataset.preview()
        annotation = inspect.signature(DSPyProgramDataset.preview).return_annotation
        assert annotation.__name__ == "HTMLPreview"

    def test_dill(self, filepath, program):
        """A snapshot is added and preferred, and the document does without it."""
        dataset = DSPyProgramDataset(filepath=filepath, dill="load", verify="inline")
        dataset.save(program)
        assert same(dataset.load(), program)
        (snapshot,) = Path(filepath).parent.glob("*.dill")
        snapshot.unlink()
        assert same(dataset.load(), program)

    def test_no_pipeline_is_imported(self):
        """The dataset brings po_optimizer's storage along, none of its pipelines."""
        code = (
            "import sys, kedro_datasets_experimental.dspy as d; d.DSPyProgramDataset;"
            "print([m for m in sys.modules if 'po_optimizer.pipelines' in m])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[3],
        )
        assert done.stdout.strip() == "[]"


class TestTranscoding:
    """One file under two names of a catalog."""

    @pytest.mark.parametrize("is_versioned", [False, True])
    def test_saved_by_one_and_loaded_by_another(self, filepath, program, is_versioned):
        """A pipeline orders its nodes by the file, whatever the names."""
        entry = {"type": TYPE, "filepath": filepath, "versioned": is_versioned}
        config = {
            "program@dill": {**entry, "dill": "load", "verify": "inline"},
            "program@document": entry,
        }
        catalog = DataCatalog.from_config(config)
        seen = []
        pipeline = Pipeline(
            [
                node(seen.append, "program@document", None),
                node(lambda: program, None, "program@dill"),
            ]
        )
        SequentialRunner().run(pipeline, catalog)
        assert same(seen[0], program)


class TestDSPyProgramDatasetVersioned:
    """With versions."""

    def test_save_and_load(self, filepath, program):
        """A version is saved and loaded, and existed only then."""
        dataset = versioned(filepath)
        assert not dataset.exists()
        dataset.save(program)
        assert dataset.exists()
        assert same(dataset.load(), program)

    def test_representation(self, filepath):
        """The version is shown where there is one."""
        assert "version=Version(load=None, save='x')" in str(
            versioned(filepath, save="x")
        )
        plain = str(DSPyProgramDataset(filepath=filepath))
        assert "version" not in plain
        assert "DSPyProgramDataset" in plain
        assert "protocol" in plain

    def test_old_versions_are_kept(self, filepath, program):
        """Every version stays loadable; the newest is the default."""
        versioned(filepath, save=OLD).save(dspy.Predict("question -> answer"))
        versioned(filepath, save=NEW).save(program)
        assert type(versioned(filepath, load=OLD).load()) is dspy.Predict
        assert same(versioned(filepath).load(), program)

    def test_release_forgets_the_version(self, filepath, program):
        """After a release the newest version is looked up again."""
        versioned(filepath, save=OLD).save(program)
        dataset = versioned(filepath)
        assert same(dataset.load(), program)
        versioned(filepath, save=NEW).save(dspy.Predict("question -> answer"))
        dataset.release()
        assert type(dataset.load()) is dspy.Predict

    def test_no_versions(self, filepath):
        """Loading without any version is Kedro's own error."""
        with pytest.raises(
            (VersionNotFoundError, DatasetError), match="Did not find any versions"
        ):
            versioned(filepath).load()

    def test_prevent_overwrite(self, filepath, program):
        """A version is never overwritten."""
        dataset = versioned(filepath)
        dataset.save(program)
        with pytest.raises(DatasetError, match="must not exist if versioning"):
            dataset.save(program)

    def test_save_version_warning(self, filepath, program):
        """A save that the next load would not find is warned of."""
        versioned(filepath, save=OLD).save(program)
        dataset = versioned(filepath, load=OLD, save=NEW)
        with pytest.warns(UserWarning, match="did not match load version"):
            dataset.save(program)

    def test_http_has_no_versions(self):
        """HTTP does not support versioning."""
        with pytest.raises(DatasetError, match="Versioning is not supported for HTTP"):
            versioned("https://example.com/p.json")

    def test_unversioned_file_in_the_way(self, dataset, filepath, program):
        """A file where the versions' folder should be is named."""
        dataset.save(program)
        with pytest.raises(DatasetError, match=r"program\.json"):
            versioned(filepath).save(program)
        Path(filepath).unlink()
        versioned(filepath).save(program)
