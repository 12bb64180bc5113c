"""DaskRunner: `kedro run --runner=po_optimizer.runner.DaskRunner`."""

from importlib.util import find_spec
from pickle import PicklingError
from typing import Any
from uuid import uuid4

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.runner import AbstractRunner, Task
from pluggy import PluginManager
from pydantic import ValidationError

from po_optimizer.errors import (
    MemoryOnlyError,
    MissingPackageError,
    NotPortableError,
    RunnerParamsError,
    field_problems,
)
from po_optimizer.params import DaskParams


class DaskRunner(AbstractRunner):
    """Runs each node as soon as its inputs are there, on the workers of a cluster.

    Nodes meet in the catalog only: workers load a node's inputs and save its outputs,
    so what the catalog names must be readable on every machine.

    Args:
        is_async: Load and save a node's datasets in threads.
        params: See DaskParams.

    Raises:
        MissingPackageError: Without the extra `dask`.
        RunnerParamsError: A wrong key or value.
    """

    def __init__(self, is_async: bool = False, **params: Any) -> None:
        super().__init__(is_async=is_async)
        if find_spec("distributed") is None:
            raise MissingPackageError("distributed", "DaskRunner")
        try:
            self._params = DaskParams.model_validate(params)
        except ValidationError as error:
            known = DaskParams.model_fields
            raise RunnerParamsError(field_problems(error), known) from error

    def _get_executor(self, max_workers: int) -> None:
        """None: the cluster takes its place."""

    def _run(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
        hook_manager: PluginManager | None = None,
        run_id: str | None = None,
    ) -> None:
        from po_optimizer.runner.cluster import project_cluster  # noqa: PLC0415 -- extra
        from po_optimizer.runner.course import Course  # noqa: PLC0415

        run = uuid4().hex  # a session's id may come twice, in tests or by hand
        _refuse_memory(pipeline, catalog)
        tasks = _packed(pipeline, catalog, run_id, is_async=self._is_async)
        with project_cluster(self._params, run) as client:
            course = Course(client, pipeline, tasks, run, catalog.release)
            course.run(keep_going=self._params.keep_going)


def _refuse_memory(pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
    """An output without an entry would arrive at the next node as nothing at all.

    Raises:
        MemoryOnlyError: There are such outputs.
    """
    outputs = pipeline.all_outputs()
    memory = {name for name in outputs if getattr(catalog[name], "_EPHEMERAL", False)}
    if memory:
        raise MemoryOnlyError(memory)


def _packed(
    pipeline: Pipeline,
    catalog: CatalogProtocol[Any, Any],
    run_id: str | None,
    *,
    is_async: bool,
) -> dict[str, bytes]:
    """Each node with the catalog, by the node's name.

    Raises:
        NotPortableError: One of them cannot be pickled.
    """
    import cloudpickle  # noqa: PLC0415 -- comes with distributed

    for name in pipeline.all_outputs():
        catalog.release(name)  # a version that was looked up before would go along
    packed = {}
    for node in pipeline.nodes:
        task = Task(node, catalog, is_async, run_id=run_id)
        try:
            packed[node.name] = cloudpickle.dumps(task)
        except (PicklingError, TypeError, AttributeError) as error:
            raise NotPortableError(node.name, str(error)) from error
    return packed
