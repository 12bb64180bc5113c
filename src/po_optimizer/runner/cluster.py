"""The Dask cluster of a run: one that is there, or workers on this machine."""

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from logging import getLogger
from pathlib import Path

from distributed import Client, LocalCluster, Security, rpc
from kedro.framework import project

from po_optimizer.errors import NoClusterError, SchedulerLostError, listed
from po_optimizer.params import DaskParams
from po_optimizer.runner.on_worker import ProjectPlugin

logger = getLogger(__name__)


@contextmanager
def project_cluster(params: DaskParams, run: str) -> Iterator[Client]:
    """A client whose workers know the project, until the run ends.

    Raises:
        NoClusterError: No scheduler, no worker, or workers without the project.
    """
    with ExitStack() as stack:
        client = stack.enter_context(_client(params))
        _await_workers(client, params)
        plugin = ProjectPlugin(
            str(project.PACKAGE_NAME), run, ours=params.address is None
        )
        _prepare_workers(client, plugin)

        def forget(kind: type[BaseException] | None, *rest: object) -> None:
            if kind is not SchedulerLostError:  # then nobody is there to be told
                client.unregister_worker_plugin(plugin.name)

        stack.push(forget)
        yield client


@contextmanager
def _client(params: DaskParams) -> Iterator[Client]:
    if params.address is None:
        with (
            LocalCluster(
                n_workers=params.num_workers or os.cpu_count(),
                threads_per_worker=1,
                memory_limit=0,  # Dask's limits are for its own data: there is none
                dashboard_address=None,
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client
        return
    _check_scheduler(params.address, params.timeout_seconds)
    with Client(params.address, set_as_default=False) as client:
        yield client


def _check_scheduler(address: str, seconds: float) -> None:
    """Asks who answers there: a Client that cannot connect complains long after.

    Raises:
        NoClusterError: It is no scheduler.
    """

    async def ask() -> str:
        security = Security().get_connection_args("client")
        async with rpc(address, timeout=seconds, connection_args=security) as remote:
            answer = await asyncio.wait_for(remote.identity(), seconds)
            return str(answer["type"])

    try:
        with ThreadPoolExecutor(1) as pool:  # a notebook's own thread has a loop
            found = pool.submit(asyncio.run, ask()).result()
    except (OSError, ValueError, TypeError, asyncio.TimeoutError) as error:
        found = str(error) or f"within {seconds:g} s"
    if found != "Scheduler":
        raise NoClusterError(
            "address",
            address,
            f"no Dask scheduler answers there ({found})",
            "Start one with `dask scheduler`, or leave the address out: then workers "
            "are started on this machine.",
        )


def _await_workers(client: Client, params: DaskParams) -> None:
    try:
        client.wait_for_workers(1, timeout=params.timeout_seconds)
    except TimeoutError as error:
        raise NoClusterError(
            "address",
            params.address,
            f"no worker joined the scheduler within {params.timeout_seconds:g} s",
            f"Start some: dask worker {params.address} --nworkers 4 --nthreads 1",
        ) from error


def _prepare_workers(client: Client, plugin: ProjectPlugin) -> None:
    try:
        client.register_plugin(plugin)
    except Exception as error:  # whatever the import of a project may raise
        raise NoClusterError(
            "address",
            client.scheduler.address,
            f"its workers cannot load the project ({type(error).__name__}: {error})",
            "Install the project and po-optimizer[dask], in the same versions as here, "
            "where the workers run.",
        ) from error
    here = str(Path.cwd())
    seen = client.run(os.path.isdir, here, on_error="ignore")
    blind = [worker for worker, sees in seen.items() if not sees]
    if blind:
        logger.warning(
            "the workers %s do not see %s: local files of the catalog are not shared "
            "with them",
            listed(blind),
            here,
        )
