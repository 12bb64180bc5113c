"""What all tests share: a fast temporary folder, no settings from outside."""

import os
import shutil
import signal
from pathlib import Path

import hypothesis

# CI judges a change by the same examples each time; elsewhere new ones are sought
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

_MEMORY = Path("/dev/shm")  # noqa: S108 -- pytest makes its own folder in it
_ENOUGH_BYTES = 2 * 10**9
_SETTINGS = ("USE_DSPY_PO", "CONCEPT", "PO_LM_BASE_URL", "PO_LM_MODEL", "PO_LM_API_KEY")


def pytest_configure(config):
    """Lets SQLite sync to memory: the tests take a fifth of the time."""
    if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ENOUGH_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))
    # in the background of a script SIGINT is ignored, which tests of Ctrl-C need
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "PO_LIVE_ENV" not in os.environ:  # `make test-live` is about these very settings
        for name in _SETTINGS:
            os.environ.pop(name, None)
