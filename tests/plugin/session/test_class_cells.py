"""Classes of a run side by side: cells, captions, and their end."""

from weakref import ref

import numpy as np
import pytest
from fake_runs import make_report, make_volume

from napari_ini3d.plugin.compare.side_by_side import SideBySide
from napari_ini3d.plugin.layers import CLASS_COLOURS
from napari_ini3d.plugin.session.class_captions import ClassValues, class_captions
from napari_ini3d.plugin.session.live_layers import LiveLayers
from napari_ini3d.plugin.session.worker import Progress
from napari_ini3d.plugin.viewer.class_cells import ClassCells
from napari_ini3d.plugin.viewer.map_axes import MapAxes
from napari_ini3d.plugin.viewer.map_layers import show_map
from napari_ini3d.plugin.viewer.map_meshes import MapMeshes
from napari_ini3d.plugin.viewer.metadata import get_metadata
from napari_ini3d.runs.summary import IterationSummary


def progress_of(iteration, shares=(0.75, 0.25), resolution=(12.0, 20.0)):
    count = len(shares)
    report = make_report(iteration, classes=count, resolution=np.array(resolution))
    summary = IterationSummary.from_report(report)
    summary.class_shares[:] = shares
    volumes = np.stack([make_volume(seed=k) for k in range(count)])
    return Progress(summary, volumes, n_classes=count)


@pytest.fixture
def layers(model, tmp_path):
    layers = LiveLayers(ref(model))
    layers.begin(tmp_path / "run")
    return layers


def captions(viewer):
    return [layer.name for layer in viewer.layers if get_metadata(layer, "kind") == "caption"]


def cells(viewer):
    """The visible layers of each cell."""
    grid = viewer.canvas.grid
    found = [
        [viewer.layers[i].name for i in indices if viewer.layers[i].visible]
        for _, indices in grid.iter_viewboxes(viewer.layers)
    ]
    return [cell for cell in found if cell]


def test_each_class_has_a_cell_with_its_share_and_resolution(model, layers):
    layers.show(progress_of(7))
    assert cells(model) == [
        ["class 1 · 75 % · 12.0 Å", "run class 1"],
        ["class 2 · 25 % · 20.0 Å", "run class 2"],
    ]
    assert model.canvas.overlays.text.text == "run · iteration 7 · FSC 0.5"


def test_captions_follow_the_iterations_in_place(model, layers):
    layers.show(progress_of(7))
    before = [*model.layers]
    layers.show(progress_of(8, shares=(0.6, 0.4), resolution=(10.0, np.nan)))
    assert [*model.layers] == before
    assert captions(model) == ["class 1 · 60 % · 10.0 Å", "class 2 · 40 %"]
    assert model.canvas.overlays.text.text == "run · iteration 8 · FSC 0.5"


def test_a_caption_has_the_colour_of_its_class(model, layers):
    layers.show(progress_of(7))
    shown = [layer for layer in model.layers if get_metadata(layer, "kind") == "caption"]
    for layer, colour in zip(shown, CLASS_COLOURS, strict=False):
        rgb = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        np.testing.assert_allclose(layer.name_overlay.color[:3], rgb, atol=0.01)


def test_the_resolution_of_a_class_without_particles_is_not_shown():
    values = ClassValues([12.0, 192.0], [1.0, 0.0])
    assert [c.text for c in class_captions([0, 1], 2, values)] == [
        "class 1 · 100 % · 12.0 Å",
        "class 2 · 0 % · empty",
    ]


def test_a_class_that_is_hidden_has_no_cell(model, layers):
    layers.show(progress_of(7, shares=(0.5, 0.3, 0.2), resolution=(12.0, 20.0, 30.0)))
    assert len(cells(model)) == 3
    layers.maps[1].visible = False
    assert [cell[-1] for cell in cells(model)] == ["run class 1", "run class 3"]


def test_without_cells_the_viewer_is_as_before(model, layers):
    layers.side_by_side = False
    layers.show(progress_of(7))
    model.scene.camera.zoom = 4.0
    names = [layer.name for layer in model.layers]
    before = model.canvas.grid.model_dump()
    layers.side_by_side = True
    assert model.canvas.grid.enabled
    assert model.scene.camera.zoom < 4.0  # a cell is smaller than the canvas
    layers.side_by_side = False
    assert [layer.name for layer in model.layers] == names
    assert model.canvas.grid.model_dump() == before
    assert model.scene.camera.zoom == pytest.approx(4.0)


def test_a_run_with_one_class_needs_no_cells(model, layers):
    layers.show(progress_of(7, shares=(1.0,), resolution=(12.0,)))
    assert not model.canvas.grid.enabled
    assert captions(model) == []


def test_the_grid_button_of_napari_ends_the_cells(model, layers):
    layers.show(progress_of(7))
    model.canvas.grid.enabled = False
    assert not layers.side_by_side
    assert captions(model) == []
    layers.show(progress_of(8))
    assert not model.canvas.grid.enabled


def test_cells_come_back_after_a_comparison_of_other_maps(viewer, qtbot, tmp_path):
    real = viewer.__wrapped__
    layers = LiveLayers(ref(real))
    layers.begin(tmp_path / "run")
    others = [show_map(real, make_volume(seed=9), 2.0, name) for name in ("one", "two")]
    layers.show(progress_of(7))
    before = cells(real)
    assert len(before) == 2
    comparison = SideBySide.of(real)
    comparison.show(others, [None, None])
    assert not ClassCells.of(real).active
    layers.show(progress_of(8))
    assert [cell[0] for cell in cells(real)] == ["one", "two"]
    comparison.leave()
    layers.show(progress_of(8))
    assert [cell[-1] for cell in cells(real)] == [cell[-1] for cell in before]


def compare_others(viewer, tmp_path):
    """Show two classes in cells, then compare two other maps with axes in their cells."""
    real = viewer.__wrapped__
    layers = LiveLayers(ref(real))
    layers.begin(tmp_path / "run")
    others = [show_map(real, make_volume(seed=9), 2.0, name) for name in ("one", "two")]
    layers.show(progress_of(7))
    comparison = SideBySide.of(real)
    comparison.show(others, [MapAxes.of_setting("D2", "detected"), None])
    return real, layers, comparison


def test_a_comparison_neither_takes_nor_loses_the_captions_of_the_cells(viewer, qtbot, tmp_path):
    real, _layers, comparison = compare_others(viewer, tmp_path)
    assert len(captions(real)) == 2
    shown = {layer.name for layer in real.layers if layer.visible}
    assert {"one", "two"} <= shown
    assert not shown & {*captions(real), "run class 1", "run class 2"}
    comparison.leave()
    assert len(captions(real)) == 2
    assert ClassCells.of(real).active


def test_cells_that_are_left_during_a_comparison_do_not_come_back(viewer, qtbot, tmp_path):
    real, layers, comparison = compare_others(viewer, tmp_path)
    layers.side_by_side = False
    assert real.canvas.grid.enabled
    comparison.leave()
    assert not real.canvas.grid.enabled
    assert captions(real) == []
    assert not any(get_metadata(layer, "padding") for layer in real.layers)


@pytest.mark.meshes
def test_each_cell_shows_only_its_class(viewer, qtbot, tmp_path):
    viewer.window.resize(900, 500)
    real = viewer.__wrapped__
    layers = LiveLayers(ref(real))
    layers.begin(tmp_path / "run")
    layers.show(progress_of(7))
    real.canvas.grid.shape = (1, 2)
    meshes = [MapMeshes.of(real).find(layer) for layer in layers.maps]
    qtbot.waitUntil(lambda: all(m is not None and not m.busy for m in meshes), timeout=60_000)
    picture = viewer.screenshot(canvas_only=True, size=(200, 400), flash=False)[..., :3].astype(int)
    red, _, blue = np.moveaxis(picture[50:], -1, 0)  # below the captions
    left, right = slice(0, 196), slice(204, 400)
    assert ((blue - red) > 40)[:, left].mean() > 0.01  # class 1 is blue
    assert ((red - blue) > 40)[:, right].mean() > 0.01  # class 2 is orange
    assert not ((red - blue) > 40)[:, left].any()
    assert not ((blue - red) > 40)[:, right].any()
