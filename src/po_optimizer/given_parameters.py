"""`--params` with a name that nothing reads is a typo, not a parameter."""

import re
from pathlib import Path

from kedro.config import AbstractConfigLoader

from po_optimizer.errors import UnknownParameterError


def check_given(loader: AbstractConfigLoader) -> None:
    """Lets pass what a file of parameters or of the catalog has a name for.

    Keys below the first level are checked by the models in `params`; Kedro would hand
    on a first one that no node asks for, and nobody would notice.

    Raises:
        UnknownParameterError: A name stands in neither.
    """
    known = _known(Path(str(loader.conf_source)))
    for name in loader.runtime_params or {}:
        if known and str(name).partition(".")[0] not in known:
            raise UnknownParameterError(str(name), known)


def _known(folder: Path) -> set[str]:
    """Names of parameters; none if the configuration is packed in an archive."""
    known: set[str] = set()
    for path in folder.rglob("*.y*ml"):
        text = path.read_text(encoding="utf-8")
        known.update(re.findall(r"\$\{runtime_params:\s*(\w+)", text))
        if path.name.startswith("parameters"):
            known.update(re.findall(r"^(\w+):", text, re.MULTILINE))
    return known
