"""Time of the window's thread while a run streams maps into it, for maps of 64³ to 256³.

usage: xvfb-run -a -s "-screen 0 1600x1200x24" gui_updates.py OUTPUT.json [--sizes 64 96 ...]
           [--updates 30] [--seconds 90]

A fake engine writes maps to a run folder as fast as it can, in a thread. They are followed, as
those of a process are, into a real window of 1366 x 768 with the docks *Initial model* and
*Convergence* open. It computes nothing, so that there are far more iterations than can be shown.
Every event of the window's thread is timed:

update
    The events in which the session showed a map: replace the maps of the layers, compute
    statistics, set level and contrast, notify the docks. Wall time (including waits for Python's
    lock and for the cores, which the worker uses, too) and processor time of the thread. The first
    one, which creates the layer, is reported separately.
drawing
    Repainting of the window including the canvas, until everything is on the screen; also if an
    update requested it immediately (as Qt's progress bar does), which is then not counted there.
    On a virtual display OpenGL runs in software (see ``renderer``), and its time grows with the
    pixels that the map covers: the box is shown 60 pixels wide, to get enough updates.
repainting
    The same, if only docks were painted.
other
    Everything else.

"dropped" is the number of iterations whose maps were never shown, because newer ones had arrived. A
size ends after a number of updates or seconds. The iterations per second of the worker are also
measured without a window: the run must not wait for the drawing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from threading import Thread
from typing import Any
from unittest import mock

import napari
import numpy as np
from qtpy.QtCore import QEvent, QEventLoop, QTimer
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QApplication
from vispy.gloo import gl

from napari_ini3d import InitialModelSettings, __version__
from napari_ini3d.engine import IterationReport
from napari_ini3d.particles import Assignments
from napari_ini3d.plugin.session import RunSession, session as session_module
from napari_ini3d.plugin.session.run_process import Ending
from napari_ini3d.plugin.viewer import show_map
from napari_ini3d.runs import (
    IterationSummary,
    RunFolder,
    RunRecord,
    RunRequests,
    write_history,
    write_newest_maps,
)
from napari_ini3d.simulation import make_phantom

SIZES = (64, 96, 128, 192, 256)
DOCKS = ("Initial model", "Convergence")
KINDS = ("update", "drawing", "repainting", "other")
WINDOW = (1366, 768)
BOX_PIXELS = 60  # of the canvas that a map's box covers; drawing in software goes by pixels
LIMIT_MS = 50.0
BOX, DIAMETER = 160.0, 110.0  # of the maps and of the phantom in them, Å
KEPT = 20  # maps of the history; older ones are deleted to save disk space
BASELINE_SECONDS = 5.0


@dataclass
class Times:
    """Milliseconds of one kind of event on the window's thread."""

    wall: list[float] = field(default_factory=list)
    thread: list[float] = field(default_factory=list)

    def add(self, seconds: Any) -> None:
        self.wall.append(1e3 * float(seconds[0]))
        self.thread.append(1e3 * float(seconds[1]))

    def figures(self, *, skip: int) -> dict[str, Any]:
        wall, thread = np.array(self.wall[skip:]), np.array(self.thread[skip:])
        if not len(wall):
            return {"events": 0}
        return {
            "events": len(wall),
            "median_ms": round(float(np.median(wall)), 2),
            "worst_ms": round(float(wall.max()), 2),
            "share_above_50_ms": round(float(np.mean(wall > LIMIT_MS)), 3),
            "thread_median_ms": round(float(np.median(thread)), 2),
            "thread_worst_ms": round(float(thread.max()), 2),
        }


class TimedApplication(QApplication):
    """An application that times its events by kind: updates, drawing and the rest."""

    def __init__(self) -> None:
        super().__init__([])
        self.updated = False  # set by the session's signal while an event is handled
        self._depth = 0
        self._painted = self._is_repainting = False
        self._repainted = np.zeros(2)  # seconds of wall time and of the thread, all in all
        self.forget()

    def forget(self) -> None:
        self.times = {kind: Times() for kind in KINDS}
        self.longest = 0.0

    def notify(self, receiver: Any, event: Any) -> bool:
        kind = event.type()
        if kind == QEvent.Type.Paint and isinstance(receiver, QOpenGLWidget):
            self._painted = True
        if kind == QEvent.Type.UpdateRequest and not self._is_repainting:
            with self._repainting():
                return bool(super().notify(receiver, event))
        if self._depth:
            return bool(super().notify(receiver, event))
        with self._handling():
            return bool(super().notify(receiver, event))

    @contextmanager
    def _repainting(self) -> Iterator[None]:
        """Time the painting of the widgets and their composition on the screen."""
        self._painted, self._is_repainting = False, True
        started = clocks()
        yield
        taken = clocks() - started
        self._is_repainting = False
        self._repainted = self._repainted + taken
        self.times["drawing" if self._painted else "repainting"].add(taken)
        self._note(taken)

    @contextmanager
    def _handling(self) -> Iterator[None]:
        """Time any other event, without the repainting within it."""
        self.updated, self._depth = False, 1
        started, before = clocks(), self._repainted
        yield
        taken = clocks() - started
        self._depth = 0
        own = taken - (self._repainted - before)
        self.times["update" if self.updated else "other"].add(own)
        self._note(taken)

    def _note(self, taken: Any) -> None:
        if not self._depth:
            self.longest = max(self.longest, 1e3 * float(taken[0]))


def clocks() -> Any:
    """Return wall time and processor time of this thread, in seconds."""
    return np.array([time.perf_counter(), time.thread_time()])


class Stream:
    """Fake `start_run`: writes and yields maps of a phantom until it is stopped."""

    def __init__(self, box_size: int) -> None:
        self.voxel_size = BOX / box_size
        rng = np.random.default_rng(1)
        density = make_phantom("D2", diameter=DIAMETER, seed=1).density(box_size, self.voxel_size)
        noise = rng.normal(0, 0.05 * float(density.std()), (4, *density.shape))
        growing = np.array([0.7, 0.8, 0.9, 1.0])[:, None, None, None]
        self._volumes = (growing * density + noise).astype(np.float32)
        self.box_size = box_size

    def __call__(self, star: Path, output: Path, settings: Any) -> Any:
        folder = RunFolder.create(output)
        record = RunRecord(
            version=__version__,
            command="",
            started="2026-01-01T00:00:00+00:00",
            particles=str(star),
            particles_sha256="",
            n_particles=1,
            settings=settings,
        )
        folder.write_record(record)
        folder.log_path.write_text("started\n")
        return self._walk(folder, RunRequests(folder.path))

    def _walk(self, folder: RunFolder, requests: RunRequests) -> Iterator[IterationReport]:
        iteration = 0
        while not requests.stop_requested:
            iteration += 1
            report = self._report(iteration)
            maps = (folder, iteration, report.volumes, report.voxel_size)
            write_history(*maps)  # as a run does
            write_newest_maps(*maps)
            folder.append_progress(IterationSummary.from_report(report).to_json())
            yield report
            with suppress(FileNotFoundError):
                (folder.path / "history" / f"it{iteration - KEPT:03d}.npz").unlink()

    def _report(self, iteration: int) -> IterationReport:
        shells = self.box_size // 2 + 1
        fsc = 1 / (1 + np.exp(np.arange(shells) - shells / 2))
        one = np.ones(1, np.float32)
        nothing: Any = None  # not used by the window
        no_particles = Assignments(*[np.zeros(0, np.float32)] * len(fields(Assignments)))
        return IterationReport(
            iteration=iteration, n_iterations=2000, phase="search",
            volumes=self._volumes[iteration % len(self._volumes)][None],
            voxel_size=self.voxel_size, resolution=(8 + 30 / iteration) * one,
            ssnr=(fsc / (1.001 - fsc))[None], fsc=fsc[None], step_size=0.9, subset_size=200,
            current_size=self.box_size, angular_step=7.5, offset_range=20.0, offset_step=4.0,
            mean_max_probability=0.5, class_shares=one, view_counts=np.ones((1, 768), np.float32),
            map_change=one / iteration, sigma2_noise=np.ones((1, shells), np.float32),
            sigma_offset=10.0, start=0,
            message="", converged=False, seconds={"total": 0.05}, assignments=no_particles,
            state=nothing,
        )  # fmt: skip


class StreamProcess:
    """A stream in a thread, in place of the process of a run."""

    is_own = True

    def __init__(self, stream: Stream, folder: Path, settings: InitialModelSettings) -> None:
        self._thread = Thread(
            target=lambda: deque(stream(Path("particles.star"), folder, settings), maxlen=0)
        )

    def start(self) -> None:
        self._thread.start()

    def poll(self) -> Ending | None:
        return None if self._thread.is_alive() else Ending()

    def interrupt(self) -> None:
        pass

    def read_messages(self) -> list[str]:
        return []

    def release(self) -> None:
        pass


def rate_without_window(stream: Stream, folder: Path) -> float:
    """Return the iterations per second of the worker without a window."""
    begun, done = time.perf_counter(), 0
    settings = InitialModelSettings(mask_diameter=DIAMETER)
    run = stream(Path("particles.star"), folder, settings)
    with closing(run):
        for _ in run:
            done += 1
            if time.perf_counter() - begun > BASELINE_SECONDS:
                break
    return done / (time.perf_counter() - begun)


def measure(
    app: TimedApplication, viewer: napari.Viewer, stream: Stream, folder: Path, limits: Any
) -> dict[str, Any]:
    """Stream into the window, and return the times."""
    session = RunSession.of(viewer)
    shown: list[int] = []

    def on_progress(progress: Any) -> None:
        app.updated = True
        shown.append(progress.summary.iteration)

    session.progressed.connect(on_progress)

    def start_stream(_: Path, output: Path, settings: InitialModelSettings) -> StreamProcess:
        return StreamProcess(stream, output, settings)

    with mock.patch.object(session_module, "start_process", start_stream):
        app.forget()
        begun = time.perf_counter()
        settings = InitialModelSettings(mask_diameter=DIAMETER, iterations=2000)
        session.start(Path("particles.star"), folder, settings)
        run_until(
            lambda: len(shown) > limits.updates or time.perf_counter() - begun > limits.seconds,
        )
        seconds = time.perf_counter() - begun
        done, dropped, n_shown = session.summaries[-1].iteration, session.dropped, len(shown)
        figures = {
            "first_update_ms": round(app.times["update"].wall[0], 1),
            **{kind: app.times[kind].figures(skip=kind == "update") for kind in KINDS},
            "longest_event_ms": round(app.longest, 1),
        }
        session.stop()
        run_until(lambda: not session.busy)
    session.progressed.disconnect(on_progress)
    if session.error is not None:
        raise session.error
    del viewer.layers[1:]
    return {
        "box_size": stream.box_size,
        "seconds": round(seconds, 1),
        "iterations": done,
        "shown": n_shown,
        "dropped": dropped,
        "shown_per_second": round(n_shown / seconds, 2),
        "iterations_per_second": round(done / seconds, 1),
        **figures,
    }


def run_until(condition: Any) -> None:
    """Run a loop of events until a condition holds (napari closes its windows on `app.quit`)."""
    loop, timer = QEventLoop(), QTimer()
    timer.setInterval(20)
    timer.timeout.connect(lambda: condition() and loop.quit())
    timer.start()
    loop.exec()
    timer.stop()


def open_window(viewer: napari.Viewer) -> list[str]:
    """Give the window its size and its docks; return the docks that this version has."""
    opened = []
    for name in DOCKS:
        with suppress(KeyError, ValueError):
            viewer.window.add_plugin_dock_widget("napari-ini3d", name, tabify=True)
            opened.append(name)
    viewer.window.resize(*WINDOW)
    show_map(
        viewer, np.eye(8, dtype=np.float32) * np.ones((8, 1, 1), np.float32), BOX / 8, "before"
    )
    viewer.scene.camera.zoom = BOX_PIXELS / BOX  # it stays for the maps that follow
    viewer.layers[0].visible = False
    return opened


def describe_machine() -> dict[str, Any]:
    """Return versions, processor and what draws; the canvas has been painted by then."""
    names = ("napari", "vispy", "PyQt6", "pyqtgraph", "numpy")
    return {
        "versions": {name: version(name) for name in names} | {"napari-ini3d": __version__},
        "python": platform.python_version(),
        "processor": processor_name(),
        "renderer": renderer(),
        "load_average": [round(value, 1) for value in os.getloadavg()],
    }


def processor_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.machine()


def renderer() -> str:
    """Return what OpenGL says of itself, in the context of the canvas."""
    for widget in QApplication.allWidgets():
        if isinstance(widget, QOpenGLWidget) and widget.isValid():
            widget.makeCurrent()
            found = str(gl.glGetParameter(gl.GL_RENDERER))
            widget.doneCurrent()
            return f"{found}{' (software)' if 'llvmpipe' in found else ''}"
    return "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--updates", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=90.0)
    options = parser.parse_args()
    app = TimedApplication()
    viewer = napari.Viewer()
    result = {
        "command": " ".join(["gui_updates.py", options.output.name, *sys.argv[2:]]),
        "date": time.strftime("%Y-%m-%d"),
        "docks": open_window(viewer),
        "window": WINDOW,
        "box_pixels": BOX_PIXELS,
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for box_size in options.sizes:
            stream = Stream(box_size)
            alone = rate_without_window(stream, Path(folder) / f"alone{box_size}")
            row = measure(app, viewer, stream, Path(folder) / f"run{box_size}", options)
            rows.append(row | {"iterations_per_second_without_window": round(alone, 1)})
            print(json.dumps(rows[-1]))
    result |= describe_machine() | {"sizes": rows}
    options.output.write_text(json.dumps(result, indent=1) + "\n")
    viewer.close()


if __name__ == "__main__":
    main()
