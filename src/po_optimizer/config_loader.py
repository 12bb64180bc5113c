"""Kedro's configuration, where the catalog may ask for parameters."""

from functools import cached_property
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader
from omegaconf import DictConfig, OmegaConf


class ProjectConfigLoader(OmegaConfigLoader):
    """Knows `${parameter:lm.model}`, or with a default `${parameter:name, default}`.

    So where results lie and which LM makes them come from one source, whatever file,
    environment or `--params` it stands in. Without `--env` it reads `conf/local` as
    Kedro does, and `base` alone where there is no such folder.
    """

    def __init__(
        self,
        conf_source: str,
        env: str | None = None,
        runtime_params: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        local = Path(conf_source) / "local"
        default = "local" if local.is_dir() else "base"
        options = {"base_env": "base", "default_run_env": default, **options}
        super().__init__(conf_source, env, runtime_params, **options)

    def __getitem__(self, key: str) -> dict[str, Any]:
        """The configuration of a kind; see Kedro."""
        # resolvers are of the process: the loader that is asked answers
        OmegaConf.register_new_resolver("parameter", self._parameter, replace=True)
        values: dict[str, Any] = super().__getitem__(key)
        return values

    @cached_property
    def _parameters(self) -> DictConfig:
        return OmegaConf.create(self["parameters"])

    def _parameter(self, name: str, default: Any = None) -> Any:
        return OmegaConf.select(self._parameters, name, default=default)
