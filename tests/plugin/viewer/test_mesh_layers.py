"""Maps as meshes on the real display."""

from weakref import ref

import numpy as np
import pytest
from qtpy.QtCore import QPointF, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_ini3d.io import write_map
from napari_ini3d.plugin.compare.side_by_side import SideBySide
from napari_ini3d.plugin.layers import LazyFrames, run_layer
from napari_ini3d.plugin.viewer import map_layers, mesh_layers, rendering
from napari_ini3d.plugin.viewer.layer_combo import LayerCombo
from napari_ini3d.plugin.viewer.map_meshes import MapMeshes, mesh_of
from napari_ini3d.plugin.viewer.prepared_mesh import MeshRequest

N, VOXEL = 32, 3.0

meshes = pytest.mark.meshes


def bent_body(scale=1.0, shift=0):
    """A map without symmetry."""
    z, y, x = np.mgrid[:N, :N, :N] - N // 2
    body = np.exp(-((x - shift) ** 2 / 60 + y**2 / 12 + z**2 / 12))
    return (scale * (body + np.exp(-((x - 5) ** 2 + (y - 6) ** 2 + z**2) / 8))).astype(np.float32)


def ready(qtbot, viewer, layer):
    """Wait until the mesh is up to date, and return its layer."""
    qtbot.waitUntil(lambda: not MapMeshes.of(viewer).find(layer).busy, timeout=60_000)
    return mesh_of(viewer, layer)


def photograph(viewer):
    viewer.scene.camera.center = (0, 0, 0)
    viewer.scene.camera.zoom = 2.0
    picture = viewer.screenshot(canvas_only=True, size=(240, 240), flash=False)
    return picture[..., :3].max(axis=-1)


def canvas_of_window():
    (canvas,) = (
        widget for widget in QApplication.allWidgets()
        if "CanvasBackend" in type(widget).__name__ and widget.isVisible()
    )  # fmt: skip
    return canvas


def overlap(first, second):
    return (first & second).sum() / (first | second).sum()


@pytest.fixture
def layer(viewer):
    return map_layers.show_map(viewer, bent_body(), VOXEL, "map").__wrapped__


@meshes
def test_a_map_that_is_opened_from_a_file_is_shown_as_a_mesh(viewer, qtbot, tmp_path):
    write_map(tmp_path / "body.mrc", bent_body(), VOXEL)
    (layer,) = viewer.open(tmp_path / "body.mrc", plugin="napari-ini3d")
    assert len(ready(qtbot, viewer, layer).data[1]) > 100


@meshes
def test_a_map_of_which_no_mesh_can_be_made_is_drawn_as_a_volume(viewer, qtbot, monkeypatch):
    def fail(*_, **__):
        raise ValueError("no mesh")

    monkeypatch.setattr(mesh_layers, "find_surface", fail)
    layer = map_layers.show_map(viewer, bent_body(), VOXEL, "map").__wrapped__
    qtbot.waitUntil(lambda: MapMeshes.of(viewer).find(layer) is None, timeout=60_000)
    assert (layer.depiction, layer.rendering) == ("volume", "iso")
    assert mesh_of(viewer, layer) is None


@meshes
def test_mesh_and_volume_of_a_map_cover_the_same_pixels(viewer, layer, qtbot):
    mesh = ready(qtbot, viewer, layer)
    for angles in ((0, 0, 0), (25, 50, 10), (-70, 130, 60)):
        viewer.scene.camera.angles = angles
        mesh.visible = True
        as_mesh = photograph(viewer) > 30
        with_volume = map_layers.show_map(viewer, bent_body(), VOXEL, "volume").__wrapped__
        MapMeshes.of(viewer).find(with_volume).end()
        mesh.visible = False
        as_volume = photograph(viewer) > 30
        viewer.layers.remove(with_volume)
        assert 0.02 < as_mesh.mean() < 0.7
        assert overlap(as_mesh, as_volume) > 0.9


@meshes
def test_the_volume_itself_is_not_drawn(viewer, layer, qtbot):
    mesh = ready(qtbot, viewer, layer)
    mesh.data = (np.zeros((3, 3)), np.array([[0, 1, 2]]))
    assert layer.visible
    assert (photograph(viewer) > 30).mean() == 0


@meshes
def test_a_mesh_is_neither_burnt_out_nor_black(viewer, layer, qtbot):
    ready(qtbot, viewer, layer)
    shades = photograph(viewer)
    shades = shades[shades > 0]
    assert np.percentile(shades, 10) > 30
    assert np.median(shades) > 90, "the side that is seen is lit"
    assert (shades > 250).mean() < 0.05
    assert np.ptp(np.percentile(shades, (10, 90))) > 20, "the shape can be seen"


@meshes
def test_a_drag_with_the_mouse_turns_the_map(viewer, layer, qtbot):
    ready(qtbot, viewer, layer)
    before, picture = viewer.scene.camera.angles, photograph(viewer)
    canvas = canvas_of_window()
    centre = QPointF(canvas.width() / 2, canvas.height() / 2).toPoint()
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=centre)
    for step in range(1, 6):
        moved = QPointF(centre.x() + 15 * step, centre.y() + 6 * step).toPoint()
        QTest.mouseMove(canvas, moved)
        qtbot.wait(30)
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=moved)
    assert np.abs(np.subtract(viewer.scene.camera.angles, before)).max() > 5
    assert (np.abs(photograph(viewer).astype(int) - picture) > 30).mean() > 0.01


@meshes
def test_a_new_iteration_replaces_the_mesh_in_place_at_its_level(viewer, layer, qtbot):
    mesh = ready(qtbot, viewer, layer)
    map_layers.set_level_in_sigma(layer, 3.0)
    ready(qtbot, viewer, layer)
    first = mesh.data[0]
    map_layers.show_map(viewer, bent_body(scale=5.0, shift=4), VOXEL, "map")
    assert ready(qtbot, viewer, layer) is mesh
    assert len(mesh.data[0]) != len(first)
    assert map_layers.level_in_sigma(layer) == pytest.approx(3.0)
    assert len(viewer.layers) == 2
    np.testing.assert_array_equal(mesh.scale, layer.scale)
    np.testing.assert_array_equal(mesh.translate, layer.translate)
    assert mesh.units == layer.units


@meshes
def test_a_mesh_shows_the_iteration_on_the_slider(viewer, qtbot):
    volumes = np.stack([bent_body(), bent_body(shift=6)])
    frames = LazyFrames(2, (N,) * 3, lambda i: volumes[i])
    known = {"path": "run", "class_index": 0, "iterations": [10, 20]}
    data = run_layer(frames, VOXEL, "run", colormap="gray", metadata=known)
    (layer,) = map_layers.add_layers(viewer, [data])
    mesh = ready(qtbot, viewer, layer)
    last = mesh.data[0][:, 2].mean()
    map_layers.show_iteration(viewer, layer, 10)
    ready(qtbot, viewer, layer)
    assert mesh.data[0][:, 2].mean() < last - 1


@meshes
def test_a_mesh_is_shown_hidden_moved_coloured_and_named_with_its_map(viewer, layer, qtbot):
    mesh = ready(qtbot, viewer, layer)
    layer.visible = False
    assert not mesh.visible
    mesh.visible = True
    assert layer.visible
    layer.name, layer.colormap = "other", "red"
    assert mesh.name == "other: mesh"
    assert mesh.colormap.name == "red"
    layer.translate = np.array(layer.translate) + 10
    layer.affine = np.diag([1, 1, -1, 1])
    for point in ((0, 0, 0), (3, 5, 7)):
        np.testing.assert_allclose(mesh.data_to_world(point), layer.data_to_world(point))


@meshes
def test_the_level_moves_the_mesh(viewer, layer, qtbot):
    mesh = ready(qtbot, viewer, layer)
    wide = np.ptp(mesh.data[0], axis=0)
    map_layers.set_level_in_sigma(layer, 2 * map_layers.level_in_sigma(layer))
    ready(qtbot, viewer, layer)
    assert (np.ptp(mesh.data[0], axis=0) < wide).all()


@meshes
def test_removing_the_map_removes_its_mesh_and_removing_the_mesh_brings_the_volume(
    viewer, layer, qtbot
):
    other = map_layers.show_map(viewer, bent_body(), VOXEL, "other").__wrapped__
    ready(qtbot, viewer, layer)
    mesh = ready(qtbot, viewer, other)
    viewer.layers.remove(layer)
    assert [found.name for found in viewer.layers] == ["other", "other: mesh"]
    viewer.layers.remove(mesh)
    assert other.depiction == "volume"
    assert (photograph(viewer) > 30).mean() > 0.02


@meshes
def test_lists_of_maps_offer_the_map_once(viewer, layer, qtbot):
    ready(qtbot, viewer, layer)
    combo = LayerCombo(ref(viewer.__wrapped__))
    qtbot.addWidget(combo)
    assert combo.count() == 1
    assert combo.layer is layer


@meshes
def test_meshes_side_by_side_are_in_the_cells_of_their_maps(viewer, layer, qtbot):
    other = map_layers.show_map(viewer, bent_body(), VOXEL, "other").__wrapped__
    ready(qtbot, viewer, other)
    comparison = SideBySide.of(viewer)
    comparison.show([layer, other], [None, None])
    found = [
        [viewer.layers[i].name for i in inside if viewer.layers[i].visible]
        for _, inside in viewer.canvas.grid.iter_viewboxes(viewer.layers)
    ]
    assert [names[:2] for names in found if names] == [
        ["map", "map: mesh"],
        ["other", "other: mesh"],
    ]
    assert comparison.active
    comparison.leave()
    assert [found.name for found in viewer.layers] == ["map", "map: mesh", "other", "other: mesh"]


@pytest.mark.parametrize(
    ("renderer", "software"),
    [
        ("llvmpipe (LLVM 15.0.6, 256 bits)", True),
        ("softpipe", True),
        ("Google SwiftShader", True),
        ("NVIDIA GeForce RTX 4090/PCIe/SSE2", False),
        ("Mesa Intel(R) UHD Graphics 620 (KBL GT2)", False),
        ("", False),
    ],
)
def test_software_renderers_are_known_by_their_names(renderer, software):
    assert rendering.is_software(renderer) == software


@pytest.mark.parametrize(
    ("preference", "renderer", "expected"),
    [
        ("automatic", "llvmpipe", "mesh"),
        ("automatic", "NVIDIA", "volume"),
        ("mesh", "NVIDIA", "mesh"),
        ("volume", "llvmpipe", "volume"),
    ],
)
def test_the_preference_overrides_the_renderer(monkeypatch, preference, renderer, expected):
    monkeypatch.setattr(rendering, "read_preference", lambda *_: preference)
    monkeypatch.setattr(rendering, "opengl_renderer", lambda: renderer)
    assert rendering.map_rendering() == expected


def test_the_renderer_of_the_display_is_found(viewer):
    assert rendering.opengl_renderer()


@meshes
def test_a_hidden_mesh_takes_the_light_of_the_camera_when_it_is_shown(viewer, layer, qtbot):
    mesh = ready(qtbot, viewer, layer)
    before = mesh.data[2].copy()
    layer.visible = False
    viewer.scene.camera.angles = (0, 70, 20)
    qtbot.wait(400)
    np.testing.assert_array_equal(mesh.data[2], before)
    layer.visible = True
    assert np.abs(mesh.data[2] - before).max() > 0.1


@meshes
def test_a_map_with_a_prepared_mesh_changes_together_with_it(viewer, layer, qtbot):
    mesh = ready(qtbot, viewer, layer)
    map_layers.set_level_in_sigma(layer, 3.0)
    ready(qtbot, viewer, layer)
    after = bent_body(scale=5.0, shift=4)
    prepared = MeshRequest.of(viewer, layer).compute(after)
    map_layers.show_map(viewer, after, VOXEL, "map", scale=None, prepared=prepared)
    assert not MapMeshes.of(viewer).find(layer).busy, "nothing is left to be drawn later"
    at_once = mesh.data
    MapMeshes.of(viewer).find(layer).hide_dust(1)  # computes it again
    ready(qtbot, viewer, layer)
    for prepared_part, part in zip(at_once, mesh.data, strict=True):
        np.testing.assert_array_equal(prepared_part, part)


@meshes
def test_a_prepared_mesh_at_a_level_that_was_left_is_not_kept(viewer, layer, qtbot):
    mesh = ready(qtbot, viewer, layer)
    after = bent_body(shift=4)
    prepared = MeshRequest.of(viewer, layer).compute(after)
    map_layers.set_level_in_sigma(layer, 6.0)  # by the user, meanwhile
    map_layers.show_map(viewer, after, VOXEL, "map", scale=None, prepared=prepared)
    assert len(ready(qtbot, viewer, layer).data[0]) < len(prepared.surface.vertices)
    assert mesh is mesh_of(viewer, layer)
    assert map_layers.level_in_sigma(layer) == pytest.approx(6.0)
