"""The LM on loopback, whose address the shapes find in the environment."""

import pytest

from tests.programs.server import serving


@pytest.fixture(scope="session")
def server():
    """One server for all programs."""
    with serving() as lm, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHAPES_LM", lm.address)
        patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # no network
        yield lm
