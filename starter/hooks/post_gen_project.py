"""Gives the new project this repository's configuration, which it can then change."""

import shutil
from pathlib import Path

CONF = Path(r"{{ cookiecutter._repo_dir }}").absolute().parent / "conf"
OTHERS = shutil.ignore_patterns("local", "test", "roles", "parameters_role.yml")

shutil.copytree(CONF, "conf", ignore=OTHERS, dirs_exist_ok=True)
