"""What finished runs have left, of every LM, as one catalog entry."""

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from po_optimizer.datasets.file_dataset import local_path
from po_optimizer.datasets.whole_file import WholeJSONDataset
from po_optimizer.files import Folder
from po_optimizer.lms import Ledger

_FILES = (".json", ".html", ".csv", ".log")  # that lie beside the LMs' folders
_APART = "from-"
_SCORES = "score_report.json"
_PROGRAM = "program.json"
_STAGES = ("optimize", "evaluate baseline", "evaluate optimized")


class RunsDataset(AbstractDataset[None, list[dict[str, Any]]]):
    """Loads the newest results of every LM: score report, decision, search, calls.

    A run is a mapping with `lm` and `program_of` (folders; None: its own program),
    `score_report`, `promotion`, `optimization_report`, `splits` (name to number of
    examples) and `calls` (stage to ledger totals). What is missing is None.

    Args:
        reporting: `{"filepath": ...}`, so that Kedro takes it as of the project: a
            folder with a folder for each LM, on any file system that fsspec knows.
        models: Likewise, with programs and optimization reports.
        output: Likewise, with ledgers; on the local disk.
        credentials: For the file systems; never shown.
        metadata: Free, for plugins.
    """

    def __init__(
        self,
        *,
        reporting: dict[str, str],
        models: dict[str, str],
        output: dict[str, str],
        credentials: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.metadata = metadata
        self._reporting = WholeJSONDataset(
            filepath=reporting["filepath"], credentials=credentials
        )
        self._models = WholeJSONDataset(
            filepath=models["filepath"], credentials=credentials
        )
        self._output = local_path(output["filepath"], "output")

    def load(self) -> list[dict[str, Any]]:
        """The runs, by LM and program; none: an empty list."""
        return [self._run(*place) for place in self._places()]

    def _places(self) -> Iterator[tuple[str, ...]]:
        """The LM, and for a program of another one the folder in the LM's."""
        reporting = self._reporting.folder()
        for lm in reporting.names():
            if PurePosixPath(lm).suffix in _FILES:
                continue
            folder = reporting.child(lm)
            inner = [name for name in folder.names() if name.startswith(_APART)]
            if folder.exists(_SCORES):
                yield (lm,)
            for name in inner:
                if folder.child(name).exists(_SCORES):
                    yield lm, name

    def save(self, data: None) -> None:
        """The runs' own stages write what is read here."""
        msg = "RunsDataset is read-only: it shows what kedro run has left"
        raise DatasetError(msg)

    def _run(self, lm: str, apart: str = "") -> dict[str, Any]:
        own = not apart
        folder = self._reporting.folder().child(lm)
        if apart:
            folder = folder.child(apart)
        search = _read(self._models.folder().child(lm), "optimization_report.json")
        provenance = self._provenance(lm)
        return {
            "lm": lm,
            "program_of": None if own else apart.removeprefix(_APART),
            "score_report": _read(folder, _SCORES),
            "promotion": _read(folder, "promotion.json"),
            "optimization_report": search if own else None,
            "splits": provenance.get("splits") if own else None,
            "calls": self._calls(lm, provenance.get("task_lm")),
        }

    def _provenance(self, lm: str) -> dict[str, Any]:
        versions = self._models.folder().child(lm).child(_PROGRAM)
        for version in reversed(versions.names()):
            document = _read(versions.child(version), _PROGRAM)
            if document is not None:
                return document.get("provenance") or {}
        return {}

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
        return next(self._places(), None) is not None

    def _describe(self) -> dict[str, Any]:
        return {
            "reporting": self._reporting._describe()["filepath"],
            "models": self._models._describe()["filepath"],
        }


def _read(folder: Folder, name: str) -> Any:
    data = folder.read(name)
    return None if data is None else json.loads(data)
