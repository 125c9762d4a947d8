"""`ini3d symmetry relax`: the asymmetric unit of each particle of a run."""

from __future__ import annotations

from pathlib import Path

import typer

from napari_ini3d.cli.display import emit, say
from napari_ini3d.cli.outputs import refuse_overwriting
from napari_ini3d.cli.session import StopRequest
from napari_ini3d.cli.symmetry.display import print_outputs, print_warnings
from napari_ini3d.jobs import RelaxationFiles, relax_run
from napari_ini3d.runs import ClassChoice, RunFolder


def relax_files(
    path: Path,
    group: str,
    files: RelaxationFiles,
    *,
    choice: ClassChoice,
    impose_subgroup: bool,
    force: bool,
    threads: int,
    as_json: bool,
) -> None:
    """Relax the symmetry of a run, write what follows, and report it.

    Raises
    ------
    typer.Exit
        With 128 plus the signal where the work was interrupted; nothing is written then.
    """
    folder = RunFolder.open(path)
    refuse_overwriting(list(files.paths().values()), folder.outputs())
    stop = StopRequest()
    with stop.listening():
        found = relax_run(
            path, group, files, choice=choice, impose_subgroup=impose_subgroup, force=force,
            threads=threads, stop=stop,
        )  # fmt: skip
    if found is None:
        raise typer.Exit(stop.exit_code)
    print_warnings(found.alignment.warnings)
    written = {name: str(target) for name, target in files.paths().items()}
    if as_json:
        emit("relaxed", {"run": str(path), **found.values(), **written})
        return
    say(f"{found.n_particles} particles, {found.n_moved} of them in another unit of {found.group}")
    say(found.verdict)
    print_outputs(written)
