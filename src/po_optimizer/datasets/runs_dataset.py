"""What finished runs have left, of every LM, as one catalog entry."""

import json
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from po_optimizer.lms import Ledger

_APART = "from-"
_STAGES = ("optimize", "evaluate baseline", "evaluate optimized")


class RunsDataset(AbstractDataset[None, list[dict[str, Any]]]):
    """Loads the newest results of every LM: score report, decision, search, calls.

    A run is a mapping with `lm` and `program_of` (folders; None: its own program),
    `score_report`, `promotion`, `optimization_report`, `splits` (name to number of
    examples) and `calls` (stage to ledger totals). What is missing is None.

    Args:
        reporting: Folder with a folder for each LM.
        models: Likewise, with programs and optimization reports.
        output: Likewise, with ledgers.
        metadata: Free, for plugins.
    """

    def __init__(
        self,
        *,
        reporting: str,
        models: str,
        output: str,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.metadata = metadata
        self._reporting = Path(reporting)
        self._models = Path(models)
        self._output = Path(output)

    def load(self) -> list[dict[str, Any]]:
        """The runs, by LM and program; none: an empty list."""
        found = [
            *self._reporting.glob("*/score_report.json"),
            *self._reporting.glob(f"*/{_APART}*/score_report.json"),
        ]
        return [
            self._run(path.parent)
            for path in sorted(found, key=lambda path: path.parent)
        ]

    def save(self, data: None) -> None:
        """The runs' own stages write what is read here."""
        msg = "RunsDataset is read-only: it shows what kedro run has left"
        raise DatasetError(msg)

    def _run(self, folder: Path) -> dict[str, Any]:
        place = folder.relative_to(self._reporting).parts
        own = len(place) == 1
        program_of = None if own else place[1].removeprefix(_APART)
        search = _read(self._models / place[0] / "optimization_report.json")
        provenance = self._provenance(place[0])
        return {
            "lm": place[0],
            "program_of": program_of,
            "score_report": _read(folder / "score_report.json"),
            "promotion": _read(folder / "promotion.json"),
            "optimization_report": search if own else None,
            "splits": provenance.get("splits") if own else None,
            "calls": self._calls(place[0], provenance.get("task_lm")),
        }

    def _provenance(self, lm: str) -> dict[str, Any]:
        versions = sorted((self._models / lm).glob("program.json/*/program.json"))
        document = _read(versions[-1]) if versions else None
        return (document or {}).get("provenance") or {}

    def _calls(self, lm: str, slug: str | None) -> dict[str, Any]:
        """Ledger totals; an environment's folder may be named after its LM and more."""
        paths = [self._output / name / "ledger.sqlite" for name in (lm, slug) if name]
        for path in paths:
            if path.is_file():
                ledger = Ledger(path)
                return {
                    stage: ledger.totals(stage=stage).model_dump() for stage in _STAGES
                }
        return {}

    def _exists(self) -> bool:
        return any(self._reporting.glob("*/score_report.json"))

    def _describe(self) -> dict[str, Any]:
        return {"reporting": str(self._reporting), "models": str(self._models)}


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
