"""Names and tooltips of the controls of the dock *Convergence*."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_ini3d.plugin.convergence.dock import ConvergenceWidget


def explain_controls(dock: ConvergenceWidget) -> None:
    """Set accessible names and tooltips."""
    for widget, name, text in (
        (
            dock.runs,
            "Run",
            "The run that is shown: that of this window, or one opened from its folder.",
        ),
        (
            dock.open,
            "Open a run folder",
            "Show a finished run, or one that is running elsewhere: choose its output folder.",
        ),
        (
            dock.classes,
            "Class",
            "All classes, or one. The tab FSC shows all iterations of one class, or all classes "
            "of one iteration.",
        ),
        (
            dock.slider,
            "Iteration",
            "Show an earlier iteration. At the right end, the slider follows the newest.",
        ),
        (
            dock.viewer_button,
            "Show in viewer",
            "Show the maps of this iteration in the viewer. Clicking in a plot does the same.",
        ),
        (dock.export, "Export", "Save this tab as an image, or the values as a table."),
    ):
        widget.setAccessibleName(name)
        widget.setToolTip(f"<p>{text}</p>")
