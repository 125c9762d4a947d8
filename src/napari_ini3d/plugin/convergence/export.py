"""Export of plots and tables of a run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QFileDialog, QMenu, QPushButton

from napari_ini3d.errors import Ini3dError, RunFolderError
from napari_ini3d.io import atomic_path
from napari_ini3d.plugin.convergence.panel import Panel
from napari_ini3d.plugin.convergence.run_tables import write_iterations, write_shells
from napari_ini3d.plugin.viewer import with_ending


class ExportButton(QPushButton):
    """Button to save a panel as PNG, or the values of its run as CSV.

    Parameters
    ----------
    seen : callable
        Returns the visible panel.
    """

    def __init__(self, seen: Callable[[], Panel]) -> None:
        super().__init__()
        self._seen = seen
        self.setText("Save plot")
        menu = QMenu(self)
        for text, name, save in (
            ("This tab as PNG …", "plot.png", self.save_picture),
            ("Iterations as CSV …", "iterations.csv", self.save_iterations),
            ("FSC and SSNR as CSV …", "shells.csv", self.save_shells),
        ):
            menu.addAction(text, functools.partial(self._ask, name, save))
        self.setMenu(menu)

    def save_picture(self, path: Path) -> None:
        """Write the visible panel as a PNG file.

        Raises
        ------
        RunFolderError
            If the file cannot be written.
        """
        picture = self._seen().render_picture()
        with atomic_path(path) as temporary:
            if not picture.save(str(temporary), "PNG"):
                raise RunFolderError(
                    f"cannot write {path}; free some space, or choose another folder"
                )

    def save_iterations(self, path: Path) -> None:
        """Write the values of all iterations as CSV."""
        write_iterations(path, self._seen().view.summaries)

    def save_shells(self, path: Path) -> None:
        """Write FSC and SSNR of all iterations as CSV."""
        write_shells(path, self._seen().view.summaries)

    def _ask(self, name: str, save: Callable[[Path], None]) -> None:
        """Ask for a file, and save."""
        folder = self._seen().view.folder
        suggested = name if folder is None else str(folder / name)
        ending = Path(name).suffix
        chosen, _ = QFileDialog.getSaveFileName(self, "Save plot", suggested, f"(*{ending})")
        if not chosen:
            return
        path = with_ending(chosen, ending)
        try:
            save(path)
        except Ini3dError as error:
            show_error(str(error))
        else:
            show_info(f"Saved {path}")
