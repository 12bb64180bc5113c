"""The optimizers by their names in the configuration."""

from po_optimizer.optimization.optimizers.base import (
    CallRange,
    Calls,
    Job,
    Optimizer,
    PerRun,
    Sizes,
)
from po_optimizer.optimization.optimizers.bootstrap_random_search import (
    BootstrapRandomSearch,
)
from po_optimizer.optimization.optimizers.gepa import Gepa
from po_optimizer.optimization.optimizers.miprov2 import Miprov2
from po_optimizer.params import OptimizeParams

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "miprov2": Miprov2,
    "gepa": Gepa,
    "bootstrap_random_search": BootstrapRandomSearch,
}

__all__ = [
    "OPTIMIZERS",
    "CallRange",
    "Calls",
    "Job",
    "Optimizer",
    "PerRun",
    "Sizes",
    "make_optimizer",
]


def make_optimizer(params: OptimizeParams) -> Optimizer:
    """The optimizer that the parameters choose."""
    return OPTIMIZERS[params.optimizer](params)
