"""Question to a cluster: what workers it has, asked by a process that can be ended; no Qt here."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_ini3d.errors import ClusterError
from napari_ini3d.plugin.session.run_process import parse_error

_POLL = 0.1  # seconds
_ENDING = 5.0  # seconds for a process that is told to end


@dataclass(frozen=True, slots=True)
class ClusterAnswer:
    """What the workers of a cluster are.

    Attributes
    ----------
    text : str
        Lines for the user.
    problems : tuple of str
        Why a run could not use it.
    dashboard : str
        Address of Dask's page; empty for a cluster that was started for the question only.
    """

    text: str
    problems: tuple[str, ...]
    dashboard: str


def ask_cluster(
    cluster: str, particles: Path | None, threads: int, *, cancelled: Callable[[], bool]
) -> ClusterAnswer | None:
    """Return what a cluster answers to ``ini3d cluster status``; None if it was cancelled.

    Parameters
    ----------
    cluster : str
        As for ``ini3d run --cluster``.
    particles : Path or None
        Particle file whose stacks the workers are asked for.
    threads : int
        Of all processes of a local cluster; 0 for all cores.
    cancelled : callable
        Called while the process runs.

    Raises
    ------
    Ini3dError
        If the cluster does not answer, or is named wrongly.
    """
    words = [sys.executable, "-m", "napari_ini3d", "cluster", "status", cluster, "--json"]
    words += ["--threads", str(threads)]
    words += [] if particles is None else ["--particles", str(particles)]
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while True:
        try:
            answer, said = process.communicate(timeout=_POLL)
            break
        except subprocess.TimeoutExpired:
            if cancelled():
                _end(process)
                return None
    for line in answer.splitlines():
        if line.startswith("{"):
            return describe_answer(json.loads(line), is_local=cluster.startswith("local:"))
    errors = [error for line in said.splitlines() if (error := parse_error(line))]
    if errors:
        raise errors[-1]
    raise ClusterError(f"the test of the cluster has failed ({said.strip()[-500:]}); see its logs")


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    end = time.monotonic() + _ENDING
    while process.poll() is None and time.monotonic() < end:
        time.sleep(_POLL)
    process.kill()
    process.communicate()


def describe_answer(values: dict[str, Any], *, is_local: bool) -> ClusterAnswer:
    """Return the event of ``ini3d cluster status --json`` for the user.

    Parameters
    ----------
    values : dict
    is_local : bool
        Whether the cluster was started for the question only.
    """
    workers = values["workers"]
    hosts: dict[str, dict[str, Any]] = {}
    for worker in workers:
        of_host = hosts.setdefault(worker["host"], {"threads": 0, "memory": 0, "gpus": set()})
        of_host["threads"] += worker["threads"]
        of_host["memory"] = worker["memory_bytes"] or 0
        of_host["gpus"] |= {worker["gpu"]} - {"", None}
    lines = [f"{len(workers)} workers, {values['threads']} threads"]
    for host, found in sorted(hosts.items()):
        gpus = f", GPU {', '.join(sorted(found['gpus']))}" if found["gpus"] else ""
        lines.append(f"{host}: {found['threads']} threads, {found['memory'] / 1e9:.0f} GB{gpus}")
    asked = [worker["missing"] for worker in workers if worker["missing"] is not None]
    if asked and not any(asked) and not values["problems"]:
        lines.append("all packages agree, and all stacks are seen")
    return ClusterAnswer(
        "\n".join(lines), tuple(values["problems"]), "" if is_local else values["dashboard"]
    )
