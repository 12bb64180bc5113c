"""Gives the new project this repository's configuration, which it can then change."""

import shutil
import sys
from pathlib import Path

CONF = Path(r"{{ cookiecutter._repo_dir }}").absolute().parent / "conf"
OTHERS = shutil.ignore_patterns("local", "test", "roles", "parameters_role.yml")

if not CONF.is_dir():
    sys.exit(f"{CONF} is missing: use the starter in a clone of po_optimizer.")
shutil.copytree(CONF, "conf", ignore=OTHERS, dirs_exist_ok=True)
