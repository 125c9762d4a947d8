"""Relax the symmetry of a run, and expand or fold the poses of a STAR file."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QObject

from napari_ini3d.errors import Ini3dError, SettingsError
from napari_ini3d.geometry import PointGroup
from napari_ini3d.io import expand_particles, fold_particles
from napari_ini3d.jobs import RelaxationFiles, RelaxedRun, relax_run
from napari_ini3d.plugin.reader import read_files
from napari_ini3d.plugin.symmetry import tasks
from napari_ini3d.plugin.symmetry.controller import SymmetryController
from napari_ini3d.plugin.symmetry.impose import ask_open, ask_save, particles_of
from napari_ini3d.plugin.symmetry.panels import AlignPanel
from napari_ini3d.plugin.symmetry.particles_panel import ParticlesPanel
from napari_ini3d.plugin.viewer import BackgroundOpening, Task, get_metadata
from napari_ini3d.runs import RunFolder

if TYPE_CHECKING:
    from napari.layers import Image

_MRC, _STAR, _RUN = "MRC map (*.mrc)", "Particles (*.star)", "Log of a run (log.txt)"
_EXPECTED_ITERATIONS = 90  # of a relaxation: for its progress only

Write = Callable[[Path, Path, PointGroup], int]


class ParticlesControl(QObject):
    """Actions of the buttons in *Particles*.

    Parameters
    ----------
    controller : SymmetryController
    panel : ParticlesPanel
    align : AlignPanel
        Its group is proposed.
    """

    def __init__(
        self, controller: SymmetryController, panel: ParticlesPanel, align: AlignPanel
    ) -> None:
        super().__init__(controller)
        self._controller, self._panel, self._align = controller, panel, align
        panel.relax.clicked.connect(self._on_relax)
        panel.expand.clicked.connect(self._on_expand)
        panel.fold.clicked.connect(self._on_fold)
        controller.map_changed.connect(self._on_map_changed)

    def propose_group(self) -> None:
        """Choose the group that was found in the map, or aligned to."""
        self._panel.group.setCurrentText(self._align.chosen_group)

    def _on_map_changed(self, layer: Image | None) -> None:
        self._panel.show_run(run_of(layer))
        self._panel.result.setText("")

    def _on_relax(self) -> None:
        try:
            group = tasks.check_group(self._panel.chosen_group)
            folder = run_of(self._controller.layer)
            if folder is None:
                log = ask_open("Run to relax: its log.txt", None, _RUN)
                if log is None:
                    return
                folder = log.parent
            target = ask_save("Save the map of the relaxed run",
                              folder / f"relaxed_{group.name}.mrc", _MRC)  # fmt: skip
            if target is None:
                return
            files = relaxation_files(target, RunFolder.open(folder))
        except Ini3dError as error:
            show_error(str(error))
            return
        work = functools.partial(relax, folder=folder, group=group, files=files,
                                 impose=self._panel.impose_subgroup.isChecked())  # fmt: skip
        self._panel.result.setText("")
        task = Task(f"Relaxing {group.name}", _EXPECTED_ITERATIONS)
        self._controller.tasks.start(task, work, functools.partial(self._on_relaxed, files))

    def _on_relaxed(self, files: RelaxationFiles, found: RelaxedRun | None) -> None:
        if found is None or self._controller.viewer is None:
            return
        self._panel.result.setText(describe_relaxed(found, files))
        paths = [str(files.map_path)]
        if files.difference_path is not None and found.told_apart:
            paths.append(str(files.difference_path))
        opening = BackgroundOpening.of(self._controller.viewer)
        opening.start("Reading the relaxed map", lambda _: read_files(paths))

    def _on_expand(self) -> None:
        self._rewrite("expanded", "Expanding", expand_particles)

    def _on_fold(self) -> None:
        self._rewrite("folded", "Folding", fold_particles)

    def _rewrite(self, past: str, present: str, write: Write) -> None:
        try:
            group = tasks.check_group(self._panel.chosen_group)
        except Ini3dError as error:
            show_error(str(error))
            return
        layer = self._controller.layer
        start = None if layer is None else particles_of(layer)
        source = ask_open(f"Particles of a map on the axes of {group.name}", start, _STAR)
        if source is None:
            return
        proposed = source.with_name(f"{source.stem}_{past}_{group.name}.star")
        target = ask_save(f"Save the {past} particles", proposed, _STAR)
        if target is not None:
            work = functools.partial(rewrite, source=source, target=target, group=group,
                                     write=write, title=f"{present} {source.name}")  # fmt: skip
            show = functools.partial(self._on_written, past, source, target)
            self._controller.tasks.start(Task(f"{present} {source.name}"), work, show)

    def _on_written(self, past: str, source: Path, target: Path, rows: int) -> None:
        self._panel.written.setText(f"{source.name}, {past}: {rows} poses in {target}")
        show_info(f"Saved {target}")


def run_of(layer: Any) -> Path | None:
    """Return the folder of the run that made the map of a layer; None for other maps."""
    path = None if layer is None else get_metadata(layer, "path")
    if not path:
        return None
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    try:
        return RunFolder.open(folder).path
    except Ini3dError:
        return None


def relaxation_files(target: Path, run: RunFolder) -> RelaxationFiles:
    """Return the files of a relaxation: a map, and beside it the difference and the particles.

    Raises
    ------
    SettingsError
        If a file of the run, or one that was not asked for, would be overwritten.
    """
    stem = target.stem
    files = RelaxationFiles(
        target, target.with_name(f"{stem}.star"), target.with_name(f"{stem}_difference.mrc")
    )
    protected = {path.resolve() for path in run.outputs()}
    for path in files.paths().values():
        if path.resolve() in protected or (path != target and path.exists()):
            raise SettingsError(f"{path} is there already; choose another name")
    return files


def relax(
    task: Task, folder: Path, group: PointGroup, files: RelaxationFiles, *, impose: bool
) -> RelaxedRun | None:
    """Relax the symmetry of a run, and write what follows; None if it was cancelled."""
    task.step(f"Aligning the map to {group.name}")
    iterations = 0

    def stop() -> bool:
        nonlocal iterations
        if task.cancelled:
            return True
        iterations += 1
        task.step(f"Relaxing {group.name}, iteration {iterations}")
        return False

    return relax_run(folder, group.name, files, impose_subgroup=impose, stop=stop)


def rewrite(
    task: Task, source: Path, target: Path, group: PointGroup, *, write: Write, title: str
) -> int:
    """Write the poses of a STAR file under the operators of a group, and return their number.

    Raises
    ------
    SettingsError
        If the source would be overwritten.
    """
    if source.resolve() == target.resolve():
        raise SettingsError(f"{target} is the file of the original particles; choose another file")
    task.step(title)
    return write(source, target, group)


def describe_relaxed(found: RelaxedRun, files: RelaxationFiles) -> str:
    """Return the result of a relaxation in words, with the files that were written."""
    names = ", ".join(path.name for path in files.paths().values())
    return (
        f"{found.n_moved} of {found.n_particles} particles are in another unit of {found.group}. "
        f"{found.verdict[0].upper()}{found.verdict[1:]}.\n"
        f"Written to {files.map_path.parent}: {names}"
    )
