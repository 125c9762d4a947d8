"""Make the pictures of docs/tour.md and the animation of the README, from real runs in a window.

usage: xvfb-run -a -s "-screen 0 1600x1200x24" python docs/make_tour.py [--work FOLDER]
           [--part tour|animation|all] [--scenes NAME ...] [--threads 2]

It opens a sample, clicks the buttons of the docks, waits, and takes screenshots of the window
(1366 x 768, the smallest supported screen). Napari's settings and the samples are kept in the work
folder, apart from the user's. Needs napari, a display with OpenGL, and Pillow, which comes with
napari. The last scenes (symmetry, compare) and the animation can be made again from the runs in the
work folder.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from napari_ini3d import InitialModelSettings, start_run
from napari_ini3d.plugin.export.figure import is_drawing
from napari_ini3d.runs import IterationSummary, RunFolder, history_iterations
from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

logger = logging.getLogger("tour")

PICTURES = Path(__file__).parent / "images" / "tour"
ANIMATION = Path(__file__).parent / "images" / "taking_shape.gif"
WINDOW = (1366, 768)
PLUGIN = "napari-ini3d"
LONGEST = 1200.0  # seconds to wait for anything
FRAME = (1280, 700)  # pixels of the window of the animation
FRAME_SCALE = 0.6
AFTER = 20  # frames of the finished map
COLOUR, MAGNIFICATION = "#9bd8ff", 3.0  # pixels of the window per Å
TURN = 3.0  # degrees between frames
LIGHT_SECONDS = 0.5  # after which the light of meshes has followed the camera
ZOOM = 3.2  # pixels of the window per Å
VIEW = (-20.0, 30.0, 0.0)  # angles of the camera, degrees


class Tour:
    """A window, with the actions of a user."""

    def __init__(self, work: Path, threads: int) -> None:
        import napari
        from qtpy.QtWidgets import QApplication

        self.work, self.threads = work, threads
        self.viewer: Any = napari.Viewer()
        self.app: Any = QApplication.instance()
        self.docks: dict[str, Any] = {}
        self.viewer.window.resize(*WINDOW)

    def open(self, name: str) -> Any:
        """Open a dock from the Plugins menu, hide the others, and return its widget."""
        for dock, _ in self.docks.values():
            dock.hide()
        if name not in self.docks:
            self.docks[name] = self.viewer.window.add_plugin_dock_widget(PLUGIN, name)
        dock, widget = self.docks[name]
        dock.show()
        self.wait(0.3)
        return widget

    def wait(self, seconds: float) -> None:
        """Process events for a while."""
        end = time.monotonic() + seconds
        self.wait_for(lambda: time.monotonic() > end)

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Process events until a condition holds."""
        from qtpy.QtCore import QEvent

        end = time.monotonic() + LONGEST
        while not condition():
            self.app.processEvents()
            self.app.sendPostedEvents(None, QEvent.Type.DeferredDelete)  # as an event loop
            time.sleep(0.01)
            if time.monotonic() > end:
                raise SystemExit(f"nothing happened for {LONGEST:.0f} s")

    def look(self, zoom: float | None = None) -> None:
        """Set the camera to the view of all pictures."""
        camera = self.viewer.scene.camera
        camera.center = (0.0, 0.0, 0.0)
        camera.angles = VIEW
        if zoom is not None:
            camera.zoom = zoom

    def picture(self, name: str) -> None:
        """Save a screenshot of the window, when its maps are drawn."""
        self.wait(0.8)
        self.wait_for(lambda: not is_drawing(self.viewer))
        self.wait(0.5)  # the light of meshes follows the camera when it has come to rest
        shot = self.viewer.screenshot(canvas_only=False, flash=False)
        PICTURES.mkdir(parents=True, exist_ok=True)
        Image.fromarray(shot[..., :3]).save(PICTURES / f"{name}.png", optimize=True)
        logger.info("%s", name)


def start(tour: Tour) -> None:
    """The empty form, then with the particles of a sample."""
    form = tour.open("Initial model")
    tour.picture("1_start")
    tour.viewer.open_sample(PLUGIN, "d2_particles")
    tour.wait_for(lambda: form.summary.preview is not None and form.summary.preview.complete)
    form.form.fields["threads"].value = tour.threads
    tour.wait(1.0)
    tour.picture("2_particles")
    form.circle_button.click()
    tour.wait_for(lambda: has_mask_circle(tour.viewer))
    tour.picture("3_mask")
    form.circle_button.click()


def has_mask_circle(viewer: Any) -> bool:
    """Tell whether the circle of the mask is shown, which takes some seconds to prepare."""
    known = (layer.metadata.get("ini3d", {}) for layer in viewer.layers)
    return any(found.get("kind") == "mask circle" for found in known)


def run(tour: Tour) -> None:
    """A map during the run, then the finished run."""
    form = tour.open("Initial model")
    form.panel.run.click()
    tour.wait_for(lambda: form.session.latest is not None)
    tour.look(zoom=ZOOM)
    tour.wait_for(lambda: reached(form.session, 22.0) or not form.session.busy)
    tour.picture("4_running")
    tour.wait_for(lambda: not form.session.busy)
    tour.picture("5_finished")


def reached(session: Any, resolution: float) -> bool:
    """Tell whether the displayed map has reached a resolution (Å)."""
    return session.latest is not None and session.latest.summary.best_resolution < resolution


def converged(tour: Tour) -> None:
    """The tabs of the dock Convergence, and the map of an earlier iteration."""
    dock = tour.open("Convergence")
    tour.wait(1.0)
    for number in range(dock.tabs.count()):
        dock.tabs.setCurrentIndex(number)
        word = dock.tabs.tabText(number).split()[0].lower()
        tour.picture(f"6_convergence_{word}")
    dock.tabs.setCurrentIndex(0)
    dock.show_in_viewer(30)
    tour.picture("7_iteration")
    dock.session.layers.show_newest()


def open_result(tour: Tour) -> None:
    """Open the map of the newest run."""
    tour.viewer.open(newest_run(tour) / "initial_model.mrc", plugin=PLUGIN)


def newest_run(tour: Tour) -> Path:
    """Return the folder of the newest run."""
    return sorted(tour.work.glob("home/**/ini3d_*/initial_model.mrc"))[-1].parent


def particles(tour: Tour) -> None:
    """The particles around a viewing direction, beside their reprojections."""
    open_result(tour)
    tour.look(zoom=ZOOM)
    dock = tour.open("Particles")
    dock.show_folder(newest_run(tour))
    tour.wait_for(lambda: dock.run is not None and not dock.tasks.busy)
    dock.radius.setValue(30)
    dock.choose_direction(np.array([0.5, 0.5, 0.5**0.5]))
    tour.wait_for(lambda: not dock.tasks.busy)
    tour.picture("12_particles")


def export(tour: Tour) -> None:
    """A figure of the symmetric map."""
    open_result(tour)
    tour.look(zoom=2 * ZOOM)
    dock = tour.open("Export")
    target = PICTURES / "13_figure.png"
    target.unlink(missing_ok=True)
    dock.save_figure(target)
    tour.wait_for(target.exists)
    with Image.open(target) as picture:
        small = picture.convert("RGB").resize((600, round(600 * picture.height / picture.width)))
    small.save(target, optimize=True)


def symmetry(tour: Tour) -> None:
    """The point groups that were found, the self-rotation function and the aligned map."""
    open_result(tour)
    dock = tour.open("Symmetry")
    dock.detection.detect.click()
    tour.wait_for(lambda: not dock.controller.tasks.busy)
    tour.look(zoom=ZOOM)
    tour.picture("8_axes_found")
    dock.detection.sphere.setChecked(True)
    tour.picture("9_self_rotation")
    dock.detection.sphere.setChecked(False)
    dock.align.align.click()
    tour.wait_for(lambda: not dock.controller.tasks.busy)
    tour.picture("10_aligned")


def compare(tour: Tour) -> None:
    """The map and the imposed map side by side."""
    dock = tour.open("Symmetry")
    dock.align.apply_new.click()
    tour.wait_for(lambda: not dock.controller.tasks.busy)
    dock.files.impose.click()
    tour.wait_for(lambda: not dock.controller.tasks.busy)
    tour.look()
    tour.picture("11_side_by_side")


WINDOWS = (
    (start, run, converged),
    (symmetry, compare),
    (particles,),
    (export,),
)  # docks keep the width of the last
SCENES = [scene.__name__ for scenes in WINDOWS for scene in scenes]


def take_pictures(work: Path, threads: int, names: list[str]) -> None:
    """Make the pictures of some scenes; scenes of one group share a window."""
    for scenes in WINDOWS:
        wanted = [scene for scene in scenes if scene.__name__ in names]
        if wanted:
            tour = Tour(work, threads)
            for scene in wanted:
                scene(tour)
            tour.viewer.close()


# -- the animation -----------------------------------------------------------------------------


def make_run(work: Path, threads: int) -> RunFolder:
    """Return the run of the animation; do it if it does not exist."""
    folder = RunFolder(work / "animation" / "run")
    if folder.outcome() == "SUCCESS":
        return folder
    phantom = make_phantom("D2", diameter=110.0, seed=1)
    settings = SimulationSettings(number=1500, box_size=64, pixel_size=3.0, snr=0.3, seed=1)
    star = write_dataset(work / "animation", simulate_particles(phantom, settings), phantom)
    choice = InitialModelSettings(threads=threads, starts=2, independent_half_sets=False)
    for _ in start_run(star, folder.path, choice):
        pass
    return folder


def animate(work: Path, threads: int) -> None:
    """Show the iterations of a run in a window, with its convergence; the map rotates slowly."""
    folder = make_run(work, threads)
    steps = {line["iteration"]: IterationSummary.from_json(line) for line in folder.read_progress()}
    iterations = [i for i in history_iterations(folder) if is_shown(i, steps[i].phase)]
    tour = Tour(work, threads)
    tour.viewer.window.resize(*FRAME)
    dock = tour.open("Convergence")
    dock.session.reopen(folder.path)
    dock.session.layers.maps[0].colormap = COLOUR
    tour.viewer.window.main_menu.hide()
    frames = []
    for number, iteration in enumerate([*iterations, *[iterations[-1]] * AFTER]):
        dock.session.layers.show_iteration(iteration)
        tour.look(zoom=MAGNIFICATION)
        tour.viewer.scene.camera.angles = (VIEW[0], VIEW[1] + TURN * number, VIEW[2])
        tour.wait(LIGHT_SECONDS)
        tour.wait_for(lambda: not is_drawing(tour.viewer))
        frames.append(photograph(tour.viewer))
        logger.info("frame %d: iteration %d", number + 1, iteration)
    tour.viewer.close()
    palette = frames[-1].quantize(96)
    small = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    small[0].save(
        ANIMATION, save_all=True, append_images=small[1:], duration=120, loop=0, optimize=True
    )


def is_shown(iteration: int, phase: str) -> bool:
    """Tell whether the animation has an iteration: of the random starts and the search, some."""
    return iteration % {"starts": 6, "search": 2}.get(phase, 1) == 0 or iteration == 1


def photograph(viewer: Any) -> Image.Image:
    """Return a small picture of the window."""
    shot = Image.fromarray(viewer.screenshot(canvas_only=False, flash=False)[..., :3])
    size = tuple(round(side * FRAME_SCALE) for side in shot.size)
    return shot.resize(size, Image.Resampling.LANCZOS)


def main() -> None:
    """Make all pictures, or some of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "ini3d-tour")
    parser.add_argument("--part", choices=("tour", "animation", "all"), default="all")
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=SCENES)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    logger.setLevel(logging.INFO)
    for name in ("config", "cache"):
        os.environ[f"XDG_{name.upper()}_HOME"] = str(options.work / name)
    os.environ["HOME"] = str(options.work / "home")  # runs on samples are written there
    os.environ["NAPARI_CONFIG"] = str(options.work / "config" / "napari.yaml")
    if options.part != "animation":
        take_pictures(options.work, options.threads, options.scenes)
    if options.part != "tour":
        animate(options.work, options.threads)


if __name__ == "__main__":
    main()
