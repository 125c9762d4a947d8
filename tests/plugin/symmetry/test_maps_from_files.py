"""The dock *Symmetry* with a map of a file whose header has an ORIGIN."""

import pytest
from fake_symmetry import VOXEL
from symmetry_driver import press

from napari_ini3d.io.mrc.maps import read_map, write_map
from napari_ini3d.plugin.export.window import collect_window
from napari_ini3d.plugin.reader import read_map_layer
from napari_ini3d.plugin.symmetry import impose
from napari_ini3d.plugin.viewer.map_layers import add_layers
from napari_ini3d.plugin.viewer.metadata import layer_metadata
from napari_ini3d.plugin.writer import write_layer

ORIGIN = (-16.0, 8.0, 3.5)


@pytest.fixture
def layer(viewer, d2, tmp_path):
    write_map(tmp_path / "map.mrc", d2.volume, VOXEL, origin=ORIGIN)
    (layer,) = add_layers(viewer, [read_map_layer(tmp_path / "map.mrc")])
    return getattr(layer, "__wrapped__", layer)


def test_a_map_of_a_file_is_aligned_imposed_and_saved_with_its_origin(
    viewer, widget, layer, qtbot, tmp_path, notifications
):
    press(widget, qtbot, widget.detection.detect)
    press(widget, qtbot, widget.align.align)
    press(widget, qtbot, widget.files.impose)
    imposed = viewer.layers["map D2 imposed"]
    write_layer(str(tmp_path / "imposed.mrc"), *imposed.as_layer_data_tuple()[:2])
    assert read_map(tmp_path / "imposed.mrc").origin == ORIGIN
    assert not notifications


def test_undo_gives_a_map_of_a_file_its_metadata_back(widget, layer, qtbot, quick):
    before = {name: x for name, x in layer_metadata(layer).items() if name not in ("axes", "trial")}
    press(widget, qtbot, widget.files.flip)
    assert layer_metadata(layer)["origin"].flipped
    press(widget, qtbot, widget.align.undo)
    after = {name: x for name, x in layer_metadata(layer).items() if name not in ("axes", "trial")}
    assert after == before


def test_the_map_saved_by_the_dock_has_the_origin_of_its_file(
    widget, layer, qtbot, quick, tmp_path, monkeypatch, notifications
):
    monkeypatch.setattr(impose, "ask_save", lambda *_: tmp_path / "saved.mrc")
    press(widget, qtbot, widget.align.align)
    press(widget, qtbot, widget.files.save)
    assert read_map(tmp_path / "saved.mrc").origin == ORIGIN


def test_a_map_of_a_file_is_in_the_saved_window(viewer, layer, tmp_path):
    state, left_out = collect_window(viewer, tmp_path)
    assert [found.path for found in state.layers] == ["map.mrc"]
    assert not left_out
