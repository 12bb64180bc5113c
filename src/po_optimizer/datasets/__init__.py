"""Kedro datasets: DSPy programs, LMs, and files that are replaced whole."""

from po_optimizer.datasets.champion_dataset import ChampionDataset
from po_optimizer.datasets.dspy_program_dataset import DSPyProgramDataset
from po_optimizer.datasets.folder_dataset import FolderDataset, RunFolderDataset
from po_optimizer.datasets.lm_dataset import LMDataset
from po_optimizer.datasets.record_file import RecordFileDataset
from po_optimizer.datasets.record_stream import RecordStreamDataset
from po_optimizer.datasets.runs_dataset import RunsDataset
from po_optimizer.datasets.whole_file import (
    RecordsDataset,
    WholeFigureDataset,
    WholeHTMLDataset,
    WholeJSONDataset,
    WholeTextDataset,
)

RecordLinesDataset = RecordFileDataset  # the name in catalogs of earlier versions

__all__ = [
    "ChampionDataset",
    "DSPyProgramDataset",
    "FolderDataset",
    "LMDataset",
    "RecordFileDataset",
    "RecordLinesDataset",
    "RecordStreamDataset",
    "RecordsDataset",
    "RunFolderDataset",
    "RunsDataset",
    "WholeFigureDataset",
    "WholeHTMLDataset",
    "WholeJSONDataset",
    "WholeTextDataset",
]
