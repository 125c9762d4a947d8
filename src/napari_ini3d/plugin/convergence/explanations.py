"""Names and tooltips of the controls of the dock *Convergence*."""

from __future__ import annotations

EXPLANATIONS: dict[str, tuple[str, str]] = {
    "runs": (
        "Run",
        "The run that is shown: that of this window, or one opened from its folder.",
    ),
    "open": (
        "Open a run folder",
        "Show a finished run, or one that is running elsewhere: choose its output folder.",
    ),
    "classes": (
        "Class",
        "All classes, or one. The tab FSC shows all iterations of one class, or all classes "
        "of one iteration.",
    ),
    "slider": (
        "Iteration",
        "Show an earlier iteration. At the right end, the slider follows the newest.",
    ),
    "viewer_button": (
        "Show in viewer",
        "Show the maps of this iteration in the viewer. Clicking in a plot does the same.",
    ),
    "export": (
        "Export",
        "Save this tab as an image, or the values as a table.",
    ),
}
"""Accessible name and tooltip, by the attribute of the dock."""
