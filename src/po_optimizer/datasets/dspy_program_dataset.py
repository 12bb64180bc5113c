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
from typing import Any, Literal

import dspy
from kedro.io.core import DatasetError, Version
from kedro_datasets._typing import HTMLPreview

from po_optimizer.datasets.file_dataset import (
    NOTHING_STORED,
    FileDataset,
    check_flag,
)
from po_optimizer.datasets.html_preview import html_preview
from po_optimizer.errors import ArtifactError, SettingError
from po_optimizer.files import Folder
from po_optimizer.persistence.allowlist import DEFAULT_ALLOWED
from po_optimizer.persistence.components import inspect_program
from po_optimizer.persistence.programs import predictors
from po_optimizer.persistence.store import (
    DillMode,
    Saving,
    VerifyMode,
    check_modes,
    is_stored,
    load_from,
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
        allowed_packages: Packages a document may cause to be imported, besides
            dspy, pydantic and this one: the package of the program.
        optional: Load None when nothing is stored yet, instead of an error: for a
            pipeline that has a baseline to fall back to.
        skip_unchanged: Make no new version of the program that the newest one is, so
            that a stage that is run again releases once.
        version: Kedro's versioning; old versions are kept.
        credentials: For the file system; never shown.
        fs_args: Arguments of the file system's constructor.
        metadata: Ignored here; for plugins.
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
        self._dill, self._verify = _modes(dill, verify)
        self._allowed = _checked_packages(allowed_packages)
        self._optional = check_flag("optional", optional)
        self._skip_unchanged = check_flag("skip_unchanged", skip_unchanged)
        super().__init__(
            filepath=filepath,
            version=version,
            credentials=credentials,
            fs_args=fs_args,
            metadata=metadata,
        )

    def allow(self, package: str) -> None:
        """Lets documents import from one more top-level package."""
        if package not in self._allowed:
            self._allowed.append(package)

    def save(self, data: dspy.Module) -> None:
        """Publish the program, whole or not at all.

        Raises:
            DatasetError: It could not be stored; what was there before still is.
        """
        if not isinstance(data, dspy.Module):
            is_class = isinstance(data, type)
            given = f"the class {data.__name__}" if is_class else repr(data)[:80]
            msg = f"{self._shown(self._filepath)} stores programs (instances of "
            raise DatasetError(f"{msg}dspy.Module); it was given {given}.")
        path = self._get_save_path()
        try:
            Saving(self._folder(path.parent), path.name, self._dill, self._verify).save(
                data
            )
        except ArtifactError as error:
            raise DatasetError(str(error)) from error
        self._tidy_versions(path)

    @classmethod
    def _save_wrapper(cls, save_func: Any) -> Any:
        """Around Kedro's, which would warn of a version that was not made."""
        wrapped = super()._save_wrapper(save_func)

        @functools.wraps(wrapped)
        def save(self: "DSPyProgramDataset", data: dspy.Module) -> None:
            if not (self._skip_unchanged and self._is_newest(data)):
                wrapped(self, data)

        return save

    def _is_newest(self, program: Any) -> bool:
        """True if the newest version is this program, come about in the same way."""
        newest = next(self._versions(), None) if self._version else None
        if newest is None:
            return False
        path = self._get_versioned_path(newest)
        folder = self._folder(path.parent)
        if not is_stored(folder, path.name, program):
            return False
        logger.info("%s is this program already", folder.shown(path.name))
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
        allowed = (*DEFAULT_ALLOWED, *self._allowed)
        try:
            return load_from(folder, path.name, self._dill, allowed)
        except ArtifactError as error:
            raise DatasetError(str(error)) from error

    def preview(self) -> HTMLPreview:
        """The program's instructions, fields and demos, readable in kedro-viz."""
        with self._looking():
            data = self._read()
        if data is None:
            return html_preview(NOTHING_STORED)
        program = inspect_program(data, self._shown(self._filepath))
        parts = [_section(where, p) for where, p in predictors(program).items()]
        return html_preview("".join(parts))

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


def _modes(dill: Any, verify: Any) -> tuple[DillMode, VerifyMode]:
    """Modes that exist; YAML reads a bare `off` as false."""
    dill, verify = ("off" if mode is False else mode for mode in (dill, verify))
    check_modes(dill, verify)
    return dill, verify


def _checked_packages(value: Any) -> list[str]:
    names = [] if value is None else value
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return list(names)
    remedy = f"Write [{value}]." if isinstance(value, str) else "Correct it."
    raise SettingError("allowed_packages", value, "it is a list of names", remedy)


def _section(where: str, predictor: dspy.Predict) -> str:
    signature = predictor.signature
    rows = "".join(
        f"<tr><td>{kind}</td><td>{_text(name)}</td>"
        f"<td>{_text(field.json_schema_extra.get('desc', ''))}</td></tr>"
        for kind, fields in (
            ("input", signature.input_fields),
            ("output", signature.output_fields),
        )
        for name, field in fields.items()
    )
    demos = "".join(
        f"<details><summary>demo {number}</summary>{_demo(demo)}</details>"
        for number, demo in enumerate(predictor.demos, start=1)
    )
    return (
        f"<h3>{_text(where)}</h3><pre>{_text(signature.instructions)}</pre>"
        f"<table>{rows}</table><p>{len(predictor.demos)} demos</p>{demos}"
    )


def _demo(demo: Any) -> str:
    return "".join(
        f"<p><b>{_text(name)}</b></p><pre>{_text(value)}</pre>"
        for name, value in demo.items()
    )


def _text(value: Any) -> str:
    """Escaped, because a prompt may contain HTML, and cut."""
    text = str(value)
    cut = "" if len(text) <= _PREVIEW_CHARS else " ..."
    return html.escape(text[:_PREVIEW_CHARS]) + cut
