"""Commands, each in a process of its own that begins with the packages for computing loaded.

Where processes can be forked, this takes a fifth of the time of a process that loads them itself.
"""

import contextlib
import io
import multiprocessing
import os
import sys
from pathlib import Path

LOADED = (
    *("numpy", "scipy.fft", "scipy.ndimage", "scipy.optimize", "scipy.spatial.transform"),
    *("numba", "mrcfile", "starfile", "pandas", "typer", "rich.console", "psutil"),
    *("napari_ini3d.cli.app", "napari_ini3d.engine.initial_model", "napari_ini3d.jobs.run"),
    *("napari_ini3d.simulation.dataset", "napari_ini3d.symmetry.detect"),
)


def loaded_after_command(
    command: str, folder: Path, packages: tuple[str, ...], first: str = ""
) -> set[str]:
    """Which of some packages are loaded after a command that succeeds in a folder."""
    can_fork = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if can_fork else "spawn")
    if can_fork:
        context.set_forkserver_preload([*LOADED])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(command, str(folder), packages, first, theirs))
    process.start()
    theirs.close()
    try:
        code, said, loaded = ours.recv()
    finally:
        process.join()
    assert not code, said
    return loaded


def _run(command, folder, packages, first, answer):
    os.chdir(folder)
    exec(first, {})
    from napari_ini3d.cli import main

    sys.argv = ["ini3d", *command.split()]
    said, code = io.StringIO(), None
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main()
        except SystemExit as end:
            code = end.code
    answer.send((code, said.getvalue(), set(sys.modules) & set(packages)))
