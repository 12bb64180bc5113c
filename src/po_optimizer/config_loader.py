"""Kedro's configuration: roles beside environments, a catalog that asks parameters."""

import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from kedro.config import OmegaConfigLoader
from omegaconf import DictConfig, OmegaConf

from po_optimizer.errors import SettingError, listed, nearest

ROLES = "roles"
"""Folder of roles that bring their code along, and of role files in an environment."""


class ProjectConfigLoader(OmegaConfigLoader):
    """Reads the parameters of the role that a run names, and `${parameter:lm.model}`.

    A role's parameters stand in `conf/base/roles/<name>.yml`, or in `role.yml` of its
    own folder `roles/<name>`, whose code can then be imported by the role's name. They
    go over the parameters of `base`; those of the environment and `--params` go over
    them.

    The catalog may ask for a parameter, `${parameter:name, default}`: so where results
    lie and what makes them come from one source, whatever file, environment or
    `--params` it stands in. Without `--env`, `conf/local` is read as Kedro does, and
    `base` alone where there is no such folder.
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
        packed = not Path(conf_source).is_dir()
        project = Path.cwd() if packed else Path(conf_source).absolute().parent
        self._folder = project / ROLES
        if self._folder.is_dir() and str(self._folder) not in sys.path:
            sys.path.append(str(self._folder))
        super().__init__(conf_source, env, _with_role_name(runtime_params), **options)

    def __getitem__(self, key: str) -> dict[str, Any]:
        """The configuration of a kind; see Kedro."""
        # resolvers are of the process: the loader that is asked answers
        OmegaConf.register_new_resolver("parameter", self._parameter, replace=True)
        values: dict[str, Any] = super().__getitem__(key)
        return values

    def _resolve_from_raw_config(
        self,
        key: str,
        base_configs: dict[Path, DictConfig],
        env_configs: dict[Path, DictConfig],
        base_path: str,
        *more: Any,
    ) -> dict[str, Any]:
        """Kedro's, with the role's file between base and environment."""
        if key == "parameters" and base_configs:
            env_configs = {
                path: OmegaConf.create(_with_role_name(config))
                for path, config in env_configs.items()
            }
            base = OmegaConf.merge(*base_configs.values())
            chosen = OmegaConf.merge(base, *env_configs.values(), self.runtime_params)
            name = OmegaConf.select(chosen, "role.name", default=None)
            if name is not None:
                own = self._role_file(str(name), base_path)
                base = OmegaConf.merge(base, own, {"role": {"name": name}})
            base_configs = {Path(base_path): cast(DictConfig, base)}
        values: dict[str, Any] = super()._resolve_from_raw_config(
            key, base_configs, env_configs, base_path, *more
        )
        return values

    def _role_file(self, name: str, base_path: str) -> Any:
        """The role's own parameters.

        Raises:
            SettingError: No role of that name is there.
        """
        inside = f"{base_path}/{ROLES}/{name}.yml"
        if self._fs.exists(inside):
            return OmegaConf.create(self._fs.read_text(inside, encoding="utf-8"))
        beside = self._folder / name / "role.yml"
        if beside.is_file():
            return OmegaConf.load(beside)
        known = {
            Path(path).stem for path in self._fs.glob(f"{base_path}/{ROLES}/*.yml")
        }
        known |= {path.parent.name for path in self._folder.glob("*/role.yml")}
        raise SettingError(
            "role",
            name,
            f"there is no such role{nearest(name, known)}: neither {inside} nor "
            f"{beside} is there",
            f"Choose one of {listed(sorted(known))}, or make one: po-optimizer new "
            "role NAME --inputs question --outputs answer",
        )

    @cached_property
    def _parameters(self) -> DictConfig:
        return OmegaConf.create(self["parameters"])

    def _parameter(self, name: str, default: Any = None) -> Any:
        return OmegaConf.select(self._parameters, name, default=default)


def _with_role_name(config: Mapping[str, Any] | None) -> Any:
    """`role: support_desk` is short for `role: {name: support_desk}`."""
    if not config or not isinstance(config.get("role"), str):
        return config
    return {**config, "role": {"name": config["role"]}}


def results_folder(slug: str, program: str) -> str:
    """Where results on an LM lie: apart for a program of another one.

    Args:
        slug: Folder of the LM that runs the program.
        program: Folder in data/06_models that the program comes from.
    """
    own = program == slug
    return slug if own else f"{slug}/from-{program.replace('/', '-')}"
