"""Verdict on a finished run and on its symmetry, with buttons for its map, symmetry and report."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType

from napari.utils.notifications import show_error
from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_ini3d.errors import Ini3dError
from napari_ini3d.plugin.compare import show_symmetry_of_run
from napari_ini3d.plugin.session import show_result
from napari_ini3d.plugin.viewer import WrappedLabel, make_flow, open_dock, set_tooltip
from napari_ini3d.runs import RunFolder, SymmetryFiles, ValidationFiles, describe_verdict
from napari_ini3d.settings import AUTO_SYMMETRY

if TYPE_CHECKING:
    import napari

logger = logging.getLogger(__name__)


class RunVerdict(QWidget):
    """Verdict on a run and on its symmetry, and what is done with its result.

    It is hidden if there is none of them.

    Parameters
    ----------
    viewer : weak reference to a napari viewer
        Shows the maps.
    """

    def __init__(self, viewer: ReferenceType[napari.Viewer]) -> None:
        super().__init__()
        self._viewer = viewer
        self._folder: Path | None = None
        self.text = WrappedLabel()
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.text.setAccessibleName("Verdict on the run and its symmetry")
        self.map = QPushButton("Open the map")
        self.symmetry = QPushButton("Find symmetry")
        self.report = QPushButton("Report")
        self.compare = QPushButton("Compare with symmetry")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 2)
        layout.addWidget(self.text)
        layout.addLayout(make_flow(*(button for button, _, _ in self._actions())))
        for button, action, tip in self._actions():
            button.clicked.connect(action)
            set_tooltip(button, tip)
        self.hide()

    def _actions(self) -> tuple[tuple[QPushButton, Callable[[], object], str], ...]:
        return (
            (self.map, self._on_map, "Show the map that is the result of the run, and no other."),
            (
                self.symmetry,
                self._on_symmetry,
                "Show the map that is the result of the run in the dock Symmetry, to detect its "
                "point group, align it and impose the group.",
            ),
            (self.report, self._on_report, "Open the report on the run in the browser."),
            (
                self.compare,
                self._on_compare,
                "Show the map, the aligned map and the map with the point group imposed side by "
                "side, with their symmetry axes and linked cameras.",
            ),
        )

    def show_run(self, folder: Path | None) -> None:
        """Show the verdict on a run and its symmetry; hide it for None, or if there is none."""
        text = "" if folder is None else describe_verdicts(RunFolder(folder))
        self._folder = folder
        self.text.setText(text)
        self.text.setVisible(bool(text))
        has_map = has_report = has_imposed = False
        if folder is not None:
            run = RunFolder(folder)
            has_map, has_report = run.map_path.is_file(), run.report_path.is_file()
            has_imposed = SymmetryFiles(run).symmetrised_path.is_file()
        self.map.setVisible(has_map)
        self.symmetry.setVisible(has_map)
        self.report.setVisible(has_report)
        self.compare.setVisible(has_imposed)
        self.setVisible(bool(text) or has_map or has_report)

    def _on_map(self) -> None:
        viewer = self._viewer()
        if viewer is None or self._folder is None:
            return
        try:
            show_result(viewer, self._folder)
        except Ini3dError as error:
            show_error(str(error))

    def _on_symmetry(self) -> None:
        viewer = self._viewer()
        self._on_map()
        if viewer is not None:
            open_dock(viewer, "Symmetry")

    def _on_report(self) -> None:
        if self._folder is not None:
            path = RunFolder(self._folder).report_path
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))

    def _on_compare(self) -> None:
        viewer = self._viewer()
        if viewer is None or self._folder is None:
            return
        try:
            show_symmetry_of_run(viewer, self._folder)
        except Ini3dError as error:
            show_error(str(error))


def describe_verdicts(folder: RunFolder) -> str:
    """Return the verdict on a run and on its symmetry, in lines; empty if there is none.

    Parameters
    ----------
    folder : RunFolder
    """
    try:
        facts = ValidationFiles(folder).read_facts()
        verdict = "" if facts is None else describe_verdict(facts)
    except (OSError, ValueError, KeyError) as error:
        logger.info("%s: the verdict on the run cannot be read: %s", folder.path, error)
        verdict = ""
    return "\n".join(filter(None, (verdict, describe_symmetry(folder))))


def describe_symmetry(folder: RunFolder) -> str:
    """Return the verdict on the symmetry of a run; empty if none was searched for.

    Parameters
    ----------
    folder : RunFolder
    """
    try:
        facts = SymmetryFiles(folder).read_facts()
        if facts is not None:
            return verdict_text(facts)
        return _describe_failure(folder)
    except (OSError, ValueError, Ini3dError) as error:
        logger.info("%s: the symmetry of the run cannot be read: %s", folder.path, error)
        return ""


def verdict_text(facts: Mapping[str, Any]) -> str:
    """Return the verdict, with a mark that shows whether the group holds.

    Parameters
    ----------
    facts : mapping
        From `SymmetryFiles.read_facts`.
    """
    mark = "✓" if facts.get("holds") else "⚠"
    if facts.get("group") == "C1":
        mark = "–"  # no symmetry is a result, not a fault
    detected = str(facts.get("requested", "")).lower() == AUTO_SYMMETRY
    return f"{mark} Symmetry{' (detected)' if detected else ''}: {facts.get('verdict', '')}"


def _describe_failure(folder: RunFolder) -> str:
    """Return a warning if a finished run has no result for the symmetry that was asked for."""
    if folder.outcome() != "SUCCESS":
        return ""
    settings = folder.read_record().settings
    if settings.symmetry_during_run or settings.symmetry.upper() == "C1":
        return ""
    return f"⚠ Symmetry {settings.symmetry} was not tested; see the log for the reason"
