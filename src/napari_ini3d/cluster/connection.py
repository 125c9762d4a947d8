"""Connection to a cluster of Dask: started for a run, or one that runs already."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from napari_ini3d.cluster.spec import ClusterSpec, parse_spec, slurm_options
from napari_ini3d.errors import ClusterError
from napari_ini3d.io import read_yaml

logger = logging.getLogger(__name__)

_CLOSING = 20.0  # seconds; for ever, if another has ended the scheduler
_PATIENCE = 60.0  # seconds, until a scheduler answers
_QUIET = {
    # copies of references serve the workers to come, and must not be dropped
    "distributed.scheduler.active-memory-manager.start": False,
    # a chunk is not to blame for the workers that died on it
    "distributed.scheduler.allowed-failures": 20,
    "distributed.worker.profile.enabled": False,
    # without Dask's MALLOC_TRIM_THRESHOLD_, with which tiles give their memory back all the time
    "distributed.nanny.pre-spawn-environ": dict.fromkeys(
        ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), 1
    ),
}


@dataclass(frozen=True, slots=True)
class OpenCluster:
    """A cluster that several runs use, one after another.

    Attributes
    ----------
    spec : ClusterSpec
    client_options : mapping
        With which a client connects to it.
    """

    spec: ClusterSpec
    client_options: Mapping[str, Any]


Cluster = ClusterSpec | OpenCluster


def check_cluster(cluster: str | OpenCluster | None) -> Cluster | None:
    """Return the cluster that a user named, if any, without connecting to it.

    Parameters
    ----------
    cluster : str, OpenCluster or None
        See `parse_spec`.

    Raises
    ------
    SettingsError
        If it is none.
    ClusterError
        If Dask is not installed.
    """
    if cluster is None or isinstance(cluster, OpenCluster):
        return cluster
    spec = parse_spec(cluster)
    if find_spec("distributed") is None:
        raise ClusterError("Dask is not installed; install napari-ini3d[cluster]")
    return spec


@contextmanager
def open_cluster(spec: ClusterSpec, threads: int) -> Iterator[OpenCluster]:
    """Start a cluster, if it does not run already, and end it after the context.

    Parameters
    ----------
    spec : ClusterSpec
    threads : int
        Of all processes of a local cluster together.

    Raises
    ------
    ClusterError
        If it cannot be started.
    """
    import dask

    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_QUIET))
        with _answering(spec):
            options = _start(spec, threads, stack)
        yield OpenCluster(spec, options)


@contextmanager
def connect(cluster: Cluster, threads: int) -> Iterator[Any]:
    """Yield the client of a cluster for a run; the cluster is started first, unless it is open.

    Parameters
    ----------
    cluster : ClusterSpec or OpenCluster
    threads : int
        Of all processes of a local cluster together, if it is started.

    Raises
    ------
    ClusterError
        If the cluster does not answer.
    """
    spec = cluster if isinstance(cluster, ClusterSpec) else cluster.spec
    with ExitStack() as stack:
        client = stack.enter_context(reach(cluster, threads))
        if spec.kind != "local":
            stack.callback(_resume_memory_manager, client, _stop_memory_manager(client))
        logger.info("dashboard of the cluster: %s", client.dashboard_link)
        yield client


@contextmanager
def reach(cluster: Cluster, threads: int) -> Iterator[Any]:
    """Yield a client as `connect` does, and leave the cluster as it is.

    Parameters
    ----------
    cluster : ClusterSpec or OpenCluster
    threads : int
        Of all processes of a local cluster together, if it is started.

    Raises
    ------
    ClusterError
        If the cluster does not answer.
    """
    import distributed

    with ExitStack() as stack:
        if isinstance(cluster, ClusterSpec):
            cluster = stack.enter_context(open_cluster(cluster, threads))
        with _answering(cluster.spec):
            client = distributed.Client(
                **cluster.client_options, timeout=_PATIENCE, set_as_default=False
            )
        stack.callback(_close, client)
        yield client


@contextmanager
def _answering(spec: ClusterSpec) -> Iterator[None]:
    """Say of which cluster an error is."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        raise ClusterError(
            f"the cluster {spec.text} does not answer ({error}); check its address and "
            "that its scheduler runs"
        ) from error


def _start(spec: ClusterSpec, threads: int, stack: ExitStack) -> dict[str, Any]:
    """Return the arguments of a client; what has to be started is closed by the stack."""
    import distributed

    if spec.kind == "address":
        return {"address": spec.value}
    if spec.kind == "file":
        return {"scheduler_file": spec.value}
    if spec.kind == "slurm":
        cluster = start_slurm(Path(spec.value))
    else:
        cluster = distributed.LocalCluster(
            n_workers=spec.workers,
            threads_per_worker=max(1, threads // spec.workers),
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,  # the engine asks the system how much is free
            silence_logs=logging.CRITICAL,
            preload="napari_ini3d.cluster.preload",
        )
    stack.callback(_close, cluster)
    return {"address": cluster}


def replace_lost_workers(client: Any) -> None:
    """Start workers of a local cluster anew whose processes are gone for good.

    A worker that is killed is started again by its nanny, unless it had not quite begun.
    """
    import distributed

    cluster = client.cluster
    if isinstance(cluster, distributed.LocalCluster) and set(cluster.worker_spec) - set(
        cluster.workers
    ):
        cluster.scale(len(cluster.worker_spec))


def start_slurm(path: Path, cluster_class: Any = None) -> Any:
    """Return a cluster whose workers are jobs of SLURM.

    Parameters
    ----------
    path : Path
        YAML file with the options of a job (`slurm_options`).
    cluster_class : type, optional
        Default: `dask_jobqueue.SLURMCluster`.

    Raises
    ------
    ClusterError, SettingsError
    """
    options, scale = slurm_options(read_yaml(path), str(path))
    try:
        cluster = (cluster_class or _slurm_cluster_class())(**options)
    except (TypeError, ValueError) as error:
        raise ClusterError(f"{path}: {error}; correct the options in this file") from error
    if "maximum_jobs" in scale:
        cluster.adapt(minimum_jobs=scale.get("minimum_jobs", 1), maximum_jobs=scale["maximum_jobs"])
    else:
        cluster.scale(jobs=scale["jobs"])
    return cluster


def _slurm_cluster_class() -> Any:
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise ClusterError(
            f"dask-jobqueue is not installed ({error}); install napari-ini3d[cluster]"
        ) from error
    return SLURMCluster


def _stop_memory_manager(client: Any) -> bool:
    """Stop the active memory manager, which drops copies; return whether it was running."""
    running = bool(client.amm.running())
    if running:
        client.amm.stop()
    return running


def _resume_memory_manager(client: Any, was_running: bool) -> None:
    if was_running and client.status == "running":
        client.amm.start()


def _close(closable: Any) -> None:
    """Close a client or a cluster; one that is gone is closed already."""
    try:
        closable.close(timeout=_CLOSING)
    except (OSError, RuntimeError, TimeoutError) as error:
        logger.debug("closing %s: %s", closable, error)
