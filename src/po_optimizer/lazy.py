"""What is imported when it is first used."""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any


def lazy(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A package's `__getattr__`, which imports each name when it is first used.

    Args:
        package: Its name.
        homes: By module, below the package, the names that it holds, with spaces.
    """
    home = {name: module for module, names in homes.items() for name in names.split()}

    def get(name: str) -> Any:
        if name not in home:
            msg = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(msg)
        return getattr(importlib.import_module(f"{package}.{home[name]}"), name)

    return get


def defer(module: str, function: str) -> None:
    """Imports a module at the first call of its function, not where it is imported.

    Nothing changes if it is imported already or not installed.

    Args:
        module: A top-level module.
        function: Its function that others import early and call seldom.
    """
    if module in sys.modules or (spec := importlib.util.find_spec(module)) is None:
        return
    deferred = ModuleType(module)

    def get(name: str) -> Any:
        if name.startswith("__"):  # which debuggers and the like ask of every module
            raise AttributeError(name)
        if sys.modules.get(module) is deferred:
            del sys.modules[module]
        return getattr(importlib.import_module(module), name)

    def call(*args: Any, **kwargs: Any) -> Any:
        return get(function)(*args, **kwargs)

    places = {"__file__": spec.origin, "__path__": spec.submodule_search_locations}
    vars(deferred).update({function: call, "__getattr__": get, "__spec__": spec})
    vars(deferred).update({k: place for k, place in places.items() if place})
    sys.modules[module] = deferred
