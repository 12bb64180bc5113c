"""Gives the new project this repository's configuration, which it can then change."""

import os
import shutil
import sys
from pathlib import Path

STARTER = Path(r"{{ cookiecutter._repo_dir }}")
# a relative one is relative to where `kedro new` was typed
PLACES = [Path(os.environ.get("PWD", "..")), Path("..")]
CONFS = [(place / STARTER).absolute().parent / "conf" for place in PLACES]
CONF = next((conf for conf in CONFS if (conf / "base/catalog.yml").is_file()), None)
OTHERS = shutil.ignore_patterns("local", "test", "roles", "parameters_role.yml")

if CONF is None:
    sys.exit(f"{CONFS[0]} is missing: use the starter in a clone of po_optimizer.")
shutil.copytree(CONF, "conf", ignore=OTHERS, dirs_exist_ok=True)
