"""A Kedro dataset for any DSPy program, stored without loss.

A catalog entry of somebody else's project:

    my_program:
      type: po_optimizer.datasets.dspy_program_dataset.DSPyProgramDataset
      filepath: data/06_models/program.json
      versioned: true
      allowed_packages: [my_package]
"""

import html
import os
from copy import deepcopy
from pathlib import Path, PurePosixPath
from typing import Any

import dspy
import fsspec
from kedro.io.core import (
    AbstractVersionedDataset,
    DatasetError,
    Version,
    get_filepath_str,
    get_protocol_and_path,
)
from kedro_datasets._typing import HTMLPreview

from po_optimizer.datasets.html_preview import html_preview
from po_optimizer.errors import ArtifactError
from po_optimizer.files import Folder, LocalFolder, RemoteFolder
from po_optimizer.persistence.allowlist import DEFAULT_ALLOWED
from po_optimizer.persistence.components import inspect_program
from po_optimizer.persistence.programs import predictors
from po_optimizer.persistence.store import (
    DillMode,
    Saving,
    VerifyMode,
    check_modes,
    load_from,
)

_PREVIEW_CHARS = 20_000  # of one text: kedro-viz loads previews with the page


class DSPyProgramDataset(AbstractVersionedDataset[dspy.Module, dspy.Module | None]):
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
        version: Kedro's versioning; old versions are kept.
        credentials: For the file system; never shown.
        fs_args: Arguments of the file system's constructor.
        metadata: Ignored here; for plugins.
    """

    def __init__(
        self,
        *,
        filepath: str | os.PathLike[str],
        dill: DillMode = "write",
        verify: VerifyMode = "process",
        allowed_packages: list[str] | None = None,
        optional: bool = False,
        version: Version | None = None,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        check_modes(dill, verify)
        options = deepcopy(fs_args) or {}
        options.pop("open_args_load", None)
        options.pop("open_args_save", None)
        protocol, path = get_protocol_and_path(filepath, version)
        if protocol == "file":
            options.setdefault("auto_mkdir", True)
        self.metadata = metadata
        self._protocol = protocol
        self._fs = fsspec.filesystem(
            protocol, **(deepcopy(credentials) or {}), **options
        )
        self._dill = dill
        self._verify = verify
        self._allowed = list(allowed_packages or [])
        self._optional = optional
        super().__init__(
            filepath=PurePosixPath(path),
            version=version,
            exists_function=self._fs.exists,
            glob_function=self._fs.glob,
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
        path = self._get_save_path()
        try:
            Saving(self._folder(path), path.name, self._dill, self._verify).save(data)
        except ArtifactError as error:
            raise DatasetError(str(error)) from error
        self._invalidate_cache()

    def load(self) -> dspy.Module | None:
        """The stored program; None if it is optional and there is none.

        Raises:
            DatasetError: It is missing, altered, unsafe or from a later version.
        """
        named = self._version is not None and self._version.load is not None
        if self._optional and not named and not self._exists():
            return None
        path = self._get_load_path()
        if not self._fs.exists(get_filepath_str(path, self._protocol)):
            msg = f"there is no program {self._folder(path).shown(path.name)}. Run the "
            raise DatasetError(f"{msg}stage that makes it, or correct its path.")
        allowed = (*DEFAULT_ALLOWED, *self._allowed)
        try:
            return load_from(self._folder(path), path.name, self._dill, allowed)
        except ArtifactError as error:
            raise DatasetError(str(error)) from error

    def preview(self) -> HTMLPreview:
        """The program's instructions, fields and demos, readable in kedro-viz."""
        path = self._get_load_path()
        folder = self._folder(path)
        data = folder.read(path.name)
        program = inspect_program(data or b"", folder.shown(path.name))
        parts = [_section(where, p) for where, p in predictors(program).items()]
        return html_preview("".join(parts))

    def _folder(self, path: PurePosixPath) -> Folder:
        if self._protocol == "file":
            return LocalFolder(Path(str(path.parent)))
        parent = get_filepath_str(path.parent, self._protocol)
        return RemoteFolder(self._fs, parent)

    def _describe(self) -> dict[str, Any]:
        return {
            "filepath": self._filepath,
            "protocol": self._protocol,
            "dill": self._dill,
            "verify": self._verify,
            "allowed_packages": self._allowed,
            "optional": self._optional,
            "version": self._version,
        }

    def _exists(self) -> bool:
        try:
            path = get_filepath_str(self._get_load_path(), self._protocol)
        except DatasetError:
            return False
        return bool(self._fs.exists(path))

    def _release(self) -> None:
        super()._release()
        self._invalidate_cache()

    def _invalidate_cache(self) -> None:
        self._fs.invalidate_cache(get_filepath_str(self._filepath, self._protocol))


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
