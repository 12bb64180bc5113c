"""LMDataset: the LM that the parameters choose, in folders of its own."""

import pytest
from kedro.io import DatasetError

from po_optimizer.datasets import LMDataset


@pytest.fixture
def dataset(tmp_path):
    """An entry of the catalog, not bound yet."""
    return LMDataset(role="task", folder=str(tmp_path), credentials={"api_key": "sk-1"})


def test_unbound_entry_says_how_to_load_it(dataset):
    """Parameters come through the project's session only."""
    assert not dataset.exists()
    with pytest.raises(DatasetError, match="session"):
        dataset.load()


def test_bound_entry_loads_an_lm_in_the_folder_of_its_slug(dataset, tmp_path):
    """The key is in memory, and not in the description."""
    dataset.bind({"lm": {"provider": "openai", "model": "m"}}, "run")
    lm = dataset.load()
    assert lm.meter.ledger.path == tmp_path / "openai-m" / "ledger.sqlite"
    assert lm.meter.secret == "sk-1"
    assert dataset.exists()
    assert "sk-1" not in str(dataset)


def test_lm_cannot_be_saved(dataset):
    """It is configuration."""
    with pytest.raises(DatasetError, match="read-only"):
        dataset.save(object())
