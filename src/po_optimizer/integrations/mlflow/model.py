"""Loads a program that was logged to MLflow: `mlflow.pyfunc.load_model`."""

from collections.abc import Mapping
from typing import Any

import dspy
import pandas as pd

from po_optimizer.errors import PoOptimizerError
from po_optimizer.persistence import load_program_from_components
from po_optimizer.persistence.codec.imports import DEFAULT_ALLOWED
from po_optimizer.records.reading import frame_records


class ProgramModel:
    """A stored program as MLflow calls it; the LM is the one that DSPy has."""

    def __init__(self, program: dspy.Module) -> None:
        self.program = program

    def predict(
        self, data: pd.DataFrame | list[dict[str, Any]], params: Any = None
    ) -> list[dict[str, Any]]:
        """The program's outputs for each row of inputs, in their order.

        Raises:
            PoOptimizerError: DSPy has no LM.
        """
        if dspy.settings.lm is None:
            raise PoOptimizerError(
                "lm=None cannot be used: no LM is stored with a program. Give one: "
                "dspy.configure(lm=dspy.LM(...))."
            )
        rows = frame_records(data)
        return [self.program(**row).toDict() for row in rows]


def _load_pyfunc(
    path: str, model_config: Mapping[str, Any] | None = None
) -> ProgramModel:
    """What MLflow calls with the path of the document.

    A class of a package is imported only if `model_config` allows the package: anybody
    may have logged a model.

    Args:
        path: Of the document.
        model_config: `{"allowed_packages": [...]}`, as in `load_program`.
    """
    allowed = (model_config or {}).get("allowed_packages") or DEFAULT_ALLOWED
    return ProgramModel(load_program_from_components(path, allowed_packages=allowed))
