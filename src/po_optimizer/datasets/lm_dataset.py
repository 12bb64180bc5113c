"""`task_lm` and `prompt_lm` as catalog entries: a dspy.LM from the parameters."""

from typing import Any

from kedro.io import AbstractDataset, DatasetError

from po_optimizer.datasets.file_dataset import local_path
from po_optimizer.errors import SettingError, listed
from po_optimizer.lms.build import make_lm
from po_optimizer.lms.identity import lm_slug
from po_optimizer.lms.lm import MeteredLM
from po_optimizer.lms.selection import prompt_lm_params, task_lm_params
from po_optimizer.params.base import checked
from po_optimizer.params.lm import LMCredentials, LMParams

_PARAMETERS = {"task": task_lm_params, "prompt": prompt_lm_params}


class LMDataset(AbstractDataset[None, MeteredLM]):
    """Loads the LM that the environment and `--params lm...` choose.

    A catalog entry cannot read parameters; the project's hook hands them over
    with `bind` when the catalog is made.

    Args:
        role: "task" for the LM that runs the program, "prompt" for the one that
            writes instructions: `lm` with `prompt_lm`'s keys over it.
        filepath: A local folder. In a folder of it named by the LM's slug lie ledger
            and response cache: two roles of one LM share them, two LMs never do.
        credentials: `{"api_key": ...}`; kept in memory only.
        metadata: Free, for plugins.
    """

    def __init__(
        self,
        *,
        role: str,
        filepath: str,
        credentials: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.metadata = metadata
        if role not in _PARAMETERS:
            choice = f"it is one of {listed(_PARAMETERS)}"
            raise SettingError("role", role, choice, "Correct the catalog entry.")
        self._role = role
        self._filepath = local_path(filepath)
        given = checked(LMCredentials, credentials or {}, "credentials")
        self._api_key = given.api_key
        self._params: LMParams | None = None
        self._run_id = "unbound"

    def bind(self, parameters: dict[str, Any], run_id: str) -> None:
        """Takes what the parameters say of this LM.

        Args:
            parameters: All parameters of the run; `lm` and `prompt_lm` are read.
            run_id: For the ledger.

        Raises:
            PoOptimizerError: `lm` or `prompt_lm` has a wrong key or value.
            SettingError: No model is named.
        """
        self._params = _PARAMETERS[self._role](parameters)
        self._run_id = run_id

    def load(self) -> MeteredLM:
        """The LM; nothing is asked or started before its first call."""
        if self._params is None:
            msg = "LMDataset has no parameters: load it through the project's session"
            raise DatasetError(msg)
        params = self._params
        folder = self._filepath / lm_slug(params.provider, params.model)
        return make_lm(params, folder, run_id=self._run_id, api_key=self._api_key)

    def save(self, data: None) -> None:
        """An LM is configuration: it cannot be saved."""
        msg = "LMDataset is read-only: the LM is chosen by parameters_lm.yml"
        raise DatasetError(msg)

    def _exists(self) -> bool:
        return self._params is not None

    def _describe(self) -> dict[str, Any]:
        model = self._params and f"{self._params.provider}/{self._params.model}"
        return {"role": self._role, "model": model, "filepath": str(self._filepath)}
