from po_optimizer.datasets import RecordLinesDataset, RecordsDataset


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


def test_unreadable_line_is_shown_as_text(tmp_path):
    """A line that is no JSON stands in a column of its own."""
    path = tmp_path / "records.jsonl"
    path.write_text('{"a": 1}\n\nnot json\n[2]\n')
    shown = RecordLinesDataset(filepath=str(path)).preview()
    assert shown["columns"] == ["a", "unreadable", "record"]
    assert shown["data"][1] == ["", "not json", ""]


def test_lines_load_as_the_text_they_are(tmp_path):
    """The node that checks the records reads the file's own lines."""
    path = tmp_path / "records.jsonl"
    path.write_text('{"a": 1}\n')
    assert RecordLinesDataset(filepath=str(path)).load() == '{"a": 1}\n'
