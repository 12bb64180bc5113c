"""The promoted program as a catalog entry: one of the versions that are stored."""

from typing import Any

import dspy
from kedro.io.core import DatasetError, Version, VersionNotFoundError

from po_optimizer.datasets.dspy_program_dataset import DSPyProgramDataset
from po_optimizer.datasets.file_dataset import NOTHING_STORED
from po_optimizer.datasets.whole_file import WholeJSONDataset
from po_optimizer.errors import ArtifactError
from po_optimizer.persistence.promoted import find_version, promoted_fingerprint


class ChampionDataset(DSPyProgramDataset):
    """Loads the version that is promoted, None only where none is.

    A champion that is not there any more, or cannot be loaded, is an error.
    `--load-versions` names another version.

    Args:
        reporting: `{"filepath": ...}`: the folder with `champion.json`.
        version: Kedro's; the entry is `versioned: true`.
        credentials: For both file systems; never shown.
        options: As `DSPyProgramDataset`.
    """

    def __init__(
        self,
        *,
        reporting: dict[str, str],
        version: Version | None = None,
        credentials: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self._reporting = WholeJSONDataset(
            filepath=reporting["filepath"], credentials=credentials
        )
        version = version or Version(None, None)
        options["optional"] = True
        super().__init__(version=version, credentials=credentials, **options)

    def save(self, data: dspy.Module) -> None:
        """A champion is promoted by evaluate, or by `po-optimizer runs promote`."""
        msg = "ChampionDataset is read-only: it loads what evaluate has promoted"
        raise DatasetError(msg)

    def _exists(self) -> bool:
        return self._promoted() is not None

    def _promoted(self) -> dict[str, str] | None:
        with self._looking():
            return promoted_fingerprint(self._reporting.folder())

    def _fetch_latest_load_version(self) -> str:
        """The promoted version, looked up anew at each load."""
        try:
            fingerprint = self._promoted()
            if fingerprint is None:
                raise VersionNotFoundError(NOTHING_STORED)
            with self._looking():
                return find_version(self.folder(), self._filepath.name, fingerprint)
        except ArtifactError as error:
            raise DatasetError(str(error)) from error
