"""A Kedro dataset for any DSPy program, stored without loss.

A catalog entry of somebody else's project:

    my_program:
      type: po_optimizer.datasets.dspy_program_dataset.DSPyProgramDataset
      filepath: data/06_models/program.json
      versioned: true
      allowed_packages: [my_package]
"""

import functools
import html
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any, Literal

import dspy
from kedro.io.core import DatasetError, Version
from kedro_datasets._typing import HTMLPreview

from po_optimizer.datasets.file_dataset import (
    NOTHING_STORED,
    FileDataset,
    check_flag,
)
from po_optimizer.datasets.previews import html_preview
from po_optimizer.errors import ArtifactError, OtherProgramError, SettingError
from po_optimizer.files import Folder
from po_optimizer.persistence.codec.imports import DEFAULT_ALLOWED
from po_optimizer.persistence.codec.modules import RebuiltProgram
from po_optimizer.persistence.components import describe_missing, missing_parts
from po_optimizer.persistence.format import parse
from po_optimizer.persistence.outline import PredictorOutline, outline_program
from po_optimizer.persistence.store import (
    DillMode,
    VerifyMode,
    check_modes,
    is_stored,
    load_from,
    save_to,
    tidy,
)

logger = logging.getLogger(__name__)

_PREVIEW_CHARS = 20_000  # of one text: kedro-viz loads previews with the page


class DSPyProgramDataset(FileDataset[dspy.Module, dspy.Module | None]):
    """Stores a `dspy.Module` as one JSON document, with a dill snapshot if wanted.

    Args:
        filepath: The document, on any file system that fsspec knows.
        dill: "write" adds a snapshot beside the document; "load" adds it and
            prefers it when loading, which runs the code in it; "off" does neither.
        verify: Where a save is read back before it is published: in a fresh
            "process" (about 1.5 s), "inline", or not at all ("off").
        allowed_packages: Packages whose classes a document may cause to be imported,
            never a function: the package of the program; and exact names,
            `my_package.rag:RAG`, whose constructor may be called with the recorded
            arguments, for the code that no document holds.
        optional: Load None when nothing is stored yet, instead of an error: for a
            pipeline that has a baseline to fall back to.
        skip_unchanged: Make no new version of the program that the newest one is, so
            that a stage that is run again releases once.
        version: Kedro's versioning; old versions are kept.
        credentials: For the file system; never shown.
        fs_args: Arguments of the file system's constructor.
        metadata: Free, for plugins.
    """

    _what = "program"

    def __init__(
        self,
        *,
        filepath: str | os.PathLike[str],
        dill: DillMode | Literal[False] = "write",
        verify: VerifyMode | Literal[False] = "process",
        allowed_packages: list[str] | None = None,
        optional: bool = False,
        skip_unchanged: bool = False,
        version: Version | None = None,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        # YAML reads a bare `off` as false
        modes: Any = ("off" if mode is False else mode for mode in (dill, verify))
        self._dill, self._verify = modes
        check_modes(self._dill, self._verify)
        self._allowed = _checked_packages(allowed_packages)
        self._optional = check_flag("optional", optional)
        self._skip_unchanged = check_flag("skip_unchanged", skip_unchanged)
        self._make_donor: Callable[[], dspy.Module] | None = None
        self._arguments: dict[str, Any] | None = None
        super().__init__(
            filepath=filepath,
            version=version,
            credentials=credentials,
            fs_args=fs_args,
            metadata=metadata,
        )

    def use_donor(
        self, make: Callable[[], dspy.Module], arguments: Mapping[str, Any]
    ) -> None:
        """Loads and checks every program with a new one of the role.

        It gives what no document holds: functions, tools, clients, LMs. A program
        that lacks a part even so is neither stored nor loaded.

        Args:
            make: Makes a new program.
            arguments: What its constructor is called with.
        """
        self._make_donor = make
        self._arguments = dict(arguments)

    def save(self, data: dspy.Module) -> None:
        """Publish the program, whole or not at all.

        Raises:
            DatasetError: It could not be stored; what was there before still is.
        """
        if not isinstance(data, dspy.Module):
            is_class = isinstance(data, type)
            given = f"the class {data.__name__}" if is_class else repr(data)[:80]
            msg = f"{self._address(self._filepath)} stores programs (instances of "
            raise DatasetError(f"{msg}dspy.Module); it was given {given}.")
        path = self._get_save_path()
        self._check_time()
        try:
            save_to(
                self._folder(path.parent),
                path.name,
                data,
                self._dill,
                self._verify,
                arguments=self._arguments,
                donor=self._make_donor() if self._make_donor else None,
            )
        except ArtifactError as error:
            raise DatasetError(str(error)) from error
        self._tidy_versions(path)

    @classmethod
    def _save_wrapper(cls, save_func: Any) -> Any:
        """Kedro's wrapper would warn of a version that is not made."""
        wrapped = super()._save_wrapper(save_func)

        @functools.wraps(wrapped)
        def save(self: "DSPyProgramDataset", data: dspy.Module) -> None:
            if not (self._skip_unchanged and self._is_newest(data)):
                wrapped(self, data)

        return save

    def _check_time(self) -> None:
        """Refuses a version that would not be the newest: another one would be read.

        Raises:
            DatasetError: The newest is of a later time than this run.
        """
        if self._version is None or self._version.load is not None:
            return
        newest, own = next(self._versions(), ""), self.resolve_save_version() or ""
        if newest > own:
            raise DatasetError(
                f"{self._address(self._filepath)} has the version {newest}, which is "
                f"later than this run ({own}) and would be taken for its program. If "
                "another run made it meanwhile, the same command resumes; if the clock "
                "was wrong, move the folder of that version away first."
            )

    def _is_newest(self, program: Any) -> bool:
        """True if the newest version is this program with this provenance."""
        newest = next(self._versions(), None) if self._version else None
        if newest is None:
            return False
        path = self._get_versioned_path(newest)
        folder = self._folder(path.parent)
        if not is_stored(folder, path.name, program, self._arguments):
            return False
        logger.info("%s is this program already", folder.address(path.name))
        self._clear_version_cache()
        self._tidy_versions(path)
        return True

    def load(self) -> dspy.Module | None:
        """The stored program; None if it is optional and there is none.

        Raises:
            DatasetError: It is missing, altered, unsafe or from a later version.
        """
        named = self._version is not None and self._version.load is not None
        if self._optional and not named and not self._exists():
            return None
        path = self._get_load_path()
        folder = self._folder(path.parent)
        if not self._path_exists(str(path)):
            raise self._missing(path)
        donor = self._make_donor() if self._make_donor else None
        try:
            loaded = self._loaded(folder, path.name, donor)
        except ArtifactError as error:
            raise DatasetError(str(error)) from error
        missing = missing_parts(loaded) if donor is not None else []
        if missing:
            msg = f"{folder.address(path.name)} holds what the role's own program does "
            raise DatasetError(f"{msg}not give: {describe_missing(missing)}")
        return loaded

    def _loaded(
        self, folder: Folder, name: str, donor: dspy.Module | None
    ) -> dspy.Module:
        """The program; of another class than the role's if both are of one package.

        A role may have a program for small LMs and one for large ones.
        """
        allowed = (*DEFAULT_ALLOWED, *self._allowed)
        load = functools.partial(
            load_from, folder, name, self._dill, allowed, arguments=self._arguments
        )
        try:
            return load(program=donor)
        except OtherProgramError:
            other = load(program=None)
            if isinstance(other, RebuiltProgram) or _package(other) != _package(donor):
                raise
            return other

    def preview(self) -> HTMLPreview:
        """The program's instructions, fields and demos, readable in kedro-viz."""
        with self._looking():
            data = self._read()
        if data is None:
            return html_preview(NOTHING_STORED)
        outlines = outline_program(parse(data, self._address(self._filepath)))
        return html_preview("".join(map(_section, outlines)))

    def _tidy(self, folder: Folder) -> None:
        tidy(folder, self._filepath.name)

    def _describe(self) -> dict[str, Any]:
        return {
            **super()._describe(),
            "dill": self._dill,
            "verify": self._verify,
            "allowed_packages": self._allowed,
            "optional": self._optional,
            "skip_unchanged": self._skip_unchanged,
        }


def _checked_packages(value: Any) -> list[str]:
    names = [] if value is None else value
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return list(names)
    remedy = f"Write [{value}]." if isinstance(value, str) else "Correct it."
    raise SettingError("allowed_packages", value, "it is a list of names", remedy)


def _section(predictor: PredictorOutline) -> str:
    rows = "".join(
        f"<tr><td>{kind}</td><td>{_text(name)}</td><td>{_text(description)}</td></tr>"
        for kind, fields in (("input", predictor.inputs), ("output", predictor.outputs))
        for name, description in fields.items()
    )
    demos = ""
    for number, demo in enumerate(predictor.demos, start=1):
        parts = (
            f"<p><b>{_text(n)}</b></p><pre>{_text(v)}</pre>" for n, v in demo.items()
        )
        summary = f"<summary>demo {number}</summary>"
        demos += f"<details>{summary}{''.join(parts)}</details>"
    return (
        f"<h3>{_text(predictor.path)}</h3><pre>{_text(predictor.instructions)}</pre>"
        f"<table>{rows}</table><p>{len(predictor.demos)} demos</p>{demos}"
    )


def _text(value: Any) -> str:
    """Escaped, because a prompt may contain HTML, and cut."""
    text = str(value)
    cut = "" if len(text) <= _PREVIEW_CHARS else " ..."
    return html.escape(text[:_PREVIEW_CHARS]) + cut


def _package(program: Any) -> str:
    return type(program).__module__.partition(".")[0]
