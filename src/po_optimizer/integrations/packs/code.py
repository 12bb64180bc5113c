"""The code of a run: named by people and projects, never imported by a pack."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy

from po_optimizer.errors import PoOptimizerError, SettingError, needs_extra
from po_optimizer.optimization.inputs import RunInputs
from po_optimizer.params.project import RoleParams
from po_optimizer.persistence.codec.values import is_secret
from po_optimizer.roles.build import (
    check_metric,
    check_program,
    load_metric,
    make_program,
)
from po_optimizer.roles.metric import Metric


@dataclass(frozen=True)
class Code:
    """The program and the metric of a run, as they are here.

    Args:
        program: What `optimize` was given, or its class; None: the role makes one.
        metric: The run's own.
        role: Makes the program; None: the run is of Python's `optimize`.
    """

    program: Any
    metric: Metric
    role: RoleParams | None = None

    def student(self, lm: Any) -> dspy.Module:
        """The program before it was optimized."""
        if self.role is not None and self.program is None:
            return make_program(self.role, lm)
        return check_program("program", self.program)

    @property
    def arguments(self) -> Mapping[str, Any] | None:
        """What the program was made with; None: unknown."""
        return self.role.program_args if self.role else None

    @property
    def packages(self) -> list[str]:
        """Whose classes of data the examples may be of."""
        code = (self.program, self.metric)
        names = [part.__module__ for part in code if part is not None]
        if role := self.role:
            for path in (role.program, role.metric, role.record):
                module, colon, _ = path.partition(":")
                names.append(module if colon else path.rpartition(".")[0])
        return sorted({name.rpartition(".")[0] or name for name in names if name})


FindCode = Callable[[RunInputs], Code]


def find_code(
    inputs: RunInputs, program: str | None = None, metric: str | None = None
) -> Code:
    """The code by name, or that of the role in the project here.

    Args:
        inputs: What the run was made of; what it names is compared, not imported.
        program: Import path of the program, its class, or a function that makes it.
        metric: Import path of the run's own metric.

    Raises:
        PoOptimizerError: Nobody has named it, the role here is another one, or it
            cannot be imported.
    """
    if inputs.role is None:
        if not (program and metric):
            raise PoOptimizerError(
                f"the run is of Python's optimize: of a {inputs.program} and the "
                f"metric {inputs.metric}. Nothing is imported because a file names it. "
                "If you trust this code, name what optimize was given: "
                f"--program MODULE:NAME --own-metric {inputs.metric}"
            )
        named = RoleParams(program=program, metric=metric)
        return Code(make_program(named), check_metric(load_metric(named)))
    here = _role_here(inputs.role.name)
    paths = {"program": program, "metric": metric}
    # imports are the project's own business, and secrets do not travel
    update: dict[str, Any] = {"record": here.record}
    for part, option in (("program", "--program"), ("metric", "--own-metric")):
        recorded, own = getattr(inputs.role, part), getattr(here, part)
        if not paths[part] and recorded != own:
            raise PoOptimizerError(
                f"the run was made of {recorded}, and the role here names {own}. "
                "Nothing is imported because a file names it. If you trust this code: "
                f"{option} {recorded}"
            )
        arguments = f"{part}_args"
        recorded, own = getattr(inputs.role, arguments), getattr(here, arguments)
        if recorded != {k: v for k, v in own.items() if not is_secret(k, v)}:
            raise PoOptimizerError(
                f"the run was made with role.{arguments}={recorded!r}, and the role "
                f"here has {own!r}. Set them in the role's file."
            )
        update |= {part: paths[part] or getattr(here, part), arguments: own}
    role = inputs.role.model_copy(update=update)
    return Code(None, load_metric(role), role)


def _role_here(name: str) -> RoleParams:
    with needs_extra("kedro", "the run of a project's role"):
        from kedro.framework.project import settings  # noqa: PLC0415
        from kedro.framework.startup import bootstrap_project  # noqa: PLC0415
        from kedro.utils import find_kedro_project  # noqa: PLC0415
    project = find_kedro_project(Path.cwd())
    if project is None:
        raise SettingError(
            "role",
            name,
            f"{Path.cwd()} is in no project that has it",
            "Type the command in the folder of a project with this role.",
        )
    bootstrap_project(project)
    loader = settings.CONFIG_LOADER_CLASS(
        str(Path(project) / settings.CONF_SOURCE),
        runtime_params={"role": name},
        **settings.CONFIG_LOADER_ARGS,
    )
    return RoleParams.model_validate(loader["parameters"]["role"])
