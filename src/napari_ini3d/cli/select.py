"""`ini3d select`: the particles of a run without the junk."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from napari_ini3d.cli.display import emit, say
from napari_ini3d.cli.outputs import refuse_overwriting
from napari_ini3d.runs import JunkSelection, RunFolder, run_files, select_particles


def select_files(
    run: Path,
    output: Path,
    rejected: Path | None,
    *,
    max_junk: float,
    iteration: int | None,
    as_json: bool,
) -> None:
    """Write the particles of a run that stay, and those that leave, and report their numbers."""
    folder = RunFolder.open(run)
    targets = [path for path in (output, rejected) if path is not None]
    inputs = [*run_files(folder), Path(folder.read_record().particles)]
    refuse_overwriting(targets, inputs)
    selection = select_particles(folder, max_junk=max_junk, iteration=iteration)
    others = rejected if selection.n_rejected else None
    if others is not None:
        selection.write(others, kept=False)
    selection.write(output, kept=True)
    if as_json:
        paths = {"output": str(output), "rejected_output": None if others is None else str(others)}
        emit("selected", _values(selection) | paths)
        return
    _say_numbers(selection)
    say(f"Particles: {output}")
    if rejected is not None:
        say(f"Rejected:  {others or f'none; {rejected} is not written'}")


def _values(selection: JunkSelection) -> dict[str, object]:
    return {
        "particles": str(selection.found.table.path),
        "iteration": selection.iteration,
        "max_junk": selection.max_junk,
        "kept": selection.n_kept,
        "rejected": selection.n_rejected,
        "unassigned": selection.n_unassigned,
        "groups": [dataclasses.asdict(group) for group in selection.count_groups()],
    }


def _say_numbers(selection: JunkSelection) -> None:
    kept, rejected = selection.n_kept, selection.n_rejected
    say(
        f"Iteration {selection.iteration}: {kept} of {kept + rejected} particles stay, {rejected} "
        f"leave (probability of junk above {selection.max_junk:g})"
    )
    groups = list(selection.count_groups())
    if len(groups) > 1:
        for group in groups:
            say(f"  {group.name}: {group.kept} stay, {group.rejected} leave")
    if selection.n_unassigned:
        say(
            f"{selection.n_unassigned} of them were not used up to this iteration, so that nothing "
            "is known about them; they stay"
        )
