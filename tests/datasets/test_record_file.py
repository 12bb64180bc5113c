"""Raw records: any usual file, a folder of Arrow, or a function."""

import json

import pyarrow as pa
import pytest
from kedro.io import DatasetError

from po_optimizer.datasets import RecordFileDataset

RECORDS = [{"question": "one"}, {"question": "two"}]


def load(path):
    """The records that an entry with this path gives."""
    return [row.value for row in RecordFileDataset(filepath=str(path)).load().rows]


def give_records():
    """A function that a role may name."""
    return RECORDS


def saved_to_disk(folder):
    """As Hugging Face's `Dataset.save_to_disk` leaves it: two Arrow streams."""
    folder.mkdir()
    names = ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"]
    for name, record in zip(names, RECORDS, strict=True):
        table = pa.Table.from_pylist([record])
        with (
            pa.OSFile(str(folder / name), "wb") as file,
            pa.ipc.new_stream(file, table.schema) as writer,
        ):
            writer.write_table(table)
    state = {"_data_files": [{"filename": name} for name in names]}
    (folder / "state.json").write_text(json.dumps(state))
    return folder


def test_file_folder_and_function_give_the_same(tmp_path):
    """Kedro puts the project's folder before a function's path, too."""
    (tmp_path / "records.csv").write_text("question\none\ntwo\n")
    function = f"{__name__}:give_records"
    for path in (
        tmp_path / "records.csv",
        saved_to_disk(tmp_path / "dataset"),
        function,
        tmp_path / function,
    ):
        assert load(path) == RECORDS


def test_entry_without_a_path_gives_nothing():
    """A split that no file is named for is drawn."""
    dataset = RecordFileDataset(filepath=None)
    assert dataset.load() is None
    assert not dataset.exists()


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.parquet", b"no", "cannot be read as its ending says"),
        ("a.jsonl", b"\xff\xfe", "cannot be read as its ending says"),
        ("folder/x", b"", "a folder, and none that a Dataset's"),
        ("folder/dataset_dict.json", b'{"splits": ["train"]}', "Name one .*/train"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, name, content, problem):
    """In one sentence, with what to do."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=problem):
        load(tmp_path / name.partition("/")[0])


def test_missing_file_is_told_with_its_path(tmp_path):
    """Kedro's error has it as cause."""
    with pytest.raises(DatasetError, match=r"nosuch\.jsonl"):
        load(tmp_path / "nosuch.jsonl")


def test_entry_is_read_only(tmp_path):
    """Nothing of ours replaces what somebody collected."""
    with pytest.raises(DatasetError, match="read-only"):
        RecordFileDataset(filepath=str(tmp_path / "a.jsonl")).save([])


def test_preview_is_a_table_with_what_is_unreadable(tmp_path):
    """A line that is no JSON has its reason in a column of its own."""
    path = tmp_path / "records.jsonl"
    path.write_text('{"a": 1}\n\nnot json\n[2]\n')
    shown = RecordFileDataset(filepath=str(path)).preview()
    assert shown["columns"] == ["a", "unreadable", "record"]
    assert "not JSON" in shown["data"][1][1]
    assert RecordFileDataset(filepath=None).preview()["data"] == []
