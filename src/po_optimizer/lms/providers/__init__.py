"""Providers of LMs: one class each, in the module of the provider's name."""

import inspect
from importlib import import_module
from pkgutil import iter_modules

from po_optimizer.errors import SettingError, listed, nearest
from po_optimizer.lms.providers.base import Provider
from po_optimizer.params.lm import LMParams

__all__ = ["Provider", "make_provider", "provider_class", "provider_names"]


def provider_names() -> list[str]:
    """What `lm.provider` may be."""
    modules = (module.name for module in iter_modules(__path__))
    return sorted(name for name in modules if name != "base")


def provider_class(name: str) -> type[Provider]:
    """The class of one provider; no other's module is imported.

    Raises:
        SettingError: There is none of that name.
    """
    if name not in provider_names():
        names = provider_names()
        allowed = f"it is none of {listed(names)}{nearest(name, names)}"
        raise SettingError("lm.provider", name, allowed, "Correct it.")
    module = import_module(f"{__name__}.{name}")
    classes = inspect.getmembers(module, inspect.isclass)
    (own,) = (
        cls
        for _, cls in classes
        if issubclass(cls, Provider) and cls.__module__ == module.__name__
    )
    return own


def make_provider(params: LMParams, api_key: str | None = None) -> Provider:
    """The provider that the parameters name; nothing is asked or started.

    Raises:
        SettingError: There is none of that name.
    """
    return provider_class(params.provider)(params, api_key)
