"""Impose in the dock *Symmetry*: what is added, compared and written after an alignment."""

import numpy as np
import pytest
from symmetry_driver import POSES_STAR, choose, press

from napari_ini3d.plugin.compare.side_by_side import SideBySide
from napari_ini3d.plugin.symmetry import impose
from napari_ini3d.plugin.viewer.layer_transform import trial_of
from napari_ini3d.plugin.viewer.metadata import get_metadata


@pytest.mark.meshes
def test_imposing_a_group_after_an_alignment_adds_at_most_four_layers(
    viewer, widget, layer, qtbot, quick, monkeypatch
):
    monkeypatch.setattr(impose, "ask_to_align", lambda *_: "impose")
    press(widget, qtbot, widget.align.align)
    before = len(viewer.layers)
    press(widget, qtbot, widget.files.impose)
    widget.validation.difference.setChecked(True)
    names = [other.name for other in viewer.layers]
    assert any("difference" in name for name in names)
    assert len(names) <= before + 4, names  # the map, its mesh, its axes, the difference


def test_a_comparison_shows_the_map_as_it_was_when_the_group_was_imposed(
    viewer, widget, layer, qtbot, quick
):
    press(widget, qtbot, widget.align.align)
    motion = trial_of(layer)
    press(widget, qtbot, widget.files.impose)
    choose(widget, "map")
    press(widget, qtbot, widget.align.reset)
    press(widget, qtbot, widget.validation.compare)
    if not SideBySide.of(viewer).active:
        press(widget, qtbot, widget.validation.compare)
    np.testing.assert_allclose(trial_of(layer).rotation, motion.rotation)
    assert "not applied yet" in widget.align.score.text()


def test_the_difference_lies_on_the_imposed_map_not_on_the_preview(
    viewer, widget, layer, qtbot, quick
):
    press(widget, qtbot, widget.align.align)
    press(widget, qtbot, widget.files.impose)
    widget.validation.difference.setChecked(True)
    (difference,) = (x for x in viewer.layers if get_metadata(x, "kind") == "difference")
    imposed = viewer.layers["map D2 imposed"]
    assert not trial_of(layer).is_identity
    for corner in ((0.0, 0.0, 0.0), (31.0, 5.0, 7.0)):
        np.testing.assert_allclose(difference.data_to_world(corner), imposed.data_to_world(corner))


def test_the_particles_of_an_imposed_map_take_its_alignment(
    viewer, widget, layer, qtbot, quick, tmp_path, monkeypatch
):
    source = tmp_path / "in.star"
    source.write_text(POSES_STAR)
    targets = [tmp_path / "aligned.star", tmp_path / "imposed.star"]
    monkeypatch.setattr(impose, "ask_open", lambda *_: source)
    press(widget, qtbot, widget.files.flip)
    press(widget, qtbot, widget.align.align)
    monkeypatch.setattr(impose, "ask_save", lambda *_: targets[0])
    press(widget, qtbot, widget.files.particles)
    press(widget, qtbot, widget.files.impose)
    assert "imposed" in widget.layer.name
    monkeypatch.setattr(impose, "ask_save", lambda *_: targets[1])
    press(widget, qtbot, widget.files.particles)
    assert targets[1].read_text() == targets[0].read_text()
