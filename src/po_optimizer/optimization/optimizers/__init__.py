"""The optimizers by their names in the configuration."""

from po_optimizer.optimization.job import Job
from po_optimizer.optimization.optimizers.base import Optimizer, Sizes
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


def sizes_of(job: Job) -> Sizes:
    """What the number of LM calls of a job depends on."""
    return Sizes(
        predictors=len(job.student.predictors()),
        train=len(job.trainset),
        val=len(make_optimizer(job.params).choose_valset(job.valset)),
    )
