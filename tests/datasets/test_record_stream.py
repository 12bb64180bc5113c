import pytest
from kedro.io import DataCatalog, DatasetError

from po_optimizer.datasets import RecordStreamDataset
from tests.datasets.test_whole_file import full_disk


def counted(n, drawn):
    """Records that note when they are made."""
    for number in range(n):
        drawn.append(number)
        yield {"n": number, "text": f"ñ\u2028{number}"}


class TestRecordStreamDataset:
    """A JSON Lines file."""

    @pytest.fixture
    def path(self, tmp_path):
        """In a folder that does not exist yet."""
        return tmp_path / "deep" / "records.jsonl"

    @pytest.fixture
    def dataset(self, path):
        """Of that file."""
        return RecordStreamDataset(filepath=str(path))

    def test_records_come_back_in_order(self, dataset):
        """What is saved is what is loaded, one line a record, counted too."""
        dataset.save(counted(3, []))
        found = dataset.load()
        assert list(found) == list(counted(3, []))
        assert len(found) == 3

    def test_records_can_be_read_again(self, dataset):
        """Each iteration begins at the first record, and two do not disturb."""
        dataset.save(counted(3, []))
        found = dataset.load()
        pairs = list(zip(found, found, strict=True))
        assert [(one["n"], other["n"]) for one, other in pairs] == [
            (0, 0),
            (1, 1),
            (2, 2),
        ]

    def test_no_record_is_read_before_it_is_asked_for(self, dataset, path):
        """A damaged line matters only to who reads so far."""
        path.parent.mkdir()
        path.write_text('{"n": 0}\nno JSON\n')
        assert next(iter(dataset.load())) == {"n": 0}

    def test_damaged_line_is_named(self, dataset, path):
        """The error says file, line and what to do."""
        path.parent.mkdir()
        path.write_text('{"n": 0}\n{"n": 1')
        with pytest.raises(
            DatasetError, match=r"records.jsonl is damaged: line 2.*again"
        ):
            list(dataset.load())

    def test_missing_file_is_told_at_once(self, dataset):
        """Not when the first record is asked for."""
        assert not dataset.exists()
        with pytest.raises(DatasetError, match="No such file"):
            dataset.load()

    def test_each_record_is_on_the_disk_before_the_next_is_made(self, dataset, path):
        """A stream of days can be watched, and is never held in memory."""
        lines = []

        def watching():
            for number in range(3):
                (part,) = path.parent.glob(".records.jsonl.*.tmp")
                lines.append(part.read_text().count("\n"))
                yield {"n": number}

        dataset.save(watching())
        assert lines == [0, 1, 2]
        assert list(path.parent.iterdir()) == [path]

    def test_stream_that_fails_leaves_the_old_file(self, dataset):
        """Half of a stream never takes the file's place; the cause is kept."""
        dataset.save([{"n": 1}])

        def failing():
            yield {"n": 2}
            raise RuntimeError("the LM is gone")

        with pytest.raises(DatasetError) as caught:
            dataset.save(failing())
        assert isinstance(caught.value.__cause__, RuntimeError)
        assert list(dataset.load()) == [{"n": 1}]

    def test_rest_of_a_killed_run_is_removed(self, dataset, path):
        """The next stream begins anew."""
        path.parent.mkdir()
        rest = path.with_name(".records.jsonl.7-0123abcd.tmp")
        rest.write_text('{"n": 7}\n{"n"')
        dataset.save([{"n": 1}])
        assert path.read_text() == '{"n": 1}\n'
        assert not rest.exists()

    def test_full_disk_closes_the_stream(self, dataset, monkeypatch):
        """The old records stay, and what makes new ones is told to end."""
        dataset.save([{"n": 1}])
        closed = []

        def endless():
            try:
                yield {"n": 2}
            finally:
                closed.append(True)

        full_disk(monkeypatch)
        with pytest.raises(DatasetError, match=r"No space left.*stood there is"):
            dataset.save(endless())
        assert closed == [True]
        assert list(dataset.load()) == [{"n": 1}]

    def test_two_runs_at_once_do_not_mix(self, dataset, path):
        """Each is whole; the one that ends last stays."""
        inner = []

        def overtaken():
            yield {"n": 1}
            RecordStreamDataset(filepath=str(path)).save([{"n": 2}])
            inner.extend(dataset.load())
            yield {"n": 3}

        dataset.save(overtaken())
        assert inner == [{"n": 2}]
        assert list(dataset.load()) == [{"n": 1}, {"n": 3}]

    def test_nan_is_refused(self, dataset):
        """JSON has none."""
        with pytest.raises(DatasetError):
            dataset.save([{"n": float("nan")}])

    def test_preview_reads_the_first_records_only(self, dataset, path):
        """kedro-viz shows a table of 20, whatever follows."""
        dataset.save(counted(50, []))
        with path.open("a") as file:
            file.write("no JSON\n")
        shown = dataset.preview()
        assert shown["columns"] == ["n", "text"]
        assert len(shown["data"]) == 20

    def test_catalog_entry_is_lazy_too(self, dataset, path):
        """Kedro hands the stream on as it is, and tells the path."""
        catalog = DataCatalog({"records": dataset})
        drawn = []
        stream = counted(2, drawn)
        assert drawn == []
        catalog.save("records", stream)
        assert [one["n"] for one in catalog.load("records")] == drawn
        assert str(path) in str(dataset)
