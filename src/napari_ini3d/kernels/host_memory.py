"""Free main memory: of the system, of control groups (SLURM, Docker), and of the process.

Control groups: https://docs.kernel.org/admin-guide/cgroup-v2.html and
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from napari_ini3d._address_space import address_space_limit

_UNLIMITED = 2**60  # version 1 writes the largest multiple of a page


@dataclass(frozen=True, slots=True)
class _Names:
    """Names of the files of a version of control groups."""

    filesystem: str
    limit: str
    usage: str
    cache: str


_V1 = _Names("cgroup", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2 = _Names("cgroup2", "memory.max", "memory.current", "inactive_file")


def free_memory(proc: Path = Path("/proc")) -> int | None:
    """Return the bytes of memory that this process may still take; None if nothing reports them.

    Parameters
    ----------
    proc : Path
        Where the system describes itself.
    """
    found = [*_of_system(proc), *_of_groups(proc), *_of_process(proc)]
    return max(0, min(found)) if found else None


def _of_system(proc: Path) -> Iterator[int]:
    with suppress(OSError, ValueError, IndexError):
        for line in (proc / "meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                yield 1024 * int(line.split()[1])
                return
    if not proc.exists():  # macOS, Windows
        yield int(psutil.virtual_memory().available)


def _of_process(proc: Path) -> Iterator[int]:
    """Yield what the limit of the address space (``ulimit -v``) leaves."""
    limit = address_space_limit()
    if limit is not None and hasattr(os, "sysconf"):
        with suppress(OSError, ValueError, IndexError):
            pages = int((proc / "self" / "statm").read_text("ascii").split()[0])
            yield limit - pages * os.sysconf("SC_PAGE_SIZE")


def _of_groups(proc: Path) -> Iterator[int]:
    """Yield what each control group of this process, and each above it, leaves."""
    for names, top, group in _memory_groups(proc):
        folder = top / group
        while True:
            yield from _of_group(folder, names)
            if folder == top:
                break
            folder = folder.parent


def _of_group(folder: Path, names: _Names) -> Iterator[int]:
    with suppress(OSError, ValueError):
        limit = (folder / names.limit).read_text("ascii").strip()
        if limit == "max" or int(limit) >= _UNLIMITED:
            return
        used = int((folder / names.usage).read_text("ascii"))
        yield int(limit) - used + _cache(folder, names)


def _cache(folder: Path, names: _Names) -> int:
    """Return the bytes of files in memory that the system gives up first."""
    with suppress(OSError, ValueError):
        for line in (folder / "memory.stat").read_text("ascii").splitlines():
            name, _, value = line.partition(" ")
            if name == names.cache:
                return int(value)
    return 0


def _memory_groups(proc: Path) -> Iterator[tuple[_Names, Path, str]]:
    """Yield where groups are mounted, and the group of this process relative to that."""
    with suppress(OSError, ValueError):
        mounts = list(_mounts(proc))
        for line in (proc / "self" / "cgroup").read_text().splitlines():
            number, controllers, group = line.split(":", 2)
            is_v2 = number == "0" and not controllers
            if not is_v2 and "memory" not in controllers.split(","):
                continue
            names = _V2 if is_v2 else _V1
            for filesystem, options, root, top in mounts:
                if filesystem == names.filesystem and (is_v2 or "memory" in options):
                    inside = os.path.relpath(group, root)
                    # a container sees its own group as the root of the mount
                    yield names, top, "" if inside.startswith("..") else inside
                    break


def _mounts(proc: Path) -> Iterator[tuple[str, list[str], str, Path]]:
    """Yield file system, options, root and place of each mount."""
    for line in (proc / "self" / "mountinfo").read_text().splitlines():
        place, _, source = line.partition(" - ")
        fields, (filesystem, _, options) = place.split(), source.split(maxsplit=2)
        yield filesystem, options.split(","), fields[3], Path(fields[4])
