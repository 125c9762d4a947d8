"""The dock *Export*: figure, movie and ChimeraX, in a window."""

import importlib.util

import numpy as np
import pytest

pytest.importorskip("napari")

import itertools

from dock_driver import press, until
from fake_runs import write_fake_run
from PIL import Image
from qtpy.QtWidgets import QApplication

from napari_ini3d.errors import InputError
from napari_ini3d.io.chimerax import camera_position
from napari_ini3d.plugin.export import chimerax_scene, dock, movie
from napari_ini3d.plugin.export.chimerax_scene import view_of
from napari_ini3d.plugin.export.dock import ExportWidget
from napari_ini3d.plugin.export.figure import (
    axes_on_screen,
    is_drawing,
    pixel_size,
    take_picture,
)
from napari_ini3d.plugin.reader import read_run_layers
from napari_ini3d.plugin.session import RunSession
from napari_ini3d.plugin.viewer import (
    MapAxes,
    add_layers,
    show_frame,
    show_map,
    show_symmetry_axes,
    shown_iteration,
    unwrap_proxy,
)
from napari_ini3d.report import movie_file

VOXEL = 4.0

pytestmark = pytest.mark.meshes


@pytest.fixture
def export(viewer):
    viewer.window.resize(900, 700)
    widget = ExportWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Export")
    return widget


@pytest.fixture
def messages(monkeypatch):
    shown = []
    monkeypatch.setattr(dock, "show_error", shown.append)
    return shown


@pytest.fixture
def run(tmp_path):
    """A run folder with four iterations."""
    return write_fake_run(tmp_path / "run", 4)


def blobs(*places):
    n = 48
    z, y, x = VOXEL * (np.mgrid[:n, :n, :n] - n // 2)
    distances = ((x - p[0]) ** 2 + (y - p[1]) ** 2 + (z - p[2]) ** 2 for p in places)
    return sum(np.exp(-d / 72) for d in distances).astype(np.float32)


def centre_of_light(pixels):
    """The middle of what is bright, pixels to the right of and above the centre."""
    rows, columns = np.nonzero(pixels.astype(int).sum(axis=2) > 60)
    height, width = pixels.shape[:2]
    return np.array([columns.mean() - width / 2, height / 2 - rows.mean()])


@pytest.mark.parametrize("angles", [(0, 0, 0), (-20, 35, 50), (0, 120, -10)])
def test_the_camera_for_chimerax_sees_what_the_window_shows(viewer, qtbot, angles):
    """A blob in the window is where the camera and the axes of the figure have it."""
    place = np.array([40.0, 20.0, -30.0])
    viewer.window.resize(900, 700)
    show_map(viewer, blobs(place), VOXEL, "blob")
    camera = viewer.scene.camera
    camera.angles, camera.zoom, camera.center = angles, 1.5, (0, 0, 0)
    until(qtbot, lambda: not is_drawing(viewer))
    pixels = viewer.screenshot(canvas_only=True, flash=False)[..., :3]
    seen = centre_of_light(pixels) * pixel_size(viewer, pixels)
    position = camera_position(view_of(viewer), 500.0)
    np.testing.assert_allclose((position[:, :3].T @ (place - position[:, 3]))[:2], seen, atol=1.0)
    np.testing.assert_allclose((place @ axes_on_screen(viewer))[:2], seen, atol=1.0)


@pytest.mark.parametrize("zoom", [1.0, 1.7])
def test_the_scale_of_a_figure_is_right_at_any_zoom(viewer, qtbot, zoom):
    viewer.window.resize(900, 700)
    show_map(viewer, blobs((40, 0, 0), (-40, 0, 0)), VOXEL, "blobs")
    viewer.scene.camera.angles, viewer.scene.camera.zoom = (0, 0, 0), zoom
    until(qtbot, lambda: not is_drawing(viewer))
    picture = take_picture(viewer)
    half = picture.pixels.shape[1] // 2
    left, right = picture.pixels[:, :half], picture.pixels[:, half:]
    apart = (centre_of_light(right) - centre_of_light(left))[0] + half
    assert apart * picture.pixel_size == pytest.approx(80.0, abs=1.0)
    assert viewer.scene.camera.zoom == zoom


def test_a_figure_has_scale_axes_level_and_caption(viewer, export, tmp_path, qtbot):
    show_map(viewer, blobs((0, 0, 0)), VOXEL, "blob")
    viewer.canvas.overlays.text.text = "iteration 7"
    viewer.canvas.overlays.text.visible = True
    export.save_figure(tmp_path / "figure.svg")  # when the mesh is drawn
    until(qtbot, lambda: "figure.svg" in export.status.text())
    text = (tmp_path / "figure.svg").read_text()
    for part in ("iteration 7", "blob: level 4.0 σ", "Å", ">X<", ">Y<", ">Z<", "scale bar"):
        assert part in text
    assert viewer.canvas.overlays.text.visible
    export.save_figure(tmp_path / "figure.png")
    assert Image.open(tmp_path / "figure.png").width == 1200


def test_a_figure_names_symmetry_axes_only(viewer, qtbot):
    layer = unwrap_proxy(show_map(viewer, blobs((0, 0, 0)), VOXEL, "blob"))
    show_frame(viewer, layer, 10.0)
    until(qtbot, lambda: not is_drawing(viewer))
    assert "X Y Z" not in " ".join(take_picture(viewer).caption)
    show_symmetry_axes(viewer, layer, MapAxes.of_setting("D2", "detected"), 10.0)
    assert "blob: D2 axes" in take_picture(viewer).caption


def test_a_figure_without_a_map_or_of_another_kind_is_refused(
    viewer, export, tmp_path, messages, qtbot
):
    export.save_figure(tmp_path / "figure.png")
    assert "no map is shown" in messages[0]
    show_map(viewer, blobs((0, 0, 0)), VOXEL, "blob")
    export.save_figure(tmp_path / "figure.jpg")
    until(qtbot, lambda: len(messages) == 2)
    assert "ends with .png or .svg" in messages[1]
    assert not list(tmp_path.glob("figure*"))


def test_without_room_for_a_picture_there_is_none(viewer, export, tmp_path, messages, qtbot):
    viewer.window.resize(400, 400)
    show_map(viewer, blobs((0, 0, 0)), VOXEL, "blob")
    until(qtbot, lambda: not is_drawing(viewer))
    viewer.canvas.size = (400, 0)
    export.save_figure(tmp_path / "figure.png")
    assert "no room for a picture" in messages[0]


def test_a_movie_has_all_iterations_and_shows_the_same_one_again(
    viewer, export, run, tmp_path, qtbot
):
    add_layers(viewer, read_run_layers(run.path))
    layer = viewer.layers[0]
    export.save_movie(tmp_path / "movie.gif")
    assert not export.figure.isEnabled()
    until(qtbot, lambda: not export.recorder.busy)
    saved = Image.open(tmp_path / "movie.gif")
    frames = []
    for number in range(saved.n_frames):
        saved.seek(number)
        frames.append(np.asarray(saved.convert("RGB")))
    assert len(frames) >= 4
    assert all((a != b).any() for a, b in itertools.pairwise(frames))
    assert shown_iteration(viewer, layer) == 4
    assert f"Saved {tmp_path / 'movie.gif'}" in export.status.text()


def test_a_movie_that_is_cancelled_leaves_no_file(viewer, export, run, tmp_path, qtbot):
    add_layers(viewer, read_run_layers(run.path))
    export.save_movie(tmp_path / "movie.gif")
    until(qtbot, lambda: export.bar.value() > 0)
    press(qtbot, export.cancel)
    assert "No movie was written" in export.status.text()
    assert not list(tmp_path.glob("*movie*"))
    assert export.movie.isEnabled()


@pytest.mark.parametrize("ending", [".gif", ".mp4"])
def test_a_window_that_is_resized_ends_the_recording_with_the_reason(
    viewer, export, run, tmp_path, qtbot, monkeypatch, ending
):
    if ending == ".mp4":
        pytest.importorskip("imageio_ffmpeg")
    sides = itertools.chain([(40, 60)], itertools.repeat((40, 80)))
    monkeypatch.setattr(
        movie, "canvas_pixels", lambda _: np.zeros((*next(sides), 3), dtype=np.uint8)
    )
    add_layers(viewer, read_run_layers(run.path))
    export.save_movie(tmp_path / f"movie{ending}")
    until(qtbot, lambda: not export.recorder.busy)
    assert "the size of the window has changed" in export.status.text()
    assert not list(tmp_path.glob("*movie*"))
    assert export.movie.isEnabled()


def test_a_recording_that_fails_unexpectedly_ends(
    viewer, export, run, tmp_path, qtbot, monkeypatch
):
    def fail(_):
        raise ValueError("broken")

    monkeypatch.setattr(movie, "canvas_pixels", fail)
    add_layers(viewer, read_run_layers(run.path))
    with qtbot.captureExceptions() as errors:
        export.save_movie(tmp_path / "movie.gif")
        until(qtbot, lambda: not export.recorder.busy)
    assert [str(error[1]) for error in errors] == ["broken"]
    assert "broken" in export.status.text()
    assert not list(tmp_path.glob("*movie*"))


@pytest.mark.skipif(not importlib.util.find_spec("imageio_ffmpeg"), reason="no FFmpeg")
def test_a_movie_as_mp4_can_be_read(viewer, export, run, tmp_path, qtbot):
    import imageio.v2 as imageio

    add_layers(viewer, read_run_layers(run.path))
    export.every.setValue(2)
    export.save_movie(tmp_path / "movie.mp4")
    until(qtbot, lambda: not export.recorder.busy)
    with imageio.get_reader(tmp_path / "movie.mp4") as reader:
        assert reader.count_frames() == 3 + 15  # iterations 1, 3 and 4; the last stays for 1.5 s


def test_a_movie_that_cannot_be_made_says_why(viewer, export, tmp_path, messages, monkeypatch):
    export.save_movie(tmp_path / "movie.gif")
    assert "no run is shown" in messages[0]
    monkeypatch.setattr(movie_file.importlib.util, "find_spec", lambda _: None)
    export.save_movie(tmp_path / "movie.mp4")
    assert "pip install imageio-ffmpeg" in messages[1]
    export.save_movie(tmp_path / "movie.avi")
    assert ".mp4 or .gif" in messages[2]


def test_a_movie_that_cannot_start_leaves_the_view_as_it_was(viewer, export, run, tmp_path):
    add_layers(viewer, read_run_layers(run.path))
    layers = RunSession.of(viewer).layers
    shown = list(viewer.layers)
    for layer in shown:
        layer.visible = False
    calls = []

    def show_history():
        calls.append("history")
        for layer in shown:
            layer.visible = True

    RunSession.of(viewer).run_folder = run.path
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "show_history", show_history)
        patch.setattr(layers, "show_newest", lambda: calls.append("newest"))
        with pytest.raises(InputError, match="expected a name that ends"):
            export.recorder.start(tmp_path / "movie.avi", fps=10)
    assert calls == ["history", "newest"]
    assert not export.recorder.busy


def test_chimerax_is_started_with_the_command_file(viewer, export, tmp_path, qtbot, monkeypatch):
    program = tmp_path / "chimerax"
    program.write_text(f'#!/bin/sh\necho "$1" > "{tmp_path}/opened"\n')
    program.chmod(0o755)
    monkeypatch.setattr(chimerax_scene, "preferred_program", lambda: str(program))
    map_file = tmp_path / "blob.mrc"
    map_file.touch()
    show_map(viewer, blobs((0, 0, 0)), VOXEL, "blob", metadata={"path": str(map_file)})
    press(qtbot, export.chimerax)
    until(qtbot, lambda: (tmp_path / "opened").exists() and (tmp_path / "opened").read_text())
    expected = tmp_path / "blob_chimerax" / "open_in_chimerax.cxc"
    assert (tmp_path / "opened").read_text() == f"{expected}\n"
    assert expected.is_file()
    assert "Opened in ChimeraX" in export.status.text()


def test_without_chimerax_the_dock_says_where_the_file_is(
    viewer, export, tmp_path, qtbot, monkeypatch
):
    monkeypatch.setattr(chimerax_scene, "find_chimerax", lambda _: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    show_map(viewer, blobs((0, 0, 0)), VOXEL, "blob")
    press(qtbot, export.chimerax)
    until(qtbot, lambda: not export.tasks.busy)
    assert "ChimeraX was not found" in export.status.text()
    assert str(tmp_path / "ini3d-export" / "chimerax") in export.status.text()
    press(qtbot, export.copy)
    until(qtbot, lambda: not export.tasks.busy)
    text = QApplication.clipboard().text()
    assert f"open {tmp_path}/ini3d-export/chimerax/blob.mrc name blob id 1" in text
