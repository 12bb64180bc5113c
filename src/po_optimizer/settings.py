"""Kedro's settings of this project."""

import gc
import inspect
import os
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

from dynaconf.loaders import py_loader  # type: ignore[import-untyped]
from dynaconf.utils import files  # type: ignore[import-untyped]

from po_optimizer import __version__
from po_optimizer.console.start import announce

announce(__version__, sys.argv[1:])  # the imports below take seconds

gc.disable()  # collecting what they make, which stays, takes a fifth of their time

if "IPython" not in sys.modules:
    # a third of DSPy's import, to draw a table in a notebook, which this is not
    sys.modules["IPython"] = None  # type: ignore[assignment]
try:  # the second that these imports take is before any command that could say it
    from po_optimizer.config_loader import (
        ProjectConfigLoader,
        is_document,
        program_folder,
        results_folder,
    )
    from po_optimizer.hooks import RunHooks
    from po_optimizer.lms.identity import lm_slug
except KeyboardInterrupt:
    sys.stderr.write("Error: stopped by Ctrl-C; nothing was begun\n")
    sys.exit(130)
finally:
    if sys.modules["IPython"] is None:
        del sys.modules["IPython"]
    gc.freeze()  # nor is it looked at again
    gc.enable()

for module in (py_loader, files):
    # Kedro's settings ask four times which files are on the stack: with the lines of
    # code, which nobody reads, that is a tenth of a second
    module.inspect = SimpleNamespace(stack=partial(inspect.stack, 0))

HOOKS = (RunHooks(),)

CONFIG_LOADER_CLASS = ProjectConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    # `--params lm.temperature=0` must not wipe the other keys of `lm`
    "merge_strategy": {"parameters": "soft", "globals": "soft"},
    "custom_resolvers": {
        "lm_slug": lm_slug,
        "results_folder": results_folder,
        "program_folder": program_folder,
        "program_file": lambda folder, program: (
            program if is_document(program) else f"{folder}/program.json"
        ),
        "is_document": is_document,
        "is_versioned": lambda program: not Path(program).is_file(),
        "either": lambda value, default: default if value is None else value,
        "is_empty": lambda value: not value,
        "from_env": lambda name, default: os.environ.get(name) or default,
    },
}
