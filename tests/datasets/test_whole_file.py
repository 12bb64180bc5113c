"""Text, JSON and HTML files that are replaced whole or not at all."""

import json
import os

import pytest
from kedro.io import DatasetError

from po_optimizer.datasets import (
    RecordsDataset,
    WholeHTMLDataset,
    WholeJSONDataset,
    WholeTextDataset,
)


def full_disk(monkeypatch):
    """Makes every fsync fail, as on a full disk."""

    def refuse(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)


def kept_beside(path):
    """The texts that stood in the file before, in the order of their dates."""
    kept = sorted(path.parent.glob(f"{path.stem}.*Z{path.suffix}"))
    return [one.read_text() for one in kept]


class TestWholeTextDataset:
    """A text file."""

    @pytest.fixture
    def path(self, tmp_path):
        """In a folder that does not exist yet."""
        return tmp_path / "deep" / "text.yaml"

    @pytest.mark.parametrize("text", ["", "one\ntwo\n", "ñandú \u2028", "a" * 100_000])
    def test_text_comes_back(self, path, text):
        """What is saved is what is loaded."""
        dataset = WholeTextDataset(filepath=str(path))
        dataset.save(text)
        assert dataset.load() == text

    def test_existence_is_that_of_the_file(self, path):
        """A missing file does not exist."""
        dataset = WholeTextDataset(filepath=str(path))
        assert not dataset.exists()
        dataset.save("x")
        assert dataset.exists()

    def test_missing_file_is_an_error(self, path):
        """Only an optional entry may be missing."""
        with pytest.raises(DatasetError):
            WholeTextDataset(filepath=str(path)).load()

    def test_optional_missing_file_is_empty(self, path):
        """An optional entry without a file loads as nothing."""
        assert WholeTextDataset(filepath=str(path), optional=True).load() == ""

    def test_other_encoding_is_told(self, tmp_path):
        """A Latin-1 file is named, with what to do."""
        path = tmp_path / "latin.yaml"
        path.write_bytes("piñata".encode("latin-1"))
        with pytest.raises(DatasetError, match=r"at byte 2. Save it as UTF-8"):
            WholeTextDataset(filepath=str(path)).load()

    def test_failed_save_keeps_the_previous_one_too(self, path, monkeypatch):
        """Keeping the previous file is no way to lose it."""
        dataset = WholeTextDataset(filepath=str(path), keep_previous=True)
        dataset.save("first")
        dataset.save("second")
        full_disk(monkeypatch)
        with pytest.raises(DatasetError):
            dataset.save("third")
        assert dataset.load() == "second"
        assert kept_beside(path) == ["first"]

    def test_previous_file_in_another_encoding_is_kept_as_it_is(self, tmp_path):
        """Somebody's Latin-1 file is no reason to fail, and its bytes are kept."""
        path = tmp_path / "text.yaml"
        path.write_bytes("piñata".encode("latin-1"))
        WholeTextDataset(filepath=str(path), keep_previous=True).save("new")
        (kept,) = tmp_path.glob("text.*Z.yaml")
        assert kept.read_bytes() == "piñata".encode("latin-1")
        assert path.read_text() == "new"

    def test_previous_text_is_kept_when_asked(self, path):
        """Every text that ever stood there is beside it, the oldest first."""
        dataset = WholeTextDataset(filepath=str(path), keep_previous=True)
        for text in ("first", "second", "second", "third"):
            dataset.save(text)
        assert dataset.load() == "third"
        assert kept_beside(path) == ["first", "second"]

    def test_previous_text_is_not_kept_otherwise(self, path):
        """By default there is one file."""
        dataset = WholeTextDataset(filepath=str(path))
        dataset.save("first")
        dataset.save("second")
        assert list(path.parent.iterdir()) == [path]

    def test_description_tells_the_path(self, path):
        """Kedro's messages name the file."""
        assert str(path) in str(WholeTextDataset(filepath=str(path)))


class TestWholeHTMLDataset:
    """A page."""

    def test_preview_is_the_page(self, tmp_path):
        """kedro-viz shows the page itself."""
        dataset = WholeHTMLDataset(filepath=str(tmp_path / "page.html"))
        dataset.save("<p>hello</p>")
        assert dataset.preview() == "<p>hello</p>"


class TestWholeJSONDataset:
    """A JSON document."""

    @pytest.fixture
    def path(self, tmp_path):
        """In a folder that does not exist yet."""
        return tmp_path / "deep" / "data.json"

    @pytest.mark.parametrize("data", [[], {"a": [1, 2.5, "ñ", None, True]}])
    def test_document_comes_back(self, path, data):
        """What is saved is what is loaded."""
        dataset = WholeJSONDataset(filepath=str(path))
        dataset.save(data)
        assert dataset.load() == data

    @pytest.mark.parametrize("data", [float("nan"), {"a": {1, 2}}, object()])
    def test_what_json_lacks_is_refused_and_the_old_file_stays(self, path, data):
        """NaN and sets are no JSON; nothing is written for them."""
        dataset = WholeJSONDataset(filepath=str(path))
        dataset.save("old")
        with pytest.raises(DatasetError):
            dataset.save(data)
        assert dataset.load() == "old"

    def test_optional_missing_document_is_none(self, path):
        """An optional entry without a file loads as None."""
        dataset = WholeJSONDataset(filepath=str(path), optional=True)
        assert not dataset.exists()
        assert dataset.load() is None

    def test_preview_is_valid_json(self, path):
        """kedro-viz parses it."""
        dataset = WholeJSONDataset(filepath=str(path))
        dataset.save({"a": 1})
        assert json.loads(dataset.preview()) == {"a": 1}

    def test_description_tells_path_and_option(self, path):
        """Kedro's messages name the file."""
        told = str(WholeJSONDataset(filepath=str(path), optional=True))
        assert str(path) in told
        assert "optional" in told


def test_records_are_flattened_into_columns(tmp_path):
    """Nested fields become dotted columns; what a record lacks is empty."""
    dataset = RecordsDataset(filepath=str(tmp_path / "records.json"))
    dataset.save([{"input": {"concept": "a"}, "n": 1}, {"input": {"concept": "b"}}])
    shown = dataset.preview()
    assert shown["columns"] == ["input.concept", "n"]
    assert shown["data"] == [["a", "1"], ["b", ""]]


def test_table_is_short(tmp_path):
    """A preview holds the first records only, and long texts cut."""
    dataset = RecordsDataset(filepath=str(tmp_path / "records.json"))
    dataset.save([{"text": "x" * 1000}] * 50)
    shown = dataset.preview()
    assert len(shown["data"]) == len(shown["index"]) == 20
    assert len(shown["data"][0][0]) == 300
