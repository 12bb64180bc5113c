"""The promoted program as a catalog entry: one of the versions that are stored."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dspy
from kedro.io.core import DatasetError, Version
from kedro_datasets._typing import HTMLPreview

from po_optimizer.datasets.dspy_program_dataset import DSPyProgramDataset
from po_optimizer.datasets.file_dataset import NOTHING_STORED
from po_optimizer.datasets.previews import html_preview
from po_optimizer.datasets.whole_file import WholeJSONDataset
from po_optimizer.errors import ArtifactError
from po_optimizer.persistence.promoted import find_version, promoted_fingerprint


class ChampionDataset(DSPyProgramDataset):
    """Loads the version that is promoted, None only where none is.

    A champion that is not there any more, or cannot be loaded, is an error.
    `--load-versions` names another version.

    Args:
        filepath: The versioned document.
        reporting: `{"filepath": ...}`: the folder with `champion.json`.
        version: Kedro's; the entry is `versioned: true`.
        credentials: For both file systems; never shown.
        metadata: Free, for plugins.
    """

    def __init__(
        self,
        *,
        filepath: str,
        reporting: dict[str, str],
        version: Version | None = None,
        credentials: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self._reporting = WholeJSONDataset(
            filepath=reporting["filepath"], credentials=credentials
        )
        super().__init__(
            filepath=filepath,
            version=version or Version(None, None),
            credentials=credentials,
            metadata=metadata,
            optional=True,
            **options,
        )

    def load(self) -> dspy.Module | None:
        """The promoted program; None: none is promoted.

        Raises:
            DatasetError: It is missing, altered, unsafe or from a later version.
        """
        with self._promoted_version() as version:
            return super().load() if version else None

    def save(self, data: dspy.Module) -> None:
        """A champion is promoted by evaluate, or by `po-optimizer runs promote`."""
        msg = "ChampionDataset is read-only: it loads what evaluate has promoted"
        raise DatasetError(msg)

    def preview(self) -> HTMLPreview:
        """The program's instructions, fields and demos, readable in kedro-viz."""
        with self._promoted_version() as version:
            return super().preview() if version else html_preview(NOTHING_STORED)

    def _exists(self) -> bool:
        with self._looking():
            return promoted_fingerprint(self._reporting.folder()) is not None

    @contextmanager
    def _promoted_version(self) -> Iterator[str | None]:
        """In the block the dataset is at the promoted version, anew at each load."""
        given = self._version
        version = given.load if given else None
        try:
            with self._looking():
                if version is None:
                    version = self._find()
            self._version = Version(version, None)
            yield version
        finally:
            self._version = given
            self._clear_version_cache()

    def _find(self) -> str | None:
        try:
            fingerprint = promoted_fingerprint(self._reporting.folder())
            if fingerprint is None:
                return None
            return find_version(self.folder(), self._filepath.name, fingerprint)
        except ArtifactError as error:
            raise DatasetError(str(error)) from error
