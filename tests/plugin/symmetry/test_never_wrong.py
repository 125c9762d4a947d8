"""The dock *Symmetry* shows nothing about a map that was not found in that map."""

import re
import threading

import numpy as np
import pytest
from fake_symmetry import VOXEL, make_report
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QMessageBox
from symmetry_driver import choose, press
from symmetry_phantoms import known_map

from napari_ini3d.plugin.compare.side_by_side import SideBySide
from napari_ini3d.plugin.layers import LazyFrames, run_layer
from napari_ini3d.plugin.symmetry import impose, tasks
from napari_ini3d.plugin.viewer import axes_layers, map_layers
from napari_ini3d.plugin.viewer.layer_transform import trial_of
from napari_ini3d.plugin.viewer.map_axes import recorded_axes


@pytest.fixture
def other(viewer, widget, d2, qtbot):
    """A second map, opened after the dock."""
    layer = map_layers.show_map(viewer, d2.volume[::-1].copy(), VOXEL, "other").__wrapped__
    qtbot.wait(20)
    return layer


def axes_names(viewer):
    """The visible layers of symmetry axes, ideal ones included."""
    return [
        layer.name for layer in viewer.layers
        if axes_layers.has_symmetry_axes(layer) and layer.visible
    ]  # fmt: skip


def dock_says(widget):
    return widget.axes.legend.text()


def test_axes_vanish_when_the_verdict_is_c1(viewer, widget, qtbot, quick, monkeypatch):
    press(widget, qtbot, widget.align.align)
    assert len(axes_names(viewer)) == 1
    widget.axes.ideal.setChecked(True)
    assert len(axes_names(viewer)) == 2
    rejected = make_report("D2", holds=False)
    monkeypatch.setattr(tasks, "detect_symmetry", lambda *_, **__: rejected)
    press(widget, qtbot, widget.detection.detect)
    assert "C1" in widget.detection.verdict.text()
    assert axes_names(viewer) == []
    assert "No symmetry axes found in this map" in dock_says(widget)


def test_a_group_that_does_not_hold_is_dashed_and_named_so(
    viewer, widget, layer, qtbot, monkeypatch
):
    rejected = make_report("D2", holds=False)
    monkeypatch.setattr(tasks, "detect_symmetry", lambda *_, **__: rejected)
    press(widget, qtbot, widget.detection.detect)
    widget.detection.table.selectRow(0)
    assert axes_names(viewer) == ["map: D2 axes (D2 does not hold)"]
    (axes,) = (part for part in axes_layers.parts_of(viewer, layer) if "axes" in part.name)
    assert len(axes_layers.axes_lines(axes, layer)) == 3 + 27  # X, Y, Z, and dashes of three axes
    assert axes.name_overlay.visible
    assert "does not hold" in dock_says(widget)


def test_typing_a_group_draws_no_axes_of_it(viewer, widget, layer, qtbot):
    press(widget, qtbot, widget.detection.detect)
    assert axes_names(viewer) == ["map: D2 axes"]
    widget.align.group.setCurrentText("C5")
    assert axes_names(viewer) == ["map: D2 axes"]
    widget.axes.ideal.setChecked(True)
    assert axes_names(viewer) == ["map: D2 axes", "map: ideal C5 axes (not of this map)"]
    ideal = axes_layers.find_part(viewer, layer, "ideal")
    assert len(axes_layers.axes_lines(ideal, layer)) == 9  # dashes
    assert ideal.name_overlay.visible
    assert "ideal axes of C5, not found in this map" in dock_says(widget)


def test_axes_vanish_when_another_map_is_chosen(viewer, widget, layer, other, qtbot, quick):
    choose(widget, "map")
    press(widget, qtbot, widget.align.align)
    widget.axes.ideal.setChecked(True)
    choose(widget, "other")
    assert axes_names(viewer) == []
    assert not widget.axes.ideal.isChecked()
    assert not widget.axes.symmetry.isEnabled()
    choose(widget, "map")
    assert axes_names(viewer) != []
    assert "ideal" not in "".join(axes_names(viewer))


def test_axes_vanish_when_a_run_replaces_the_map(viewer, widget, layer, d2, qtbot, quick):
    press(widget, qtbot, widget.align.align)
    map_layers.show_map(viewer, d2.volume[::-1].copy(), VOXEL, "map")
    assert axes_names(viewer) == []
    assert widget.detection.table.rowCount() == 0


def test_numbers_in_angstrom_vanish_when_the_voxel_size_is_changed(viewer, widget, layer, qtbot):
    press(widget, qtbot, widget.detection.detect)
    verdict, (name,) = widget.detection.verdict.text(), axes_names(viewer)
    before = np.array(layer.scale)
    layer.translate = (5.0, 0.0, 0.0)
    assert widget.detection.verdict.text() == verdict
    assert axes_names(viewer) == [name]
    layer.scale = 2 * before
    assert "Press Detect" in widget.detection.verdict.text()
    assert axes_names(viewer) == []
    layer.scale = before
    assert widget.detection.verdict.text() == verdict
    layer.units = ("nm",) * 3
    assert "Press Detect" in widget.detection.verdict.text()


def test_axes_belong_to_the_iteration_in_which_they_were_found(viewer, widget, d2, qtbot):
    frames = LazyFrames(2, d2.volume.shape, lambda i: np.stack([d2.volume / (1 + k) for k in i]))
    known = {"path": "run", "class_index": 0, "iterations": [10, 20]}
    data = run_layer(frames, VOXEL, "run", colormap="gray", metadata=known)
    (run,) = map_layers.add_layers(viewer, [data])
    qtbot.waitUntil(lambda: widget.layer is run.__wrapped__, timeout=60_000)
    press(widget, qtbot, widget.detection.detect)
    verdict = widget.detection.verdict.text()
    assert axes_names(viewer) == ["run: D2 axes"]
    map_layers.show_iteration(viewer, run, 10)
    assert axes_names(viewer) == []
    assert "Press Detect" in widget.detection.verdict.text()
    map_layers.show_iteration(viewer, run, 20)
    assert axes_names(viewer) == ["run: D2 axes"]
    assert widget.detection.verdict.text() == verdict


def test_a_result_for_an_iteration_that_is_hidden_meanwhile_is_kept(
    viewer, widget, d2, qtbot, monkeypatch, notifications
):
    go = threading.Event()
    monkeypatch.setattr(
        tasks, "detect_symmetry", lambda *_, **__: go.wait(30) and make_report("D2")
    )
    frames = LazyFrames(2, d2.volume.shape, lambda i: np.stack([d2.volume / (1 + k) for k in i]))
    known = {"path": "run", "class_index": 0, "iterations": [10, 20]}
    data = run_layer(frames, VOXEL, "run", colormap="gray", metadata=known)
    (run,) = map_layers.add_layers(viewer, [data])
    qtbot.waitUntil(lambda: widget.layer is run.__wrapped__, timeout=60_000)
    qtbot.mouseClick(widget.detection.detect, Qt.MouseButton.LeftButton)
    map_layers.show_map(viewer, d2.volume, VOXEL, "new")  # as the first map of another run
    run.visible = False
    go.set()
    qtbot.waitUntil(lambda: not widget.controller.tasks.busy, timeout=60_000)
    assert not notifications
    choose(widget, "run")
    qtbot.waitUntil(lambda: widget.detection.table.rowCount() > 0, timeout=10_000)


def test_a_result_for_a_map_that_was_replaced_meanwhile_is_discarded(
    viewer, widget, layer, d2, qtbot, monkeypatch, notifications
):
    go = threading.Event()

    def slow(*_, **__):
        go.wait(30)
        return make_report("D2")

    monkeypatch.setattr(tasks, "detect_symmetry", slow)
    qtbot.mouseClick(widget.detection.detect, Qt.MouseButton.LeftButton)
    map_layers.show_map(viewer, d2.volume[::-1].copy(), VOXEL, "map")
    go.set()
    qtbot.waitUntil(lambda: not widget.controller.tasks.busy, timeout=60_000)
    assert "shows another map" in notifications[-1]
    assert axes_names(viewer) == []
    assert widget.detection.table.rowCount() == 0


def test_a_map_that_is_opened_is_chosen_and_not_drawn_inside_another(widget, layer, other):
    assert widget.layer is other
    assert other.visible
    assert not layer.visible


def test_the_map_that_is_chosen_is_shown_and_no_other(widget, layer, other):
    choose(widget, "map")
    assert layer.visible
    assert not other.visible
    choose(widget, "other")
    assert other.visible
    assert not layer.visible


def test_the_map_that_is_shown_is_chosen(viewer, widget, layer, other, qtbot):
    layer.visible = True
    viewer.layers.selection.active = layer
    qtbot.waitUntil(lambda: widget.layer is layer, timeout=60_000)
    layer.visible = False
    qtbot.waitUntil(lambda: widget.layer is other, timeout=60_000)


def test_axes_are_named_after_their_map(viewer, widget, layer, qtbot, quick):
    press(widget, qtbot, widget.align.align)
    (before,) = axes_names(viewer)
    layer.name = "a map: renamed"
    assert axes_names(viewer) == [f"a map: renamed{before.removeprefix('map')}"]
    layer.name = "map"
    assert axes_names(viewer) == [before]


def test_axes_are_hidden_with_their_map(viewer, widget, layer, qtbot, quick):
    press(widget, qtbot, widget.align.align)
    layer.visible = False
    assert not any(part.visible for part in axes_layers.parts_of(viewer, layer))
    layer.visible = True
    assert all(part.visible for part in axes_layers.parts_of(viewer, layer))


def test_choosing_a_map_that_is_not_compared_ends_the_comparison(viewer, widget, other, d2, qtbot):
    choose(widget, "map")
    press(widget, qtbot, widget.align.align)
    press(widget, qtbot, widget.files.impose)
    assert SideBySide.of(viewer).active
    choose(widget, "map D2 imposed")
    assert SideBySide.of(viewer).active
    choose(widget, "other")
    assert not SideBySide.of(viewer).active
    assert other.visible
    assert axes_names(viewer) == []


def resolutions(text):
    return re.findall(r"holds to ([\d.]+) Å \(FSC of the symmetry copies\)", text)


def test_detection_alignment_and_validation_give_one_resolution_with_its_criterion(
    widget, qtbot, notifications
):
    press(widget, qtbot, widget.detection.detect)
    (detected,) = resolutions(widget.detection.verdict.text())
    press(widget, qtbot, widget.align.align)
    (aligned,) = resolutions(widget.align.score.text())
    press(widget, qtbot, widget.files.impose)
    (validated,) = resolutions(widget.validation.verdict.text())
    assert detected == aligned == validated
    assert tasks.CRITERION in widget.validation.numbers.text()
    choose(widget, "map")
    press(widget, qtbot, widget.align.apply_new)
    assert widget.layer.name == "map aligned"
    press(widget, qtbot, widget.detection.detect)
    assert resolutions(widget.detection.verdict.text()) == [detected]
    assert tasks.CRITERION in widget.detection.verdict.text()
    assert not notifications


@pytest.mark.parametrize("answer", ["align", "impose", "cancel"])
def test_imposing_on_a_map_that_is_not_aligned_offers_to_align_it(
    viewer, widget, layer, qtbot, monkeypatch, notifications, answer
):
    asked = []
    monkeypatch.setattr(impose, "ask_to_align", lambda name, _: asked.append(name) or answer)
    widget.align.group.setCurrentText("D2")
    press(widget, qtbot, widget.files.impose)
    assert asked == ["map"]
    names = [layer.name for layer in viewer.layers]
    if answer == "cancel":
        assert names == ["map"]
    elif answer == "impose":
        assert trial_of(layer).is_identity
        assert any("does not hold" in text for text in notifications)
    else:
        qtbot.waitUntil(lambda: "map D2 imposed" in viewer.layers, timeout=60_000)
        assert not trial_of(layer).is_identity  # the preview on which it was imposed
        assert "✓ D2 holds" in widget.validation.verdict.text()


def test_of_a_ring_the_dock_says_that_no_group_can_be_told_and_asks_nothing(
    viewer, widget, layer, qtbot, monkeypatch, notifications
):
    z, y, x = np.indices((32, 32, 32)) - 16.0
    ring = np.exp(-((np.hypot(x, y) - 7) ** 2 + z**2) / (2 * 1.8**2)).astype(np.float32)
    layer.data = ring
    asked = []
    monkeypatch.setattr(impose, "ask_to_align", lambda name, _: asked.append(name) or "cancel")
    press(widget, qtbot, widget.detection.detect)
    assert (
        "No point group can be told: any rotation about one axis" in widget.detection.verdict.text()
    )
    assert axes_names(viewer) == []
    widget.align.group.setCurrentText("C7")
    press(widget, qtbot, widget.files.impose)
    assert not asked
    assert "✗ no point group can be told: any rotation" in widget.validation.verdict.text()


def test_the_question_names_the_map_and_its_buttons_do_what_they_say(widget, qtbot):
    validation = tasks.validate_symmetry(widget.layer.data, "D2", voxel_size=VOXEL)
    seen = []

    def answer():
        (box,) = (w for w in QApplication.topLevelWidgets() if isinstance(w, QMessageBox))
        seen.append(box.text())
        next(button for button in box.buttons() if button.text() == "Align first").click()

    QTimer.singleShot(300, answer)
    assert impose.ask_to_align("map", validation) == "align"
    assert "map as shown is not on the axes of D2" in seen[0]


def test_imposing_a_group_that_an_aligned_map_does_not_have_offers_no_alignment(
    viewer, widget, qtbot, monkeypatch, notifications
):
    monkeypatch.setattr(impose, "ask_to_align", lambda *_: pytest.fail("asked"))
    close = known_map("D2", box_size=32, resolution=12.0, rotated=False, change=0.9)
    map_layers.show_map(viewer, close.volume, VOXEL, "close")
    qtbot.waitUntil(lambda: widget.layer.name == "close", timeout=60_000)
    widget.align.group.setCurrentText("D2")
    press(widget, qtbot, widget.align.align)
    assert "✗" in widget.align.score.text()
    press(widget, qtbot, widget.files.impose)
    assert any("D2" in text for text in notifications)


def test_what_is_found_in_an_imposed_map_is_said_to_be_imposed(viewer, widget, qtbot):
    exact = known_map("D2", box_size=32, resolution=12.0, rotated=False)
    map_layers.show_map(viewer, exact.volume, VOXEL, "exact")
    qtbot.waitUntil(lambda: widget.layer.name == "exact", timeout=60_000)
    widget.align.group.setCurrentText("D2")
    press(widget, qtbot, widget.files.impose)
    assert widget.layer.name == "exact D2 imposed"
    for button, text in (
        (widget.detection.detect, widget.detection.verdict),
        (widget.align.align, widget.align.score),
    ):
        press(widget, qtbot, button)
        assert "D2 was imposed on this map" in text.text()
        assert "D2, imposed on this map" in widget.axes.legend.text()
        assert recorded_axes(viewer, widget.layer).status == "imposed"
    choose(widget, "exact")
    press(widget, qtbot, widget.detection.detect)
    assert "imposed on this map" not in widget.detection.verdict.text()


def test_a_difference_below_the_level_says_so(viewer, widget, qtbot):
    exact = known_map("D2", box_size=32, resolution=12.0, rotated=False)
    map_layers.show_map(viewer, exact.volume, VOXEL, "exact")
    qtbot.waitUntil(lambda: widget.layer.name == "exact", timeout=60_000)
    widget.align.group.setCurrentText("D2")
    press(widget, qtbot, widget.files.impose)
    widget.validation.difference.setChecked(True)
    names = [layer.name for layer in viewer.layers if layer.name_overlay.visible]
    assert len(names) == 3
    assert names[2].startswith("difference: none above")


@pytest.mark.meshes
def test_impose_adds_four_layers_at_most_and_the_parts_of_a_map_follow_it(viewer, widget, qtbot):
    exact = known_map("D2", box_size=32, resolution=12.0, rotated=False)
    map_layers.show_map(viewer, exact.volume, VOXEL, "exact")
    qtbot.waitUntil(lambda: widget.layer.name == "exact", timeout=60_000)
    press(widget, qtbot, widget.detection.detect)
    widget.align.group.setCurrentText("D2")
    widget.validation.difference.setChecked(True)
    before = len(viewer.layers)
    press(widget, qtbot, widget.files.impose)
    assert SideBySide.of(viewer).active
    assert len(viewer.layers) <= before + 4
    names = [layer.name for layer in viewer.layers if layer.visible]
    assert names[:6] == [
        "exact",
        "exact: mesh",
        "exact: D2 axes",
        "exact D2 imposed",
        "exact D2 imposed: mesh",
        "exact D2 imposed: D2 axes",
    ]
    assert len(names) == 7
    assert names[6].startswith("difference")
