"""A cluster that is started by itself, for several runs, and stopped by its scheduler file."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_ini3d.cluster.connection import open_cluster, reach
from napari_ini3d.cluster.spec import ClusterSpec
from napari_ini3d.errors import ClusterError, SettingsError
from napari_ini3d.io import atomic_path

_POLL = 0.2  # seconds
_KEY, _SERVED, _TO_END = "napari-ini3d", "served", "to end"  # metadata of the scheduler
_ENDING = 60.0  # seconds
_GONE = 3.0  # seconds without its scheduler, after which a cluster has ended


def serve_cluster(
    spec: ClusterSpec,
    threads: int,
    scheduler_file: Path,
    *,
    stop: Callable[[], bool],
    on_start: Callable[[str], object],
) -> None:
    """Start a cluster, write its scheduler file, and return when it has been stopped.

    Parameters
    ----------
    spec : ClusterSpec
        Of this machine, or of SLURM.
    threads : int
        Of all processes of a local cluster together.
    scheduler_file : Path
        Removed at the end.
    stop : callable
        The cluster is ended when it returns True, and when someone else has (`stop_cluster`).
    on_start : callable
        Called with the address of the dashboard.

    Raises
    ------
    SettingsError
        If the cluster runs already, or the file exists.
    ClusterError
        If it cannot be started.
    """
    if spec.kind not in ("local", "slurm"):
        raise SettingsError(
            f"cluster is {spec.text!r}, which runs already; choose local:4 or slurm:cluster.yaml"
        )
    check_is_new(scheduler_file)
    with open_cluster(spec, threads) as opened, reach(opened, threads) as client:
        with atomic_path(scheduler_file) as temporary:
            client.write_scheduler_file(str(temporary))
        client.set_metadata(_KEY, _SERVED)
        try:
            on_start(str(client.dashboard_link or ""))
            while not stop() and _is_wanted(client):
                time.sleep(_POLL)
        finally:
            scheduler_file.unlink(missing_ok=True)


def check_is_new(scheduler_file: Path) -> None:
    """Raise `SettingsError` if a scheduler file exists: a cluster may run."""
    if scheduler_file.exists():
        raise SettingsError(
            f"{scheduler_file} exists; stop that cluster with `ini3d cluster stop`, delete the "
            "file if it is gone, or give another file"
        )


def _is_wanted(client: Any) -> bool:
    """Return whether nobody has asked for the end of a cluster, or has ended it."""
    end = time.monotonic() + _GONE
    while client.status != "running":
        if time.monotonic() > end:
            return False
        time.sleep(_POLL)
    try:
        return bool(client.get_metadata(_KEY) != _TO_END)
    except OSError:
        return True  # it is looked at again


def stop_cluster(spec: ClusterSpec) -> None:
    """End a cluster that runs, with its scheduler and its workers.

    Parameters
    ----------
    spec : ClusterSpec
        An address, or a scheduler file.

    Raises
    ------
    SettingsError
        If it is not a cluster that runs.
    ClusterError
        If it does not answer, or does not end.
    """
    if spec.kind not in ("address", "file"):
        raise SettingsError(
            f"cluster is {spec.text!r}, which ends with its run; give an address or a scheduler "
            "file"
        )
    with reach(spec, 1) as client:
        if client.get_metadata(_KEY, None) is None:  # of `dask scheduler`
            client.shutdown()
            return
        client.set_metadata(_KEY, _TO_END)  # its process removes the file, and ends it
        end = time.monotonic() + _ENDING
        while spec.kind == "file" and Path(spec.value).exists():
            if time.monotonic() > end:
                raise ClusterError(
                    f"the cluster {spec.text} was asked to end, and has not done so for "
                    f"{_ENDING:.0f} s; end the process that started it"
                )
            time.sleep(_POLL)
