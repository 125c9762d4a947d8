"""What a viewer shows, written for ChimeraX."""

import re

import numpy as np
import pytest

pytest.importorskip("napari")

from fake_runs import make_volume
from scipy.ndimage import binary_closing, zoom
from scipy.spatial.transform import Rotation

from napari_ini3d.errors import Ini3dError, InputError
from napari_ini3d.geometry import RigidTransform
from napari_ini3d.io import read_map
from napari_ini3d.plugin.compare.difference import Difference, DifferenceLayer
from napari_ini3d.plugin.export.chimerax_scene import Scene, view_of
from napari_ini3d.plugin.export.folders import export_folder
from napari_ini3d.plugin.viewer import MapAxes, MapMeshes, show_map, show_symmetry_axes, try_motion
from napari_ini3d.plugin.viewer.map_level import set_level_in_sigma

VOXEL = 4.0


def add(model, name="a", **more):
    return show_map(model, make_volume() / 100, VOXEL, name, scale=None, **more)


def written(model, tmp_path):
    path = Scene.of(model).write(tmp_path / "out")
    return path.parent, path.read_text()


def test_maps_are_written_as_densities_with_their_level(model, tmp_path):
    layer = add(model, "my map")
    set_level_in_sigma(layer, 3.0)
    folder, text = written(model, tmp_path)
    found = read_map(folder / "my_map.mrc")
    np.testing.assert_allclose(found.data, make_volume() / 100, rtol=1e-6)
    assert found.voxel_size == VOXEL
    level = float(re.search(r"level (\S+) color", text)[1])
    assert level == pytest.approx(found.data.mean() + 3 * found.data.std(), rel=1e-4)
    assert 'open my_map.mrc name "my map" id 1\n' in text


def test_only_what_is_shown_is_written(model, tmp_path):
    add(model, "hidden").visible = False
    add(model, "shown", colormap="#56b4e9")
    folder, text = written(model, tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["open_in_chimerax.cxc", "shown.mrc"]
    assert "color #56b4e9" in text


def test_maps_of_the_same_file_name_are_kept_apart(model, tmp_path):
    for name in ("a b", "a/b", "A_b"):
        add(model, name)
    folder, _ = written(model, tmp_path)
    assert {p.name for p in folder.glob("*.mrc")} == {"a_b.mrc", "a_b_2.mrc", "A_b_3.mrc"}


def test_a_map_that_was_moved_is_placed_and_not_resampled(model, tmp_path):
    rotation = Rotation.from_euler("xyz", (10, 20, 30), degrees=True).as_matrix()
    layer = add(model)
    try_motion(layer, RigidTransform(rotation, np.array([1.0, -2.0, 3.0])))
    folder, text = written(model, tmp_path)
    np.testing.assert_allclose(read_map(folder / "a.mrc").data, make_volume() / 100, rtol=1e-6)
    numbers = re.search(r"view matrix models #1,(\S+)", text)[1].split(",")
    matrix = np.array(numbers, float).reshape(3, 4)
    np.testing.assert_allclose(matrix[:, :3], rotation, atol=1e-5)
    # the motion takes x to R (x - s)
    shift = -VOXEL * rotation @ [1.0, -2.0, 3.0]
    np.testing.assert_allclose(matrix[:, 3], shift, atol=1e-3)


def test_symmetry_axes_are_where_they_are_drawn_and_say_why(model, tmp_path):
    layer = add(model)
    axes = MapAxes.of_setting("C4", "rejected")
    show_symmetry_axes(model, layer, axes, radius=10.0)
    folder, text = written(model, tmp_path)
    assert 'name "a: C4 axes (C4 does not hold)" id 2' in text
    (bild,) = folder.glob("*.bild")
    rods = [line.split()[1:7] for line in bild.read_text().splitlines() if ".cylinder" in line]
    ends = np.array(rods, float).reshape(-1, 3)
    np.testing.assert_allclose(ends[:, :2], 0, atol=1e-3)  # along z, through the centre
    assert ends[:, 2].max() == pytest.approx(1.2 * 10 * VOXEL, rel=1e-3)
    assert len(rods) == 9  # dashed


def test_a_difference_is_written_as_a_map_with_a_level_of_each_sign(model, tmp_path):
    layer = add(model)
    try_motion(layer, RigidTransform(np.eye(3), np.array([5.0, 0, 0])))
    scale = layer.metadata["ini3d"]["density_scale"]
    volume = np.asarray(layer.data) - np.asarray(layer.data)[:, :, ::-1]
    shown = DifferenceLayer(model, Difference(volume, VOXEL, on_axes=True), layer)
    folder, text = written(model, tmp_path)
    np.testing.assert_allclose(read_map(folder / "difference.mrc").data, volume / scale, atol=1e-6)
    found = re.search(r"volume #2 .* level (\S+) color (\S+) level (\S+) color (\S+) show", text)
    level = 0.4 * layer.iso_threshold / scale
    assert [float(found[1]), float(found[3])] == pytest.approx([level, -level], rel=1e-4)
    assert (found[2], found[4]) == ("#e69f00", "#0072b2")
    assert "view matrix models #2" not in text  # it is on the axes, not where the preview was
    shown.layer.visible = False
    assert "difference.mrc" not in Scene.of(model).commands(tmp_path / "other")


def test_copied_commands_work_from_anywhere(model, tmp_path):
    add(model)
    text = Scene.of(model).commands(tmp_path / "my folder")
    assert f'open "{tmp_path}/my folder/a.mrc" name a id 101' in text
    assert not re.search(r"#1\b", text)  # it may be another model in the session
    assert not list((tmp_path / "my folder").glob("*.cxc"))


def test_a_map_that_is_mirrored_is_refused_before_anything_is_written(model):
    layer = add(model)
    layer.scale = (-VOXEL, VOXEL, VOXEL)
    with pytest.raises(InputError, match="a is sheared, scaled or mirrored"):
        Scene.of(model)


def test_without_a_map_there_is_nothing_to_write(model):
    with pytest.raises(InputError, match="no map is shown"):
        Scene.of(model)


def test_a_folder_that_cannot_be_made_is_an_error(model, tmp_path):
    add(model)
    (tmp_path / "out").write_text("a file")
    with pytest.raises(Ini3dError, match="out"):
        Scene.of(model).write(tmp_path / "out")


def test_the_view_is_that_of_the_camera_in_angstrom(model):
    add(model)
    camera = model.scene.camera
    camera.zoom, camera.center, camera.perspective = 2.0, (3.0, 2.0, 1.0), 0.0
    view = view_of(model)
    assert view.centre == (1.0, 2.0, 3.0)
    assert view.width == pytest.approx(model.canvas.size[1] / 2)
    np.testing.assert_allclose(np.dot(view.direction, view.up), 0, atol=1e-6)


def screen_of_chimerax(folder, text, size):
    """Where maps are on the screen of ChimeraX, from its commands: a mask of `size` (h, w).

    As its source has it: the origin of a map is minus `originIndex` times the voxel size; a
    position has the axes as columns; `camera ortho` keeps the width at the centre of rotation,
    the distance times the angle; and the width of the view is that of the window.
    """
    height, width = size
    centre = np.array(re.search(r"^cofr (\S+)", text, re.M)[1].split(","), float)
    angle = np.radians(float(re.search(r"fieldOfView (\S+)", text)[1]))
    near, far = (
        np.array(found.split(","), float).reshape(3, 4)
        for found in re.findall(r"^view matrix camera (\S+)", text, re.M)
    )
    pixel = width / (np.linalg.norm(near[:, 3] - centre) * angle)
    mask = np.zeros(size, bool)
    for path, number in re.findall(r"^open (\S+) .*id (\d+)$", text, re.M):
        if not path.endswith(".mrc"):
            continue
        found = read_map(folder / path)
        index = np.array(re.search(rf"#{number} originIndex (\S+)", text)[1].split(","), float)
        level = float(re.search(rf"#{number} style surface level (\S+)", text)[1])
        fine = zoom(found.data, 3, order=1, grid_mode=True, mode="nearest")
        places = np.argwhere(fine > level)[:, ::-1]  # x, y, z
        points = ((places + 0.5) / 3 - 0.5 - index) * found.voxel_size
        moved = re.search(rf"view matrix models #{number},(\S+)", text)
        if moved:
            matrix = np.array(moved[1].split(","), float).reshape(3, 4)
            points = points @ matrix[:, :3].T + matrix[:, 3]
        seen = (points - far[:, 3]) @ far[:, :3]  # right, up, towards the viewer
        x, y = width / 2 + pixel * seen[:, 0], height / 2 - pixel * seen[:, 1]
        mask[np.clip(y.astype(int), 0, height - 1), np.clip(x.astype(int), 0, width - 1)] = True
    return binary_closing(mask, iterations=3)


@pytest.mark.meshes
def test_chimerax_shows_maps_where_the_window_does(viewer, qtbot, tmp_path):
    """From an odd angle, off the centre, and one of the two maps moved."""
    layers = [add(viewer, name) for name in ("a", "b")]
    rotation = Rotation.from_euler("zyx", (40, -25, 70), degrees=True).as_matrix()
    try_motion(layers[1], RigidTransform(rotation, np.array([5.0, -4.0, 3.0])))
    for layer in layers:
        set_level_in_sigma(layer, 6.0)
    camera = viewer.scene.camera
    camera.angles, camera.center, camera.zoom = (20.0, -50.0, 130.0), (6.0, -9.0, 12.0), 2.2
    camera.perspective = 0.0
    meshes = [MapMeshes.of(viewer).find(layer) for layer in layers]
    qtbot.waitUntil(lambda: not any(mesh.busy for mesh in meshes), timeout=60_000)
    shot = viewer.screenshot(canvas_only=True, flash=False)[..., :3]
    drawn = shot.max(-1) > 30
    folder, text = written(viewer, tmp_path)
    expected = screen_of_chimerax(folder, text, drawn.shape)
    assert 0.01 < expected.mean() < 0.6
    assert (drawn & expected).sum() / (drawn | expected).sum() > 0.85


def test_files_go_beside_the_map_or_into_its_run(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    layer = add(model)
    assert export_folder(model, "chimerax") == tmp_path / "home" / "ini3d-export" / "chimerax"
    file = tmp_path / "my map.mrc"
    file.touch()
    model.layers.remove(layer)
    layer = add(model, metadata={"path": str(file)})
    assert export_folder(model, "chimerax") == tmp_path / "my_map_chimerax"
    model.layers.remove(layer)
    add(model, metadata={"path": str(tmp_path)})
    assert export_folder(model, "chimerax") == tmp_path / "chimerax"
