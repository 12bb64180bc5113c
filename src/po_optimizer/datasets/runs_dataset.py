"""What finished runs have left, of every LM and every sweep, as one catalog entry."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from po_optimizer.datasets.file_dataset import local_path
from po_optimizer.datasets.whole_file import WholeJSONDataset
from po_optimizer.evaluation.ranking import FinishedRun
from po_optimizer.files import Folder
from po_optimizer.lms.ledger import Ledger
from po_optimizer.lms.usage import Usage

_FILES = (".json", ".jsonl", ".html", ".csv", ".log")  # that lie beside folders
_NO_RUNS = ("figures", "judged_programs", "runs")  # "runs": those that were kept
_PROGRAM_OF = "from-"
_SWEEP = "sweep"
_TOP = PurePosixPath()
_SCORES = "score_report.json"
_STAGES = ("optimize", "evaluate baseline", "evaluate optimized")


class RunsDataset(AbstractDataset[None, list[FinishedRun]]):
    """Loads the newest results of every run: scores, decision, search, calls.

    A run is a folder with a score report. `<lm>/sweep/<name>` is a configuration of a
    sweep, `<lm>/from-<folder>` another LM's program on this one.

    Args:
        reporting: `{"filepath": ...}`, so that Kedro takes it as of the project: a
            folder with the runs' folders, on any file system that fsspec knows.
        models: Likewise, with programs and optimization reports.
        output: Likewise, with predictions and ledgers; on the local disk.
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
        self._reporting, self._models = (
            WholeJSONDataset(filepath=place["filepath"], credentials=credentials)
            for place in (reporting, models)
        )
        self._output = local_path(output["filepath"], "output")

    def load(self) -> list[FinishedRun]:
        """The runs, by folder; none: an empty list.

        Raises:
            DatasetError: What one has left cannot be read.
        """
        return [self._readable(path) for path in _runs(self._reporting.folder())]

    def save(self, data: None) -> None:
        """The runs' own stages write what is read here."""
        msg = "RunsDataset is read-only: it shows what kedro run has left"
        raise DatasetError(msg)

    def _readable(self, path: PurePosixPath) -> FinishedRun:
        try:
            return self._run(path)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            problem = " ".join(str(error).split())
            msg = f"what the run {path} left cannot be read ({problem}). Evaluate it "
            raise DatasetError(f"{msg}again, or move its folder away.") from error

    def _run(self, path: PurePosixPath) -> FinishedRun:
        folder = _at(self._reporting.folder(), path)
        models = _at(self._models.folder(), path)
        lm, program_of = path, None
        if path.name.startswith(_PROGRAM_OF):
            lm, program_of = path.parent, path.name.removeprefix(_PROGRAM_OF)
        elif path.parent.name == _SWEEP:
            lm = path.parent.parent
        search = _read(models, "optimization_report.json")
        promotion = _read(folder, "promotion.json") or {}
        scores, groups = self._predictions(path)
        return FinishedRun(
            name=str(path),
            lm=lm.name,
            program_of=program_of,
            report=_read(folder, _SCORES),
            scores=scores,
            groups=groups,
            decision=promotion.get("decision"),
            search=search,
            usage=self._usage(lm, search),
        )

    def _predictions(self, path: PurePosixPath) -> tuple[list[float], list[Any]]:
        """Score and group of each answer; a long testset is not held whole."""
        file = self._output / path / "optimized_predictions.jsonl"
        if not file.is_file():
            return [], []
        with file.open(encoding="utf-8") as lines:
            pairs = [(r["score"], r.get("group")) for r in map(json.loads, lines)]
        return [score for score, _ in pairs], [group for _, group in pairs]

    def _usage(
        self, lm: PurePosixPath, search: dict[str, Any] | None
    ) -> dict[str, Usage]:
        """By stage; an environment's folder may be named after its LM and more."""
        slug = (search or {}).get("fingerprint", {}).get("task_lm.slug")
        folders = [lm, lm.parent / slug] if slug else [lm]
        for folder in folders:
            path = self._output / folder / "ledger.sqlite"
            if path.is_file():
                ledger = Ledger(path)
                return {stage: ledger.totals(stage=stage) for stage in _STAGES}
        return {}

    def _exists(self) -> bool:
        return next(_runs(self._reporting.folder()), None) is not None

    def _describe(self) -> dict[str, Any]:
        return {
            "reporting": self._reporting._describe()["filepath"],
            "models": self._models._describe()["filepath"],
        }


def _runs(folder: Folder, path: PurePosixPath = _TOP) -> Iterator[PurePosixPath]:
    """The folders with a score report, at any depth."""
    names: list[str] = []
    with suppress(NotADirectoryError):
        names = folder.names()
    if _SCORES in names:
        yield path
    for name in names:
        if PurePosixPath(name).suffix not in _FILES and name not in _NO_RUNS:
            yield from _runs(folder.child(name), path / name)


def _at(folder: Folder, path: PurePosixPath) -> Folder:
    for name in path.parts:
        folder = folder.child(name)
    return folder


def _read(folder: Folder, name: str) -> Any:
    data = folder.read(name)
    return None if data is None else json.loads(data)
