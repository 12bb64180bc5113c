"""The program dataset beyond Kedro's checklist, which contrib/kedro-datasets tests."""

import html
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy
import fsspec
import pytest
import yaml
from kedro.io import DataCatalog
from kedro.io.core import (
    DatasetError,
    Version,
    generate_timestamp,
)

from po_optimizer.datasets.dspy_program_dataset import DSPyProgramDataset
from po_optimizer.errors import SettingError
from po_optimizer.persistence import attach_provenance, get_provenance
from po_optimizer.persistence.prompts import prompt_hashes
from po_optimizer.product_owner.program import ProductOwner, ProductOwnerInSteps
from tests.datasets import kill_rounds
from tests.datasets.object_store import Store, StoreFileSystem, running_store
from tests.persistence import zoo

OPTIONS: dict[str, Any] = {"verify": "off", "allowed_packages": ["tests"]}


@pytest.fixture
def filepath(tmp_path: Path) -> str:
    """Where the program is stored."""
    return (tmp_path / "models" / "program.json").as_posix()


@pytest.fixture
def dataset(filepath: str) -> DSPyProgramDataset:
    """An unversioned dataset."""
    return DSPyProgramDataset(filepath=filepath, **OPTIONS)


@pytest.fixture
def version() -> Version:
    """A version as a session gives it."""
    return Version(None, generate_timestamp())


@pytest.fixture
def versioned(filepath: str, version: Version) -> DSPyProgramDataset:
    """A versioned dataset."""
    return DSPyProgramDataset(filepath=filepath, version=version, **OPTIONS)


@pytest.fixture(scope="module")
def program() -> Any:
    """An optimized program."""
    return zoo.improved(zoo.Plain())


def same(left: Any, right: Any) -> bool:
    """True when both programs are of one class and render the same prompts."""
    return type(left) is type(right) and prompt_hashes(left) == prompt_hashes(right)


class TestDSPyProgramDataset:
    """Its arguments and defaults."""

    def test_default_verifies_in_a_process(self, filepath: str, program: Any) -> None:
        """By default a save is verified in a process and adds a snapshot."""
        dataset = DSPyProgramDataset(filepath=filepath)
        dataset.save(program)
        assert len(list(Path(filepath).parent.iterdir())) == 2
        assert (dataset._verify, dataset._dill) == ("process", "write")

    def test_arguments_are_keywords(self) -> None:
        """Every argument is keyword-only and has a default, except the filepath."""
        parameters = inspect.signature(DSPyProgramDataset.__init__).parameters
        for name, parameter in parameters.items():
            if name not in ("self", "filepath"):
                assert parameter.kind is parameter.KEYWORD_ONLY
                assert parameter.default is not parameter.empty

    def test_config_round_trip(self, filepath: str) -> None:
        """A catalog's `to_config` gives what `from_config` takes."""
        dataset = DSPyProgramDataset(
            filepath=filepath, dill="load", verify="inline", version=Version(None, None)
        )
        config = DataCatalog({"program": dataset}).to_config()
        again = DataCatalog.from_config(*config)["program"]
        assert isinstance(again, DSPyProgramDataset)
        for key in ("filepath", "dill", "verify", "allowed_packages", "protocol"):
            assert again._describe()[key] == dataset._describe()[key]

    def test_catalog_entry_of_the_docs(self, tmp_path: Path, program: Any) -> None:
        """The five lines that the documentation shows make a working dataset."""
        text = Path("docs/artifact-format.md").read_text(encoding="utf-8")
        block = text.split("```yaml")[1].split("```")[0]
        entry = yaml.safe_load(block)
        assert len(block.strip().splitlines()) == 5
        (config,) = entry.values()
        config.update(filepath=str(tmp_path / "p.json"), **OPTIONS)
        catalog = DataCatalog.from_config(entry)
        catalog.save(next(iter(entry)), program)
        assert same(catalog.load(next(iter(entry))), program)

    def test_partitions_of_the_docs(self, tmp_path: Path, program: Any) -> None:
        """A partitioned dataset keeps one program per partition."""
        page = Path("docs/how-to/elsewhere.md").read_text(encoding="utf-8")
        text = page.partition("```yaml\n")[2].partition("```")[0]
        text = text.replace("data/", f"{tmp_path.as_posix()}/data/")
        text = text.replace("my_package", "tests")
        entry = yaml.safe_load(text)
        entry["programs"]["dataset"]["verify"] = "off"
        catalog = DataCatalog.from_config(entry)
        catalog.save("programs", {"a": program, "b/c": program})
        partitions = catalog.load("programs")
        assert sorted(partitions) == ["a", "b/c"]
        assert same(partitions["b/c"](), program)

    def test_program_of_another_package_is_rebuilt(
        self, filepath: str, program: Any
    ) -> None:
        """Without its package allowed, a program of one predictor is a Predict."""
        dataset = DSPyProgramDataset(filepath=filepath, verify="off")
        dataset.save(program)
        assert type(dataset.load()) is dspy.Predict


class TestPreview:
    """What kedro-viz shows."""

    def test_shows_instructions_fields_and_demos(
        self, dataset: DSPyProgramDataset, program: Any
    ) -> None:
        """The preview is HTML with the prompt's parts."""
        dataset.save(program)
        shown = html.unescape(dataset.preview())
        assert "Reply in verse, señor ☃." in shown
        assert "question" in shown
        assert "2 demos" in shown

    def test_escapes_html(self, dataset: DSPyProgramDataset) -> None:
        """Instructions that contain HTML are shown, not run."""
        dataset.save(zoo.improved(zoo.Plain(), "<script>alert(1)</script>" * 2000))
        assert "<script>" not in dataset.preview()
        assert "..." in dataset.preview()


class TestVersioned:
    """With Kedro's versions."""

    def test_failed_save_does_not_become_the_newest(
        self, filepath: str, program: Any
    ) -> None:
        """A version that could not be stored does not shadow the one before."""
        DSPyProgramDataset(
            filepath=filepath, version=Version(None, "1"), **OPTIONS
        ).save(program)
        broken = DSPyProgramDataset(
            filepath=filepath, version=Version(None, "2"), **OPTIONS
        )
        with pytest.raises(DatasetError):
            broken.save(zoo.with_demos(zoo.Plain(), {"question": object()}))
        newest = DSPyProgramDataset(
            filepath=filepath, version=Version(None, None), **OPTIONS
        )
        assert same(newest.load(), program)


@pytest.fixture
def store() -> Iterator[tuple[type[Store], DSPyProgramDataset]]:
    """A dataset on an object store over HTTP, and the store."""
    fsspec.register_implementation("store", StoreFileSystem, clobber=True)
    with running_store() as (handler, port):
        yield (
            handler,
            DSPyProgramDataset(
                filepath="store://bucket/program.json",
                fs_args={"port": port},
                **OPTIONS,
            ),
        )


class TestRemote:
    """On other file systems."""

    @pytest.mark.parametrize("check", ["inline", "off"])
    def test_memory(self, check: Any, program: Any) -> None:
        """A program is stored and loaded in fsspec's memory file system."""
        path = f"memory://models/{check}/p.json"
        dataset = DSPyProgramDataset(
            filepath=path,
            verify=check,
            dill="load",
            version=Version(None, None),
            allowed_packages=["tests"],
        )
        dataset.save(program)
        assert same(dataset.load(), program)

    def test_object_store(self, store: Any, program: Any) -> None:
        """On an object store the document and the snapshot are there, nothing else."""
        handler, dataset = store
        dataset.save(program)
        assert same(dataset.load(), program)
        assert sorted(name[-5:] for name in handler.objects) == [".dill", ".json"]
        assert dataset.exists()

    @pytest.mark.parametrize("method", ["PUT", "COPY", "GET"])
    def test_failing_store_keeps_the_old_program(
        self, store: Any, program: Any, method: str
    ) -> None:
        """A store that fails at any step keeps the old program, whole."""
        handler, dataset = store
        dataset.save(program)
        handler.fail.add(method)
        with pytest.raises(DatasetError):
            dataset.save(zoo.Plain())
        handler.fail.clear()
        assert same(dataset.load(), program)

    def test_store_that_alters_bytes_is_noticed(
        self, store: Any, program: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What a store gives back is compared before the old program is replaced."""
        handler, dataset = store
        dataset.save(program)
        before = dict(handler.objects)
        real = StoreFileSystem.pipe_file
        monkeypatch.setattr(
            StoreFileSystem,
            "pipe_file",
            lambda fs, path, data: real(fs, path, data[:-9]),
        )
        with pytest.raises(DatasetError, match="reads back differently"):
            dataset.save(zoo.Plain())
        assert before.items() <= handler.objects.items()

    def test_readers_never_see_a_part(self, store: Any, program: Any) -> None:
        """Every object under a published name is whole at each moment."""
        handler, dataset = store
        seen = []

        class Watched(dict[str, bytes]):
            def __setitem__(self, key: str, value: bytes) -> None:
                if key.endswith("program.json"):
                    seen.append(json.loads(value)["digest"])
                super().__setitem__(key, value)

        handler.objects = Watched()
        dataset.save(program)
        dataset.save(zoo.Plain())
        assert len(set(seen)) == 2


class TestOptional:
    """A dataset that may be empty."""

    @pytest.mark.parametrize("version", [None, Version(None, None)])
    def test_nothing_stored_is_none(
        self, tmp_path: Path, version: Version | None
    ) -> None:
        """An optional dataset loads None as long as nothing is stored."""
        dataset = DSPyProgramDataset(
            filepath=str(tmp_path / "p.json"), optional=True, version=version
        )
        assert dataset.load() is None

    def test_a_version_that_is_named_must_exist(self, tmp_path: Path) -> None:
        """Optional or not, a version that somebody asked for is never None."""
        dataset = DSPyProgramDataset(
            filepath=str(tmp_path / "p.json"),
            optional=True,
            version=Version("2020-01-01T00.00.00.000Z", None),
        )
        with pytest.raises(DatasetError):
            dataset.load()


class TestArguments:
    """What a catalog entry and a node may give."""

    @pytest.mark.parametrize("value", ["my_package", [1], {"a": 1}])
    def test_allowed_packages_are_a_list(self, filepath: str, value: Any) -> None:
        """A string would be a list of letters."""
        with pytest.raises(SettingError, match="allowed_packages"):
            DSPyProgramDataset(filepath=filepath, allowed_packages=value)

    def test_off_without_quotes(self, filepath: str) -> None:
        """YAML reads it as false."""
        entry = yaml.safe_load("{dill: off, verify: off}")
        dataset = DSPyProgramDataset(filepath=filepath, **entry)
        assert (dataset._dill, dataset._verify) == ("off", "off")

    def test_a_version_of_a_later_time_is_told(self, filepath, program) -> None:
        """A clock was wrong: the saved program would not be the one that is read."""
        earlier, later = "2026-01-01T00.00.00.000Z", "2099-01-01T00.00.00.000Z"

        def saved(version: str, load: str | None = None) -> None:
            kedro = Version(load, version)
            DSPyProgramDataset(
                filepath=filepath, dill="off", verify="inline", version=kedro
            ).save(program)

        saved(later)
        with pytest.raises(DatasetError, match=f"has the version {later}, which is"):
            saved(earlier)
        saved(earlier, load=earlier)

    @pytest.mark.parametrize("option", ["optional", "skip_unchanged"])
    def test_flags_are_true_or_false(self, filepath: str, option: str) -> None:
        """A word is neither."""
        with pytest.raises(SettingError, match="true or false"):
            DSPyProgramDataset(filepath=filepath, **{option: "no"})  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("data", "given"), [({"a": 1}, "'a': 1"), (zoo.Plain, "the class Plain")]
    )
    def test_only_programs_are_stored(
        self, dataset: DSPyProgramDataset, data: Any, given: str
    ) -> None:
        """The sentence says what came instead."""
        with pytest.raises(DatasetError, match=f"dspy.Module.*{given}"):
            dataset.save(data)

    def test_unknown_scheme(self) -> None:
        """A typo is no folder of that name."""
        with pytest.raises(SettingError, match="s33://"):
            DSPyProgramDataset(filepath="s33://bucket/program.json")

    def test_package_of_a_store_is_needed_late(self, filepath: str) -> None:
        """An entry that no node uses costs nothing; else the error names it."""
        dataset = DSPyProgramDataset(filepath="smb://host/share/program.json")
        with pytest.raises(DatasetError, match="smb:// needs a package"):
            dataset.load()


class TestOnce:
    """`skip_unchanged`."""

    def released(self, filepath: str, program: Any, number: int) -> DSPyProgramDataset:
        """One run's release."""
        dataset = DSPyProgramDataset(
            filepath=filepath,
            skip_unchanged=True,
            version=Version(None, f"2026-01-0{number}T00.00.00.000Z"),
            **OPTIONS,
        )
        dataset.save(program)
        return dataset

    def test_the_same_program_is_released_once(
        self, filepath: str, recwarn: pytest.WarningsRecorder
    ) -> None:
        """Made anew by a resumed run; what it came from counts, too."""
        for number in (1, 2):
            program = attach_provenance(zoo.improved(zoo.Plain()), {"seed": 9})
            dataset = self.released(filepath, program, number)
        assert dataset.list_versions(full_path=False) == ["2026-01-01T00.00.00.000Z"]
        assert get_provenance(dataset.load()) == {"seed": 9}
        other = attach_provenance(zoo.improved(zoo.Plain()), {"seed": 10})
        assert len(self.released(filepath, other, 3).list_versions()) == 2
        assert not [w for w in recwarn if "version" in str(w.message)]

    @pytest.mark.parametrize("name", ["stage", "digest", "count"])
    def test_demo_that_differs_in_any_field_is_released(
        self, filepath: str, name: str
    ) -> None:
        """A field named as what is drawn anew, and a 1 that was true, count."""
        program = dspy.Predict("question -> answer")
        for number, value in ((1, 1), (2, True)):
            program.demos = [{"question": "?", "signature": "s", name: value}]
            dataset = self.released(filepath, program, number)
        assert len(dataset.list_versions()) == 2

    def test_kills_leave_one_version_and_nothing_else(self) -> None:
        """Killed at random moments, then run again."""
        counts = kill_rounds.main(6, {"skip_unchanged": True})
        assert counts["versions"] == counts["rounds"] == 6
        assert counts["with_leftovers"] == 0


class TestVersionsByName:
    """`--load-versions`."""

    def test_a_version_that_is_not_there(self, filepath: str, program: Any) -> None:
        """The error lists those that are, also where none need be."""
        stored = Version(None, "2026-01-01T00.00.00.000Z")
        DSPyProgramDataset(filepath=filepath, version=stored, **OPTIONS).save(program)
        dataset = DSPyProgramDataset(
            filepath=filepath, version=Version("bad", None), optional=True, **OPTIONS
        )
        with pytest.raises(DatasetError, match=r"'bad'.*There are: 2026-01-01T00"):
            dataset.load()

    def test_preview_of_nothing(self, versioned: DSPyProgramDataset) -> None:
        """kedro-viz shows a sentence."""
        assert "nothing stored yet" in versioned.preview()

    def test_nothing_behind_http(self) -> None:
        """A server that is down is not a program that is missing."""
        dataset = DSPyProgramDataset(
            filepath="http://user:canary@127.0.0.1:9/p.json", optional=True
        )
        with pytest.raises(DatasetError, match=r"http://127\.0\.0\.1:9/p") as caught:
            dataset.load()
        assert "canary" not in str(caught.value) + str(dataset)


@pytest.mark.parametrize(
    ("stored", "given"),
    [(ProductOwnerInSteps, ProductOwner), (ProductOwner, ProductOwnerInSteps)],
)
def test_program_of_a_role_for_another_lm_is_loaded(tmp_path, stored, given):
    """The Product Owner of a small LM runs where a large one is configured."""
    dataset = DSPyProgramDataset(filepath=str(tmp_path / "p.json"), verify="off")
    dataset.save(stored())
    dataset.use_donor(given, {})
    assert type(dataset.load()) is stored


def test_program_of_another_role_is_refused(tmp_path):
    """Its predictors are not those of the role, nor is its code of one package."""
    dataset = DSPyProgramDataset(filepath=str(tmp_path / "p.json"), verify="off")
    dataset.save(dspy.ChainOfThought("question -> answer"))
    dataset.use_donor(ProductOwner, {})
    with pytest.raises(DatasetError, match="class that was saved"):
        dataset.load()
