"""Time to draw a new map and to turn it with the mouse, as mesh and as volume.

    xvfb-run -a -s "-screen 0 1600x1200x24" python benchmarks/rendering.py 128

Without a GPU, OpenGL is computed by the CPU. Times are the medians of wall time and of CPU time of
this process (all threads), so that a busy machine can be told from slow drawing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import napari
import numpy as np
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from napari_ini3d.plugin.viewer import MapMeshes, map_layers, show_map
from napari_ini3d.simulation import make_phantom

WINDOW = (1280, 800)
ITERATIONS, MOVES = 5, 20


def canvas_of_window() -> QWidget:
    """Return the widget on which napari draws."""
    for widget in QApplication.allWidgets():
        if "CanvasBackend" in type(widget).__name__ and widget.isVisible():
            return widget
    raise RuntimeError("napari has no canvas")


def timed(action: Callable[[], None]) -> tuple[float, float]:
    """Return wall time and CPU time of an action, s."""
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(kind: str, box_size: int) -> None:
    """Measure one kind of drawing, and print the times."""
    map_layers.map_rendering = lambda: kind  # type: ignore[attr-defined]
    viewer = napari.Viewer(show=True)
    viewer.window.resize(*WINDOW)
    phantom = make_phantom("C1", seed=5, diameter=1.8 * box_size)
    maps = [phantom.density(box_size, 3.0, 10.0 + k).astype(np.float32) for k in range(2)]

    def show(volume: np.ndarray) -> None:
        layer = show_map(viewer, volume, 3.0, "map")
        mesh = MapMeshes.of(viewer).find(layer)
        QApplication.processEvents()
        while mesh is not None and mesh.busy:
            QApplication.processEvents()
        canvas.grabFramebuffer()  # waits until all is drawn

    canvas = canvas_of_window()
    show(maps[0])
    updates = [timed(lambda k=k: show(maps[k % 2])) for k in range(1, ITERATIONS + 1)]
    middle = QPoint(canvas.width() // 2, canvas.height() // 2)
    angles = viewer.scene.camera.angles
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=middle)

    def move(step: int) -> None:
        QTest.mouseMove(canvas, middle + QPoint(8 * step, 3 * step))
        QApplication.processEvents()
        canvas.grabFramebuffer()

    moves = [timed(lambda k=k: move(k)) for k in range(1, MOVES + 1)]
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=middle)
    turned = float(np.abs(np.subtract(viewer.scene.camera.angles, angles)).max())
    wall, cpu = np.median(updates, axis=0)
    drag_wall, drag_cpu = np.median(moves, axis=0)
    print(
        f"{box_size}^3 {kind:7s} canvas {canvas.width()} x {canvas.height()}: new map painted in "
        f"{wall:.2f} s ({cpu:.2f} CPU s); a move of the mouse {drag_wall:.3f} s "
        f"({drag_cpu:.3f} CPU s), {1 / drag_wall:.1f} frames/s; turned by {turned:.0f} degrees",
        flush=True,
    )
    viewer.close()


if __name__ == "__main__":
    for side in map(int, sys.argv[1:] or ["128"]):
        for drawn_as in ("mesh", "volume"):
            measure(drawn_as, side)
