"""The optimizers by their names in the configuration."""

from po_optimizer.optimization.optimizers.base import Optimizer
from po_optimizer.optimization.optimizers.gepa import Gepa
from po_optimizer.optimization.optimizers.miprov2 import Miprov2
from po_optimizer.optimization.optimizers.random_search import (
    BootstrapRandomSearch,
)
from po_optimizer.params.optimize import OptimizeParams

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "miprov2": Miprov2,
    "gepa": Gepa,
    "bootstrap_random_search": BootstrapRandomSearch,
}


def make_optimizer(params: OptimizeParams) -> Optimizer:
    """The optimizer that the parameters choose."""
    return OPTIMIZERS[params.optimizer](params)
