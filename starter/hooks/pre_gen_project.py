"""Refuses a name that Python would take for something else."""

import importlib.util
import sys

NAME, PACKAGE = "{{ cookiecutter.project_name }}", "{{ cookiecutter.python_package }}"

if not PACKAGE.isidentifier():
    problem = f"{PACKAGE} is no name of a Python package"
elif importlib.util.find_spec(PACKAGE):
    problem = f"Python has a package {PACKAGE} already, which would be hidden"
else:
    problem = ""
if problem:
    sys.exit(f"--name={NAME!r} cannot be used: {problem}. Choose another one.")
