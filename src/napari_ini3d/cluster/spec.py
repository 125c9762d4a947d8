"""Which cluster: processes of this machine, one that runs already, or jobs of SLURM."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from napari_ini3d.errors import SettingsError

_ADDRESS = re.compile(r"(tcp|tls|ucx|ucxx|ws|wss)://\S+")
_CHOICES = "choose local:4, tcp://host:8786, slurm:cluster.yaml, or the scheduler file of a cluster"

Kind = Literal["local", "address", "file", "slurm"]


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """A cluster as a user names it.

    Attributes
    ----------
    kind : str
        "local", "address", "file" (that a scheduler wrote) or "slurm".
    value : str
        Number of processes, address or path.
    text : str
        As the user wrote it.
    """

    kind: Kind
    value: str
    text: str

    @property
    def workers(self) -> int:
        """Processes of a local cluster."""
        return int(self.value)


def parse_spec(text: str) -> ClusterSpec:
    """Return the cluster that a user named.

    Parameters
    ----------
    text : str
        ``local:4``, ``tcp://host:8786``, ``slurm:cluster.yaml`` or a path.

    Raises
    ------
    SettingsError
        If it is none of these, or the file does not exist.
    """
    kind, _, value = text.partition(":")
    if kind == "local":
        if not value.isdecimal() or int(value) < 1:
            raise SettingsError(f"cluster is {text!r}; give the number of processes, as in local:4")
        return ClusterSpec("local", value, text)
    if _ADDRESS.fullmatch(text):
        return ClusterSpec("address", text, text)
    if kind == "slurm":
        return ClusterSpec("slurm", _existing(value, text), text)
    return ClusterSpec("file", _existing(text, text), text)


def _existing(path: str, text: str) -> str:
    if not path or not Path(path).is_file():
        raise SettingsError(f"cluster is {text!r}, but there is no file {path!r}; {_CHOICES}")
    return path


def slurm_options(loaded: Any, path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of a job and those of how many there are, from a YAML file's content.

    A worker ends by itself before its job does, so that its work goes to others, unless
    `worker_extra_args` has a ``--lifetime``.

    Parameters
    ----------
    loaded : dict
        Options of `dask_jobqueue.SLURMCluster`, and `jobs` (a number), or `minimum_jobs` and
        `maximum_jobs`.
    path : str
        For messages.

    Raises
    ------
    SettingsError
    """
    if not isinstance(loaded, dict) or not all(isinstance(name, str) for name in loaded):
        raise SettingsError(f"{path} has no options; expected lines such as `cores: 16`")
    options = dict(loaded)
    scale = {
        name: options.pop(name)
        for name in ("jobs", "minimum_jobs", "maximum_jobs")
        if name in options
    }
    for name, number in scale.items():
        if not isinstance(number, int) or number < 0:
            raise SettingsError(f"{path}: {name} is {number!r}; expected a number of jobs")
    if "jobs" not in scale and "maximum_jobs" not in scale:
        raise SettingsError(
            f"{path} has neither jobs nor maximum_jobs; give one, such as `jobs: 4`"
        )
    extra = [str(word) for word in options.get("worker_extra_args", [])]
    seconds = _walltime_seconds(options.get("walltime"))
    if seconds and "--lifetime" not in extra:
        left = max(60, seconds - max(120, seconds // 20))
        extra += ["--lifetime", f"{left}s", "--lifetime-stagger", "60s"]
    return options | {"worker_extra_args": extra}, scale


def _walltime_seconds(walltime: object) -> int | None:
    """Return the seconds of [days-]hours:minutes:seconds; None for other forms."""
    found = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+):(\d+)", str(walltime))
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
