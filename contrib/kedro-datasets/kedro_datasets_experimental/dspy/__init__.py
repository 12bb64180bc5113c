"""``AbstractDataset`` implementation to store DSPy programs without loss."""

from typing import Any

import lazy_loader as lazy

try:
    from .dspy_program_dataset import DSPyProgramDataset
except (ImportError, RuntimeError):
    # without po-optimizer, as where the documentation is built
    DSPyProgramDataset: Any  # type: ignore[no-redef]

__getattr__, __dir__, __all__ = lazy.attach(
    __name__, submod_attrs={"dspy_program_dataset": ["DSPyProgramDataset"]}
)
