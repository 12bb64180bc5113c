"""Kedro's configuration: roles beside environments, a catalog that asks parameters.

Whatever reads it (a run, kedro-viz, a notebook) is told a mistake in one sentence.
"""

import copy
import gzip
import io
import logging
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import yaml
from kedro.config import MissingConfigException, OmegaConfigLoader
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import ConfigTypeError, OmegaConfBaseException

from po_optimizer.errors import PoOptimizerError, SettingError, causes, listed, nearest
from po_optimizer.params.base import checked
from po_optimizer.params.project import Parameters

logger = logging.getLogger(__name__)

ROLES = "roles"
"""Folder of roles that bring their code along, and of role files in an environment."""

_TEXTS = [
    name
    for name, field in Parameters.model_fields.items()
    if field.annotation in (str, str | None)
]


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

    Raises:
        PoOptimizerError: A file, a folder or a value of the configuration is wrong.
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
        self._files: list[DictConfig] = []
        runtime_params = _with_role_name({**(runtime_params or {})})
        runtime_params |= _texts(runtime_params)
        try:
            super().__init__(conf_source, env, runtime_params, **options)
        except (gzip.BadGzipFile, tarfile.TarError, zipfile.BadZipFile) as error:
            problem, remedy = f"it is no archive ({error})", "Make it: kedro package."
            raise SettingError("conf_source", conf_source, problem, remedy) from error

    def __getitem__(self, key: str) -> dict[str, Any]:
        """The configuration of a kind, read once; see Kedro."""
        # resolvers are of the process: the loader that is asked answers
        OmegaConf.register_new_resolver("parameter", self._parameter, replace=True)
        try:
            if key not in self:
                self[key] = super().__getitem__(key)
            values: dict[str, Any] = super().__getitem__(key)
        except OmegaConfBaseException as error:
            raise self._unusable(error, key) from error
        return copy.deepcopy(values)  # Kedro writes into the catalog's

    def checked_parameters(self) -> Parameters:
        """The parameters of base, role, environment and `--params`, as their models.

        A name of the first level that a file has is the project's own. One that only
        `--params` has must be ours, or one that a catalog asks for: nothing else could
        read it.

        Raises:
            PoOptimizerError: Nothing reads a name, or a value cannot be used.
        """
        values = self["parameters"]
        models = set(Parameters.model_fields)
        own = {str(name) for file in self._files for name in file} - models
        unknown = {*(self.runtime_params or {})} - models - own
        if unknown and (unread := sorted(unknown - self._names_that_catalogs_ask())):
            names = sorted(models | own)
            raise PoOptimizerError(
                f"--params {unread[0]}: nothing reads a parameter of this name"
                f"{nearest(unread[0], names)}. There are {listed(names, 30)}."
            )
        for name in sorted(own):
            if question := nearest(name, models, likeness=0.8):
                logger.warning(
                    "conf: po_optimizer reads no parameter %s%s", name, question
                )
        return checked(Parameters, values)

    def _names_that_catalogs_ask(self) -> set[str]:
        """The names of `--params` that the catalog or the credentials refer to."""
        for key in ("catalog", "credentials"):
            try:
                self[key]
            except MissingConfigException:
                continue
        return {name.partition(".")[0] for name in self._runtime_params_hits}

    def _read_raw_config(self, key: str) -> Any:
        """Reads files as Kedro does; names the file and line that cannot be read."""
        try:
            raw = super()._read_raw_config(key)
        except OmegaConfBaseException:
            raise
        except MissingConfigException as error:
            raise self._missing_folder(str(error)) from error
        except (AttributeError, OSError, ValueError, yaml.YAMLError) as error:
            for environment in (self.base_env, self.env or self.default_run_env):
                folder = self._get_conf_env_path(environment)
                for pattern in self.config_patterns[key]:
                    for path in self._fs.glob(f"{folder}/{pattern}"):
                        if self._is_valid_config_path(Path(path)):
                            _parse(path, partial(self._fs.cat_file, path))
            problem = "; ".join(str(error).splitlines())
            raise PoOptimizerError(f"{problem}. Correct one of the files.") from error
        if key == "parameters":
            self._files = [*raw[0].values(), *raw[1].values()]
        return raw

    def _unusable(self, error: OmegaConfBaseException, key: str) -> PoOptimizerError:
        """The error for what OmegaConf refused, with the parameter if it names one."""
        for cause in causes(error):
            if isinstance(cause, PoOptimizerError):
                return cause
        where, problem = error.full_key, str(error).partition("\n")[0].rstrip(".")
        if isinstance(error.__context__, KeyError):  # a variable of the environment
            problem = str(error.__context__.args[0])
        if isinstance(error, ConfigTypeError):  # of what it merged
            sources = (*self._files, OmegaConf.create(self.runtime_params or {}))
            groups, lists = (
                {path for source in sources for path in _paths(source, kind)}
                for kind in (DictConfig, ListConfig)
            )
            where, problem = listed(groups & lists), "a group of parameters is no list"
        start = f"{where}: " if where else ""
        return PoOptimizerError(
            f"{start}{problem}. Correct it in the {key} of conf/ or in --params."
        )

    def _missing_folder(self, problem: str) -> PoOptimizerError:
        source = Path(self._get_conf_env_path(self.base_env)).parent
        if not self.env or not self._fs.isdir(str(source / self.base_env)):
            return PoOptimizerError(
                f"{problem}. Put it back (`git checkout conf`), or run in the folder "
                "of the project."
            )
        paths = map(Path, self._fs.ls(str(source), detail=False))
        names = sorted(path.name for path in paths if self._fs.isdir(str(path)))
        return SettingError(
            "env",
            self.env,
            f"{source} has no folder of this name{nearest(self.env, names)}",
            f"Choose one of {listed(names, 30)}.",
        )

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
                self._files.append(own)
                base = OmegaConf.unsafe_merge(base, own, {"role": {"name": name}})
            base_configs = {Path(base_path): cast(DictConfig, base)}
        values: dict[str, Any] = super()._resolve_from_raw_config(
            key, base_configs, env_configs, base_path, *more
        )
        return {**values, **_texts(values)} if key == "parameters" else values

    def _resolve_catalog_config(self, files: Iterable[DictConfig]) -> dict[str, Any]:
        """Kedro's, with each `_name` resolved once, not wherever it is asked for."""
        catalog = cast(DictConfig, OmegaConf.unsafe_merge(*files))
        self._runtime_params_hits = set()
        for name in catalog:
            if str(name).startswith("_") and isinstance(catalog[name], str):
                catalog[name] = catalog[name]
        hits = self._runtime_params_hits
        values: dict[str, Any] = super()._resolve_catalog_config([catalog])
        self._runtime_params_hits |= hits
        return values

    def _role_file(self, name: str, base_path: str) -> Any:
        """The role's own parameters.

        Raises:
            SettingError: No role of that name is there.
        """
        inside = f"{base_path}/{ROLES}/{name}.yml"
        if self._fs.exists(inside):
            return _parse(inside, partial(self._fs.cat_file, inside))
        beside = self._folder / name / "role.yml"
        if beside.is_file():
            return _parse(str(beside), beside.read_bytes)
        roles = {
            Path(path).stem for path in self._fs.glob(f"{base_path}/{ROLES}/*.yml")
        }
        roles |= {path.parent.name for path in self._folder.glob("*/role.yml")}
        raise SettingError(
            "role",
            name,
            f"there is no such role{nearest(name, roles)}: neither {inside} nor "
            f"{beside} is there",
            f"Choose one of {listed(sorted(roles))}, or make one: po-optimizer new "
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


def _paths(config: DictConfig, kind: type, start: str = "") -> Iterator[str]:
    """Dotted names of the values of this kind, which are not resolved."""
    for name in map(str, config):
        value = config._get_node(name)
        if isinstance(value, kind):
            yield f"{start}{name}"
        if isinstance(value, DictConfig):
            yield from _paths(value, kind, f"{start}{name}.")


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Numbers in the place of texts, as `--params concept=2030` gives, as texts."""
    texts = {name: values.get(name) for name in _TEXTS}
    return {n: str(v) for n, v in texts.items() if type(v) in (int, float)}


def results_folder(slug: str, program: str) -> str:
    """The folder of results on an LM; another LM's program has a folder in it.

    Args:
        slug: Folder of the LM that runs the program.
        program: Folder in data/06_models that the program comes from, or a document.
    """
    own = program == slug
    name = program.strip("./").replace("/", "-")
    return slug if own else f"{slug}/from-{name}"


def is_document(program: str) -> bool:
    """Whether `program_from` names a document, not a folder of data/06_models."""
    return program.endswith(".json")


def program_folder(role: str, program: str) -> str:
    """The folder of what the optimization of a program left: the program's own.

    Args:
        role: Folder of the role.
        program: Folder in the role's, or the path of a document.
    """
    if not is_document(program):
        return f"data/06_models/{role}/{program}"
    path = Path(program)
    versioned = path.parent.parent.name == path.name
    return str(path.parents[2] if versioned else path.parent)


def _parse(where: str, read: Callable[[], bytes]) -> DictConfig:
    """Parses a file of the configuration.

    Args:
        where: Its path, for the error.
        read: Gives what is in it.

    Raises:
        PoOptimizerError: It cannot be read; file, line and problem are told.
    """
    try:
        values = OmegaConf.load(io.StringIO(read().decode()))
    except UnicodeDecodeError as error:
        problem = f"it is not in UTF-8 (byte {error.start + 1})"
    except yaml.MarkedYAMLError as error:
        problem = error.problem or "no YAML"
        if mark := error.problem_mark:
            where += f", line {mark.line + 1}, column {mark.column + 1}"
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
    except OSError as error:
        problem = error.strerror or "it holds no names with values"
    else:
        if isinstance(values, DictConfig):
            return values
        problem = "it holds a list, not names with values"
    raise PoOptimizerError(f"{where}: {problem}. Correct the file.")
