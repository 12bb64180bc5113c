"""What a run depends on; a run may be resumed only if none of it has changed."""

import ast
import functools
import importlib.metadata
import inspect
import json
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic.errors import PydanticInvalidForJsonSchema

from po_optimizer.lms.lm import MeteredLM
from po_optimizer.optimization.job import Job
from po_optimizer.records.canonical import digest
from po_optimizer.roles.metric import Metric

Fingerprint = dict[str, str]
"""Name of a part -> its value or digest, as an error can show it."""

_PACE = {
    "timeout_seconds",
    "num_retries",
    "num_threads",
    "seconds_per_example",
    "price",
}
_VERSIONS = ("dspy", "optuna", "gepa")


def run_fingerprint(job: Job) -> Fingerprint:
    """The parts that decide the result of an optimization.

    Bounds and pace (budget, threads, timeouts, prices) are no part of it: they may be
    changed between restarts.
    """
    params = job.params
    chosen = getattr(params, params.optimizer)
    splits = {
        name: [[dict(e.items()), sorted(e.inputs().keys())] for e in examples]
        for name, examples in (("trainset", job.trainset), ("valset", job.valset))
    }
    modules = [job.student, *(module for _, module in job.student.named_sub_modules())]
    classes = {type(module) for module in modules}
    defined = [cls for cls in classes if not cls.__module__.startswith("dspy.")]
    signatures = [
        [name, p.signature.dump_state(), _types(p.signature), p.config]
        for name, p in job.student.named_predictors()
    ]
    return {
        **{name: digest(examples) for name, examples in splits.items()},
        "program source": digest(sorted(_source(cls) for cls in defined)),
        "program signature": digest(signatures),
        "metric source": digest(_metric(job.metric)),
        **_lm("task_lm", job.task_lm),
        **_lm("prompt_lm", job.prompt_lm),
        "optimize.optimizer": params.optimizer,
        "optimize.seed": str(params.seed),
        **_flat(f"optimize.{params.optimizer}", chosen.model_dump(mode="json")),
        "python": ".".join(platform.python_version_tuple()[:2]),
        **{f"{name} version": _version(name) for name in _VERSIONS},
    }


def optimization_id(fingerprint: Fingerprint) -> str:
    """What all restarts of one optimization share: 16 hexadecimal digits."""
    return digest(fingerprint)[:16]


def changes(earlier: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The parts that differ, with both values, or their names if they are digests."""
    names = [name for name in {**earlier, **now} if earlier.get(name) != now.get(name)]
    return [_change(name, earlier.get(name), now.get(name)) for name in names]


def _change(name: str, earlier: str | None, now: str | None) -> str:
    if earlier and now and len(earlier) == len(now) == len(digest("")):
        return name
    return f"{name} (was {earlier}, is {now})"


def _types(signature: Any) -> Any:
    try:
        return signature.model_json_schema()
    except PydanticInvalidForJsonSchema:  # a type that no JSON can hold
        fields = signature.model_fields
        return {name: repr(field.annotation) for name, field in fields.items()}


def _metric(metric: Metric) -> list[Any]:
    if isinstance(metric, functools.partial):
        return [_metric(metric.func), metric.args, sorted(metric.keywords.items())]
    if inspect.isroutine(metric):
        return _package_source(inspect.unwrap(metric))
    return [_package_source(type(metric)), getattr(metric, "__dict__", {})]


def _package_source(thing: Any) -> list[str]:
    """The thing's source, or that of its package's modules that it comes from."""
    try:
        path = Path(inspect.getfile(thing))
    except (OSError, TypeError):
        return [_source(thing)]
    package = path.with_name("__init__.py")
    if not package.exists():
        return [_source(thing)]
    sources: dict[Path, str] = {}
    waiting = {package, path}
    while waiting:
        file = waiting.pop()
        sources[file] = file.read_text(encoding="utf-8")
        beside = (file.with_name(f"{name}.py") for name in _imported(sources[file]))
        waiting |= {other for other in beside if other.exists()} - {*sources}
    return [sources[file] for file in sorted(sources)]


def _imported(source: str) -> Iterator[str]:
    """Every name in an import statement; it may be a module of the package."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names]
            modules.append(getattr(node, "module", None) or "")
            yield from (part for name in modules for part in name.split("."))


def _source(thing: Any) -> str:
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        return f"{thing.__module__}.{thing.__qualname__}"


def _lm(name: str, lm: MeteredLM) -> dict[str, str]:
    params = lm.params.model_dump(mode="json", exclude=_PACE)
    weights = {f"{name}.weights": lm.weights} if lm.weights else {}
    return {f"{name}.slug": lm.slug, **weights, **_flat(name, params)}


def _flat(prefix: str, values: Mapping[str, Any]) -> dict[str, str]:
    return {
        f"{prefix}.{key}": json.dumps(value, sort_keys=True)
        for key, value in values.items()
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
