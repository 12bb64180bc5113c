"""`task_lm` and `prompt_lm` in the catalog."""

import pytest
from kedro.io import DatasetError

from po_optimizer.datasets import LMDataset
from po_optimizer.errors import PoOptimizerError

PARAMETERS = {
    "lm": {"provider": "openai", "model": "m", "temperature": 0.0, "max_tokens": 100},
    "prompt_lm": {"temperature": 0.7},
}
KEY = "sk-canary-0123456789"


class TestLMDataset:
    """LMs from the parameters of the run."""

    def bound(self, tmp_path, role, parameters=PARAMETERS):
        """A dataset that was told the parameters."""
        dataset = LMDataset(
            role=role, filepath=str(tmp_path), credentials={"api_key": KEY}
        )
        dataset.bind(parameters, "run-1")
        return dataset

    def test_task_lm_follows_lm(self, tmp_path):
        """The LM has the parameters' settings and the run's id."""
        lm = self.bound(tmp_path, "task").load()
        assert (lm.model, lm.kwargs["temperature"]) == ("openai/m", 0.0)
        assert lm.kwargs["max_tokens"] == 100
        assert lm.meter.run_id == "run-1"

    def test_prompt_lm_is_lm_with_its_own_keys_over_it(self, tmp_path):
        """Only what `prompt_lm` names differs."""
        lm = self.bound(tmp_path, "prompt").load()
        assert (lm.model, lm.kwargs["temperature"]) == ("openai/m", 0.7)
        assert lm.kwargs["max_tokens"] == 100

    def test_both_write_into_one_ledger_of_the_lm(self, tmp_path):
        """Two roles of one LM share the ledger, in a folder of its slug."""
        task, prompt = (
            self.bound(tmp_path, role).load().meter.ledger.path
            for role in ("task", "prompt")
        )
        assert task == prompt == tmp_path / "openai-m" / "ledger.sqlite"

    def test_unbound_dataset_does_not_load(self, tmp_path):
        """Outside a session there are no parameters: the error says so."""
        dataset = LMDataset(role="task", filepath=str(tmp_path))
        assert not dataset.exists()
        with pytest.raises(DatasetError, match="session"):
            dataset.load()

    @pytest.mark.parametrize(
        ("credentials", "problem"),
        [
            ({"apikey": KEY}, r"credentials\.apikey: .*did you mean api_key"),
            (KEY, "api_"),
        ],
    )
    def test_wrong_credentials_are_refused(self, tmp_path, credentials, problem):
        """A misspelt name is no LM without a key; the error does not hold the key."""
        with pytest.raises(PoOptimizerError, match=problem) as refused:
            LMDataset(role="task", filepath=str(tmp_path), credentials=credentials)
        assert KEY not in str(refused.value)

    def test_key_may_be_of_digits(self, tmp_path):
        """YAML makes a number of it."""
        dataset = LMDataset(
            role="task", filepath=str(tmp_path), credentials={"api_key": 123456}
        )
        dataset.bind(PARAMETERS, "run-1")
        assert dataset.load().provider.api_key == "123456"

    def test_wrong_parameter_is_refused_when_bound(self, tmp_path):
        """A typo is found before any node runs."""
        with pytest.raises(PoOptimizerError, match="temprature"):
            self.bound(tmp_path, "task", {"lm": {"temprature": 0.5}})

    def test_saving_is_refused(self, tmp_path):
        """An LM is configuration."""
        with pytest.raises(DatasetError, match="read-only"):
            self.bound(tmp_path, "task").save("x")

    def test_description_has_no_key(self, tmp_path):
        """Kedro prints it in messages and kedro-viz shows it."""
        dataset = self.bound(tmp_path, "task")
        assert dataset.exists()
        assert "openai/m" in str(dataset)
        assert KEY not in f"{dataset}{dataset!r}{dataset._describe()}"
