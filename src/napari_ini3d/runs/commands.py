"""Shell command and Python script equivalent to a run."""

from __future__ import annotations

import dataclasses
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_ini3d.settings import InitialModelSettings

_PYTHON = """\
from pathlib import Path

from napari_ini3d import InitialModelSettings, start_run

settings = InitialModelSettings({arguments})
for report in start_run(Path({particles!r}), Path({output!r}), settings{cluster}):
    print(report.iteration, report.message)
"""


def flag_of(name: str) -> str:
    """Return the long option of a setting: ``mask_diameter`` gives ``--mask-diameter``."""
    return "--" + name.replace("_", "-")


def join_words(words: Sequence[str]) -> str:
    """Return words as a command, quoted for the shell of this system."""
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)


def run_command(
    particles: Path | str, output: Path | str, settings: InitialModelSettings, cluster: str = ""
) -> str:
    """Return the equivalent `ini3d run` command, quoted for a shell."""
    return join_words(["ini3d", *run_arguments(particles, output, settings, cluster)])


def run_arguments(
    particles: Path | str, output: Path | str, settings: InitialModelSettings, cluster: str = ""
) -> list[str]:
    """Return the arguments of the equivalent `ini3d run` command, ``run`` first."""
    words = ["run", str(particles), "--output", str(output)]
    for name, value in changed_settings(settings).items():
        words += _words(name, value)
    return words + cluster_words(cluster)


def cluster_words(cluster: str) -> list[str]:
    """Return the option of a cluster; none if it is empty."""
    return ["--cluster", cluster] if cluster else []


def resume_command(path: Path) -> str:
    """Return the command that continues a run, quoted for a shell."""
    return join_words(["ini3d", *resume_arguments(path)])


def resume_arguments(path: Path, **choice: int | None) -> list[str]:
    """Return the arguments of the command that continues a run, ``resume`` first.

    Parameters
    ----------
    path : Path
        Folder of the run.
    **choice : int or None
        Options of `jobs.resume_run`; None is left out.
    """
    words = ["resume", str(path)]
    for name, value in choice.items():
        words += [] if value is None else [flag_of(name), str(value)]
    return words


def run_python(
    particles: Path | str, output: Path | str, settings: InitialModelSettings, cluster: str = ""
) -> str:
    """Return an equivalent Python script."""
    changed = changed_settings(settings).items()
    lines = "".join(f"\n    {name}={value!r}," for name, value in changed)
    arguments = f"{lines}\n" if lines else ""
    return _PYTHON.format(
        arguments=arguments,
        particles=str(particles),
        output=str(output),
        cluster=f", cluster={cluster!r}" if cluster else "",
    )


def changed_settings(settings: InitialModelSettings) -> dict[str, Any]:
    """Return the settings that differ from their defaults."""
    values = ((field, getattr(settings, field.name)) for field in dataclasses.fields(settings))
    return {field.name: value for field, value in values if value != field.default}


def _words(name: str, value: Any) -> list[str]:
    flag = flag_of(name)
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag[2:]}"]
    return [flag, str(value)]
