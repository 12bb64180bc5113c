"""The LM on loopback, whose address the shapes find in the environment."""

import dspy
import pytest
from dspy.clients.cache import Cache

from tests.programs.server import serving


@pytest.fixture(scope="session")
def server():
    """One server for all programs."""
    with serving() as lm, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHAPES_LM", lm.address)
        patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # no network
        # DSPy's own cache would answer from what an earlier test session asked
        patch.setattr(
            dspy,
            "cache",
            Cache(
                enable_disk_cache=False,
                enable_memory_cache=False,
                disk_cache_dir="",
                disk_size_limit_bytes=0,
                memory_max_entries=1,
            ),
        )
        yield lm
