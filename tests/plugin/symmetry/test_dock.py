"""The dock *Symmetry* in a real window, from its buttons."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from dock_driver import longest_text, room_for_text
from fake_symmetry import ROTATION, VOXEL, make_report
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QScrollArea
from scipy.spatial.transform import Rotation
from symmetry_driver import POSES_STAR, choose, press

from napari_ini3d.fourier.resample import mirror_map, rotate_map
from napari_ini3d.geometry.rigid import RigidTransform
from napari_ini3d.io.mrc.maps import read_map
from napari_ini3d.plugin.compare.side_by_side import SideBySide
from napari_ini3d.plugin.layers import LazyFrames, run_layer
from napari_ini3d.plugin.symmetry import impose, tasks
from napari_ini3d.plugin.symmetry.dock import SymmetryWidget
from napari_ini3d.plugin.viewer import axes_layers, map_layers
from napari_ini3d.plugin.viewer.layer_transform import trial_of
from napari_ini3d.plugin.viewer.map_meshes import MapMeshes
from napari_ini3d.plugin.viewer.metadata import get_metadata
from napari_ini3d.symmetry.records import Subunit, SymmetryBreak


def shown(viewer):
    """Where the map is drawn."""
    viewer.scene.camera.center = (0, 0, 0)
    viewer.scene.camera.zoom = 1.5
    picture = viewer.screenshot(canvas_only=True, size=(200, 200), flash=False)
    return picture[..., :3].max(axis=-1) > 40


def test_the_symmetry_of_a_map_is_found_aligned_and_imposed(
    viewer, widget, layer, qtbot, notifications
):
    press(widget, qtbot, widget.detection.detect)
    assert widget.detection.table.item(0, 0).text() == "D2"
    assert "yes" in widget.detection.table.item(0, 2).text()
    assert "D2 holds" in widget.detection.verdict.text()
    assert room_for_text(widget.detection.order) >= longest_text(widget.detection.order)
    assert len(axes_layers.parts_of(viewer, layer)) == 1
    press(widget, qtbot, widget.align.align)
    assert not trial_of(layer).is_identity
    np.testing.assert_array_equal(layer.data, viewer.layers["map"].data)
    press(widget, qtbot, widget.files.impose)
    imposed = viewer.layers["map D2 imposed"].data
    half_rotations = [np.diag(signs) for signs in ((1, -1, -1), (-1, 1, -1), (-1, -1, 1))]
    for rotation in half_rotations:
        assert np.corrcoef(rotate_map(imposed, rotation).ravel(), imposed.ravel())[0, 1] > 0.99
    motion = trial_of(layer)  # the map stays in the preview of its alignment
    aligned = rotate_map(layer.data, motion.rotation, motion.shift)
    assert np.corrcoef(aligned.ravel(), imposed.ravel())[0, 1] > 0.95
    assert SideBySide.of(viewer).active
    assert [m.name for m in SideBySide.of(viewer).maps] == ["map", "map D2 imposed"]
    assert "✓ D2 holds" in widget.validation.verdict.text()
    assert len(widget.validation.plot.curves) == 3
    press(widget, qtbot, widget.validation.compare)
    assert not SideBySide.of(viewer).active
    assert not notifications


def test_the_trial_is_drawn_where_the_applied_map_is(viewer, widget, layer, qtbot, quick):
    press(widget, qtbot, widget.align.align)
    for box in (widget.axes.frame, widget.axes.symmetry):
        box.setChecked(False)
    trial = shown(viewer)
    press(widget, qtbot, widget.align.apply_new)
    assert widget.layer.name == "map aligned"
    assert not layer.visible
    assert trial_of(layer).is_identity
    applied = shown(viewer)
    assert 0.02 < applied.mean() < 0.6
    assert (trial & applied).sum() / (trial | applied).sum() > 0.95
    layer.visible, widget.layer.visible = True, False
    before = shown(viewer)
    assert (before & applied).sum() / (before | applied).sum() < 0.9


def test_a_change_in_place_is_undone(widget, layer, d2, qtbot, quick):
    press(widget, qtbot, widget.align.align)
    press(widget, qtbot, widget.align.apply_here)
    expected = rotate_map(d2.volume, ROTATION, np.array([4.0, -8.0, 2.0]) / VOXEL)
    np.testing.assert_allclose(layer.data, expected, atol=1e-5)
    press(widget, qtbot, widget.files.flip)
    np.testing.assert_allclose(layer.data, mirror_map(expected), atol=1e-5)
    press(widget, qtbot, widget.align.undo)
    np.testing.assert_allclose(layer.data, expected, atol=1e-5)
    press(widget, qtbot, widget.align.undo)
    np.testing.assert_array_equal(layer.data, d2.volume)
    assert not widget.align.undo.isEnabled()
    assert not widget.align.apply_here.isEnabled()


def test_a_rotation_by_hand_is_added_to_the_alignment(widget, layer, qtbot, quick):
    press(widget, qtbot, widget.align.align)
    widget.align.rotations[2].setValue(10.0)
    expected = Rotation.from_euler("z", 10, degrees=True).as_matrix() @ ROTATION
    np.testing.assert_allclose(trial_of(layer).rotation, expected, atol=1e-9)
    press(widget, qtbot, widget.align.reset)
    assert trial_of(layer).is_identity
    assert widget.align.rotations[2].value() == 0


def test_the_score_follows_and_is_best_on_the_axes(widget, layer, d2, qtbot):
    motion = RigidTransform(d2.rotation.T, d2.centre)
    widget.controller.place(layer, motion)
    widget.align_control._on_map_changed(layer)
    widget.align.choose_group("D2")
    scores = []
    for degrees in (8.0, 0.0):
        widget.align.rotations[0].setValue(degrees)
        qtbot.waitUntil(
            lambda: "score" in widget.align.score.text() and not widget.align_control.scorer.busy
            and not widget.align_control.score_timer.isActive(), timeout=60_000,
        )  # fmt: skip
        scores.append(float(widget.align.score.text().split("score ")[1].split()[0]))
        widget.align.score.setText("")
    assert scores[1] > 0.95
    assert scores[0] < scores[1] - 0.1


def test_axes_are_those_of_the_chosen_map(viewer, widget, layer, d2, qtbot):
    widget.axes.frame.setChecked(True)
    other = map_layers.show_map(viewer, d2.volume, VOXEL, "other").__wrapped__
    widget.controller.layer_combo.choose(other)
    assert axes_layers.parts_of(viewer, layer) == []
    assert len(axes_layers.parts_of(viewer, other)) == 1
    viewer.layers.remove(other)
    assert widget.layer is layer
    assert [get_metadata(part, "of") for part in viewer.layers[1:]] == [layer.unique_id]


def test_axes_follow_when_the_user_moves_the_map(viewer, widget, layer):
    widget.axes.frame.setChecked(True)
    layer.translate = np.array(layer.translate) + 10
    for part in axes_layers.parts_of(viewer, layer):
        np.testing.assert_allclose(part.data_to_world((0, 0, 0)), (10, 10, 10), atol=1e-6)


def test_removing_the_map_during_a_task_discards_the_result(
    viewer, widget, layer, qtbot, monkeypatch, notifications
):
    go = threading.Event()

    def slow(*_, **__):
        go.wait(30)
        return make_report("D2")

    monkeypatch.setattr(tasks, "detect_symmetry", slow)
    qtbot.mouseClick(widget.detection.detect, Qt.MouseButton.LeftButton)
    assert widget.cancel.isEnabled()
    assert not widget.detection.detect.isEnabled()
    viewer.layers.remove(layer)
    go.set()
    qtbot.waitUntil(lambda: not widget.controller.tasks.busy)
    assert any("was removed while" in text for text in notifications)
    assert len(viewer.layers) == 0
    assert not widget.detection.detect.isEnabled()
    assert "No map" in widget.status.text()


def test_a_cancelled_task_ends_at_once_and_its_result_is_discarded(widget, qtbot, monkeypatch):
    go = threading.Event()

    def slow(*_, **__):
        go.wait(30)
        return make_report("D2")

    monkeypatch.setattr(tasks, "detect_symmetry", slow)
    qtbot.mouseClick(widget.detection.detect, Qt.MouseButton.LeftButton)
    press(widget, qtbot, widget.cancel)
    assert widget.detection.detect.isEnabled()
    go.set()
    qtbot.wait(200)
    assert widget.detection.table.rowCount() == 0


@pytest.mark.parametrize("error", [RuntimeError("cudaErrorIllegalAddress"), MemoryError()])
def test_an_error_in_a_task_is_reported_and_the_dock_stays_usable(
    widget, qtbot, monkeypatch, notifications, error
):
    def broken(*_, **__):
        raise error

    monkeypatch.setattr(tasks, "detect_symmetry", broken)
    press(widget, qtbot, widget.detection.detect)
    assert any("Detecting symmetry failed" in text for text in notifications)
    assert widget.detection.detect.isEnabled()


@pytest.mark.parametrize(("group", "message"), [("D2h", "mirror"), ("C1", "no axes"), ("x", "unk")])
def test_an_unusable_group_is_refused(widget, qtbot, notifications, group, message):
    widget.align.group.setCurrentText(group)
    for button in (widget.align.align, widget.files.impose):
        press(widget, qtbot, button)
        assert message in notifications[-1]
    assert len(notifications) == 2


def test_a_map_with_nan_is_reported(viewer, widget, qtbot, notifications):
    broken = map_layers.show_map(viewer, np.full((16, 16, 16), np.nan, np.float32), VOXEL, "broken")
    widget.controller.layer_combo.choose(broken)
    press(widget, qtbot, widget.detection.detect)
    assert "NaN" in notifications[-1]


def test_the_map_is_saved_as_it_is_shown(
    widget, layer, d2, qtbot, quick, tmp_path, monkeypatch, notifications
):
    path = tmp_path / "shown.mrc"
    monkeypatch.setattr(impose, "ask_save", lambda *_: path)
    map_layers.set_metadata(layer, density_scale=4.0)  # it is shown with four times its densities
    press(widget, qtbot, widget.align.align)
    press(widget, qtbot, widget.files.save)
    found = read_map(path)
    expected = rotate_map(d2.volume, ROTATION, np.array([4.0, -8.0, 2.0]) / VOXEL) / 4
    np.testing.assert_allclose(found.data, expected, atol=1e-5)
    assert found.voxel_size == pytest.approx(VOXEL)
    assert "Saved" in notifications[-1]


def test_the_particles_are_flipped_and_rotated_with_the_map(
    widget, layer, qtbot, quick, tmp_path, monkeypatch, notifications
):
    source, target = tmp_path / "in.star", tmp_path / "out.star"
    source.write_text(POSES_STAR)
    monkeypatch.setattr(impose, "ask_open", lambda *_: source)
    monkeypatch.setattr(impose, "ask_save", lambda *_: target)
    press(widget, qtbot, widget.files.particles)
    assert "neither flipped nor moved" in notifications[-1]
    press(widget, qtbot, widget.files.flip)
    press(widget, qtbot, widget.align.align)
    press(widget, qtbot, widget.files.particles)
    rows = [line.split() for line in target.read_text().splitlines() if "@" in line]
    before = np.array([[10.0, 20, 30], [-50, 80, 170]])
    flip = before + np.array([180.0, 0, 180])
    for row, angles, origin in zip(rows, flip, [(1.0, 2.0), (-3.0, 0.0)], strict=True):
        matrix = Rotation.from_euler("ZYZ", angles, degrees=True).as_matrix().T
        found = Rotation.from_euler("ZYZ", [float(v) for v in row[1:4]], degrees=True).as_matrix().T
        np.testing.assert_allclose(found, matrix @ ROTATION.T, atol=1e-4)
        moved = np.array(origin) - (matrix @ np.array([4.0, -8.0, 2.0]))[:2]
        np.testing.assert_allclose([float(v) for v in row[4:6]], moved, atol=1e-4)
    monkeypatch.setattr(impose, "ask_save", lambda *_: source)
    press(widget, qtbot, widget.files.particles)
    assert "choose another file" in notifications[-1]
    assert source.read_text() == POSES_STAR


def test_a_reopened_dock_keeps_the_preview(viewer, widget, layer, qtbot, quick):
    press(widget, qtbot, widget.align.align)
    again = SymmetryWidget(viewer)
    qtbot.addWidget(again)
    assert again.align.reset.isEnabled()
    assert "not applied yet" in again.align.score.text()


def test_the_controls_are_reached_by_keyboard(widget):
    for button in (widget.detection.detect, widget.align.align, widget.files.impose, widget.cancel):
        assert button.focusPolicy() & Qt.FocusPolicy.TabFocus
    for spin in (*widget.align.rotations, *widget.align.shifts):
        assert spin.accessibleName()


@pytest.fixture
def run_layer_shown(viewer, d2, widget):
    """Two iterations of a run, the first of them shown: the map, and its half."""
    frames = LazyFrames(2, d2.volume.shape, lambda i: np.stack([d2.volume / (1 + k) for k in i]))
    known_of_run = {"path": "run", "class_index": 0, "iterations": [10, 20]}
    data = run_layer(frames, VOXEL, "run", colormap="gray", metadata=known_of_run)
    (layer,) = map_layers.add_layers(viewer, [data])
    map_layers.show_iteration(viewer, layer, 10)
    widget.controller.layer_combo.choose(layer)
    return layer.__wrapped__


def test_flipping_and_moving_an_iteration_does_not_change_the_run(
    viewer, widget, run_layer_shown, d2, qtbot, quick, notifications
):
    press(widget, qtbot, widget.files.flip)
    np.testing.assert_allclose(viewer.layers["run flipped"].data, mirror_map(d2.volume), atol=1e-6)
    choose(widget, "run")
    press(widget, qtbot, widget.align.align)
    assert not widget.align.apply_here.isEnabled()
    press(widget, qtbot, widget.align.apply_new)
    expected = rotate_map(d2.volume, ROTATION, np.array([4.0, -8.0, 2.0]) / VOXEL)
    np.testing.assert_allclose(viewer.layers["run aligned"].data, expected, atol=1e-5)
    run_layer_shown.visible = True  # while it is hidden, it has one frame
    np.testing.assert_array_equal(run_layer_shown.data[-1], d2.volume / 2)


def test_closing_the_viewer_during_a_task_raises_no_error(
    make_napari_viewer, d2, qtbot, monkeypatch
):
    viewer = make_napari_viewer(show=False)
    map_layers.show_map(viewer, d2.volume, VOXEL, "map")
    widget = SymmetryWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Symmetry")
    begun, release, ended = threading.Event(), threading.Event(), threading.Event()

    def detect(*_, **__):
        begun.set()
        release.wait(20)
        ended.set()
        return make_report("D2")

    monkeypatch.setattr(tasks, "detect_symmetry", detect)
    qtbot.mouseClick(widget.detection.detect, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(begun.is_set, timeout=20_000)
    threading.Timer(0.3, release.set).start()  # napari waits for the worker as it closes
    viewer.close()
    qtbot.waitUntil(ended.is_set, timeout=20_000)
    qtbot.wait(200)  # what the worker has sent arrives, at nothing


def test_no_control_is_cut_off(widget, qtbot):
    widget.resize(widget.sizeHint())  # narrower, it scrolls
    areas = widget.findChildren(QScrollArea)
    assert len(areas) == 3
    for area in areas:
        width = widget.width() - 8  # less the margins of the dock
        scroll_bar = area.verticalScrollBar().sizeHint().width()
        assert area.widget().minimumSizeHint().width() + scroll_bar <= width


@pytest.fixture
def pseudo(monkeypatch):
    """A fake detection of D2, of which two places differ."""
    places = ((8.0, 4.0, 0.0), (-8.0, -4.0, 0.0))  # Å
    subunits = tuple(map(Subunit, places, (-0.3, 0.1)))
    found = SymmetryBreak(20.0, 0.4, 180.0, 2, (0.0, 0.0, 1.0), "C1", subunits=subunits)
    report = make_report("D2", holds=False)
    candidates = tuple(replace(one, pseudo=found) for one in report.candidates)
    report = replace(report, candidates=candidates)
    monkeypatch.setattr(tasks, "detect_symmetry", lambda *_, **__: report)


def test_the_copies_of_a_pseudo_symmetry_are_coloured_by_their_density(
    viewer, widget, layer, qtbot, pseudo
):
    press(widget, qtbot, widget.detection.detect)
    widget.detection.table.selectRow(0)
    points = axes_layers.find_part(viewer, layer, "subunits")
    np.testing.assert_allclose(points.data, [(0, 1, 2), (0, -1, -2)])  # voxels, (z, y, x)
    red, _, blue = points.face_color[:, :3].T
    assert red[0] > blue[0]
    assert red[1] < blue[1]
    assert "-30%" in widget.axes.legend.text()
    widget.axes.subunits.setChecked(False)
    assert axes_layers.find_part(viewer, layer, "subunits") is None


@pytest.mark.meshes
def test_the_mesh_of_a_pseudo_symmetry_is_coloured_by_the_density_of_its_copies(
    viewer, widget, layer, qtbot, pseudo
):
    mesh = MapMeshes.of(viewer).find(layer)
    qtbot.waitUntil(lambda: not mesh.busy, timeout=60_000)
    press(widget, qtbot, widget.detection.detect)
    widget.detection.table.selectRow(0)
    vertices, colours = np.array(mesh.mesh.data[0]), np.array(mesh.mesh.vertex_colors)
    middle = vertices - len(layer.data) // 2
    side = middle @ (0, 4.0, 8.0)  # (z, y, x)
    less, more = colours[side > 1], colours[side < -1]
    assert (less[:, 0] > less[:, 2]).all()
    assert (more[:, 2] >= more[:, 0]).all()
    widget.axes.subunits.setChecked(False)
    assert mesh.mesh.vertex_colors is None
    widget.axes.subunits.setChecked(True)
    layer.data = layer.data.copy()  # another map, of which nothing is known
    qtbot.waitUntil(lambda: not mesh.busy, timeout=60_000)
    assert mesh.mesh.vertex_colors is None
    assert mesh.colouring == "plain"


@pytest.mark.meshes
def test_a_colouring_that_the_user_has_chosen_stays(viewer, widget, layer, qtbot, pseudo):
    mesh = MapMeshes.of(viewer).find(layer)
    qtbot.waitUntil(lambda: not mesh.busy, timeout=60_000)
    mesh.colour_by("height")
    press(widget, qtbot, widget.detection.detect)
    widget.detection.table.selectRow(0)
    assert mesh.colouring == "height"


def test_the_letters_of_the_axes_fit_on_the_canvas(viewer, widget, layer, qtbot, quick):
    viewer.window.resize(1200, 700)
    qtbot.waitUntil(lambda: min(viewer.canvas.size) > 200, timeout=10_000)
    viewer.scene.camera.zoom = 50.0
    press(widget, qtbot, widget.align.align)
    (part,) = axes_layers.parts_of(viewer, layer)
    letters = np.array([part.data_to_world(corner) for corner in np.array(part.vertices)])
    zoom = viewer.scene.camera.zoom
    assert zoom * np.abs(letters).max() < min(viewer.canvas.size) / 2
    assert zoom * np.abs(letters).max() > 0.8 * min(viewer.canvas.size) / 2
    viewer.scene.camera.zoom = 2 * zoom  # by the user: a look at the centre
    widget.axes.symmetry.setChecked(False)
    assert viewer.scene.camera.zoom == 2 * zoom


def test_the_choice_of_an_axis_order_covers_no_other_control_while_it_is_empty(widget, qtbot):
    order, detect = widget.detection.order, widget.detection.detect
    qtbot.waitUntil(lambda: order.height() < 2 * detect.height())
    above = detect.mapTo(widget, detect.rect().bottomLeft()).y()
    assert order.mapTo(widget, order.rect().topLeft()).y() > above
