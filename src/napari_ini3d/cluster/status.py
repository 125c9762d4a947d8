"""State of a cluster: its workers, their threads, memory and packages, and what they see."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from napari_ini3d.cluster.connection import Cluster, reach
from napari_ini3d.cluster.versions import describe_differences, package_versions

_LISTED = 3  # stacks in a message


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a worker says of itself.

    Attributes
    ----------
    memory_bytes, free_bytes : int
        Of its machine.
    gpu : str
        ``CUDA_VISIBLE_DEVICES``: the GPU that was set apart for it; empty if none was.
    versions : dict
        Of the packages that compute.
    missing : tuple of str
        Files that it does not see.
    """

    memory_bytes: int
    free_bytes: int
    gpu: str
    versions: dict[str, str]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """A worker of a cluster.

    Attributes
    ----------
    address, host : str
    threads : int
    report : WorkerReport or None
        None if this package does not run there.
    problems : tuple of str
        Why it cannot compute a run, each with what to do.
    """

    address: str
    host: str
    threads: int
    report: WorkerReport | None
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterStatus:
    """A cluster that answers.

    Attributes
    ----------
    address, dashboard : str
        Of the scheduler; the dashboard is a page for a browser.
    workers : tuple of WorkerStatus
    """

    address: str
    dashboard: str
    workers: tuple[WorkerStatus, ...]

    @property
    def threads(self) -> int:
        """Of all workers."""
        return sum(worker.threads for worker in self.workers)

    @property
    def problems(self) -> tuple[str, ...]:
        """What keeps a run from being computed there, each with what to do."""
        if not self.workers:
            return ("the cluster has no workers yet; start some, or wait until their jobs begin",)
        found = [
            f"{worker.host}: {problem}" for worker in self.workers for problem in worker.problems
        ]
        kinds = {bool(worker.report.gpu) for worker in self.workers if worker.report}
        if len(kinds) > 1:
            found.append("some workers have a GPU and others none; give all workers one, or none")
        return tuple(dict.fromkeys(found))  # a host with several workers has each once


def inspect_cluster(cluster: Cluster, threads: int, stacks: Sequence[Path] = ()) -> ClusterStatus:
    """Return the state of a cluster; one of this machine is started for it, and ended.

    Parameters
    ----------
    cluster : ClusterSpec or OpenCluster
    threads : int
        Of all processes of a local cluster together.
    stacks : sequence of Path
        Files that each worker is asked whether it sees.

    Raises
    ------
    ClusterError
        If the cluster does not answer.
    """
    paths = [str(path.absolute()) for path in stacks]
    with reach(cluster, threads) as client:
        known = client.scheduler_info(n_workers=-1)
        reports = client.run(report_worker, paths, on_error="return")
        workers = [
            _worker_status(address, each, reports.get(address))
            for address, each in known["workers"].items()
        ]
        return ClusterStatus(
            address=str(known["address"]),
            dashboard=str(client.dashboard_link or ""),
            workers=tuple(sorted(workers, key=lambda worker: (worker.host, worker.address))),
        )


def report_worker(paths: Sequence[str]) -> WorkerReport:
    """Return what is known in a worker; called there."""
    memory = psutil.virtual_memory()
    return WorkerReport(
        memory_bytes=memory.total,
        free_bytes=memory.available,
        gpu=os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        versions=package_versions(),
        missing=tuple(path for path in paths if not os.access(path, os.R_OK)),
    )


def _worker_status(address: str, known: dict[str, Any], found: Any) -> WorkerStatus:
    report = found if isinstance(found, WorkerReport) else None
    return WorkerStatus(
        address=address,
        host=str(known.get("host", socket.gethostname())),
        threads=int(known["nthreads"]),
        report=report,
        problems=(f"{found}; install this package there",) if report is None else _judge(report),
    )


def _judge(report: WorkerReport) -> tuple[str, ...]:
    """Return what keeps a worker from computing a run."""
    problems = []
    different = describe_differences(package_versions(), report.versions)
    if different:
        problems.append(f"{different}; install the same everywhere")
    if report.missing:
        listed = ", ".join(report.missing[:_LISTED])
        more = len(report.missing) - _LISTED
        others = f" and {more} more" if more > 0 else ""
        problems.append(f"it does not see {listed}{others}; mount the disk under the same path")
    return tuple(problems)
