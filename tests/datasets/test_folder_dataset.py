"""A folder as a catalog entry."""

import pytest
from kedro.io import DatasetError

from po_optimizer.datasets import FolderDataset


class TestFolderDataset:
    """What a node writes while it runs lies in a folder that the catalog names."""

    def test_folder_is_made_when_loaded(self, tmp_path):
        """The node can write at once."""
        dataset = FolderDataset(filepath=str(tmp_path / "a" / "b"))
        assert not dataset.exists()
        assert dataset.load().is_dir()
        assert dataset.exists()

    def test_saving_is_refused(self, tmp_path):
        """A folder is no node's output."""
        with pytest.raises(DatasetError, match="read-only"):
            FolderDataset(filepath=str(tmp_path)).save("x")

    def test_description_tells_the_path(self, tmp_path):
        """Kedro's messages name the folder."""
        assert str(tmp_path) in str(FolderDataset(filepath=str(tmp_path)))
