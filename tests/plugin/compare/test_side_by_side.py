"""Maps side by side: both are drawn, rotate together and share a level, until the end."""

import numpy as np
import pytest

from napari_ini3d.errors import RunFolderError
from napari_ini3d.io.mrc.maps import write_map
from napari_ini3d.plugin.compare.difference import Difference
from napari_ini3d.plugin.compare.side_by_side import SideBySide, show_symmetry_of_run
from napari_ini3d.plugin.viewer import map_layers
from napari_ini3d.plugin.viewer.grid_cells import grid_shape
from napari_ini3d.plugin.viewer.map_axes import MapAxes
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.symmetry_files import SymmetryFiles

N, VOXEL = 24, 3.0


def bent_body(scale=1.0):
    """A map without symmetry."""
    z, y, x = np.mgrid[:N, :N, :N] - N // 2
    body = np.exp(-(x**2 / 40 + y**2 / 8 + z**2 / 8))
    return (scale * (body + np.exp(-((x - 4) ** 2 + (y - 5) ** 2 + z**2) / 6))).astype(np.float32)


@pytest.fixture
def maps(viewer):
    layers = [map_layers.show_map(viewer, bent_body(), VOXEL, name) for name in ("one", "two")]
    map_layers.show_map(viewer, bent_body(), VOXEL, "not in it")
    layers[1].visible = False
    return [layer.__wrapped__ for layer in layers]


def cells(viewer):
    """The map in the left and in the right half of the canvas: where it is grey and bright."""
    picture = viewer.screenshot(canvas_only=True, size=(160, 320), flash=False)[..., :3]
    picture = picture.astype(int)
    grey = (np.ptp(picture, axis=-1) < 12) & (picture.max(axis=-1) > 40)
    grey[:30] = False  # the names
    return grey[:, :158], grey[:, -158:]


def overlap(first, second):
    return (first & second).sum() / max((first | second).sum(), 1)


def state(viewer):
    grid, camera = viewer.canvas.grid, viewer.scene.camera
    return (
        [layer.name for layer in viewer.layers],
        [layer.visible for layer in viewer.layers],
        [layer.name_overlay.visible for layer in viewer.layers],
        [layer.name for layer in viewer.layers.selection],
        (grid.enabled, grid.stride, tuple(grid.shape), grid.spacing),
        (camera.zoom, camera.center),
        viewer.dims.ndisplay,
    )


def test_levels_are_linked_in_density_for_any_display_factor(viewer):
    layers = [
        map_layers.show_map(viewer, bent_body(), VOXEL, name, scale=scale).__wrapped__
        for name, scale in (("one", 8.0), ("two", 0.5))
    ]
    comparison = SideBySide.of(viewer)
    comparison.show(layers, [None, None], link="density")
    layers[0].iso_threshold = 8 * 0.7
    assert layers[1].iso_threshold == pytest.approx(0.5 * 0.7)
    assert layers[1].contrast_limits[1] == pytest.approx(layers[0].contrast_limits[1] / 16)
    comparison.leave()


def test_both_cells_show_the_same_view_and_rotate_together(viewer, maps):
    viewer.window.resize(800, 400)
    SideBySide.of(viewer).show(maps, [None, None])
    viewer.canvas.grid.shape = (1, 2)
    left, right = cells(viewer)
    assert 0.01 < left.mean() < 0.6
    assert 0.01 < right.mean() < 0.6
    assert overlap(left, right) > 0.75
    viewer.scene.camera.angles = (30, 60, 40)
    rotated_left, rotated_right = cells(viewer)
    assert overlap(rotated_left, rotated_right) > 0.75
    assert overlap(left, rotated_left) < 0.7


def test_the_viewer_is_restored_when_the_comparison_ends(viewer, maps):
    viewer.canvas.grid.stride = 3
    viewer.scene.camera.zoom = 1.7
    before = state(viewer)
    shown = SideBySide.of(viewer)
    difference = Difference(maps[0].data - 0.5 * maps[1].data, VOXEL)
    shown.show(maps, [MapAxes.of_setting("D2")] * 2, difference=difference)
    assert shown.active
    assert state(viewer) != before
    assert not viewer.layers["not in it"].visible
    shown.leave()
    assert not shown.active
    assert state(viewer) == before


def test_axes_are_in_both_cells_and_each_cell_has_one_map(viewer, maps):
    SideBySide.of(viewer).show(maps, [None, MapAxes.of_setting("D2", "imposed")])
    grid = viewer.canvas.grid
    found = [
        [viewer.layers[i].name for i in inside if viewer.layers[i].visible]
        for _, inside in grid.iter_viewboxes(viewer.layers)
    ]
    occupied = [names for names in found if names]
    assert [names[0] for names in occupied] == ["one", "two"]
    assert [len(names) for names in occupied] == [2, 2]


def test_changing_one_level_changes_all(viewer, maps):
    shown = SideBySide.of(viewer)
    shown.show(maps, [None, None])
    maps[1].iso_threshold = 0.77
    assert maps[0].iso_threshold == pytest.approx(0.77)
    shown.leave()
    maps[1].iso_threshold = 0.5
    assert maps[0].iso_threshold == pytest.approx(0.77)


def test_maps_of_different_scale_share_a_level_in_sigma(viewer, maps):
    map_layers.show_map(viewer, bent_body(10.0), VOXEL, "two")
    SideBySide.of(viewer).show(maps, [None, None], link="sigma")
    map_layers.set_level_in_sigma(maps[0], 2.5)
    assert map_layers.level_in_sigma(maps[1]) == pytest.approx(2.5, abs=1e-3)


def test_adding_a_layer_ends_the_comparison_and_the_layer_is_visible(viewer, maps):
    shown = SideBySide.of(viewer)
    shown.show(maps, [None, None])
    viewer.add_points([[0, 0, 0]], name="new", units=("angstrom",) * 3)
    assert not shown.active
    assert not viewer.canvas.grid.enabled
    assert viewer.layers["new"].visible
    assert viewer.layers["not in it"].visible


def test_removing_a_compared_map_ends_the_comparison(viewer, maps, qtbot):
    shown = SideBySide.of(viewer)
    shown.show(maps, [None, None])
    viewer.layers.remove(maps[1])
    qtbot.waitUntil(lambda: not shown.active)
    assert [layer.name for layer in viewer.layers] == ["one", "not in it"]
    assert not viewer.canvas.grid.enabled


def test_the_grid_has_the_largest_cells():
    assert grid_shape(2, (400, 900)) == (1, 2)
    assert grid_shape(2, (900, 400)) == (2, 1)
    assert grid_shape(3, (690, 610)) == (2, 2)
    assert grid_shape(3, (300, 1200)) == (1, 3)


def finished_run(folder):
    folder.mkdir()
    (folder / "settings.json").write_text("{}")
    run = RunFolder(folder)
    files = SymmetryFiles(run)
    for path in (run.map_path, files.aligned_path, files.symmetrised_path):
        write_map(path, bent_body(), VOXEL)
    files.write_facts({"requested": "auto", "group": "D2", "verdict": "D2 holds", "holds": True})
    return files


def test_map_aligned_map_and_imposed_map_of_a_run_are_shown(viewer, tmp_path, monkeypatch):
    files = finished_run(tmp_path / "run")
    monkeypatch.setattr(RunFolder, "open", classmethod(lambda cls, path: cls(path)))
    show_symmetry_of_run(viewer, tmp_path / "run")
    shown = SideBySide.of(viewer)
    assert [layer.name for layer in shown.maps] == ["run", "run aligned, D2", "run imposed, D2"]
    assert viewer.canvas.grid.enabled
    show_symmetry_of_run(viewer, tmp_path / "run")
    assert len(shown.maps) == 3
    shown.leave()
    assert len(viewer.layers) == 3
    files.symmetrised_path.unlink()
    with pytest.raises(RunFolderError, match="use Detect, Align and Impose"):
        show_symmetry_of_run(viewer, tmp_path / "run")


def test_a_folder_without_a_run_is_refused(viewer, tmp_path):
    with pytest.raises(RunFolderError):
        show_symmetry_of_run(viewer, tmp_path / "nowhere")
