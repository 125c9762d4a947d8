import numpy as np
import pytest
from napari.components import ViewerModel
from scipy import ndimage

from napari_ini3d.io.mrc.maps import write_map
from napari_ini3d.plugin.layers import map_layer
from napari_ini3d.plugin.reader import read_run_layers
from napari_ini3d.plugin.viewer import map_layers
from napari_ini3d.plugin.viewer.shown_volume import shown_volume

N, VOXEL = 48, 2.0


def grid(n=N):
    """(z, y, x) from voxel n // 2."""
    return np.mgrid[:n, :n, :n] - n // 2


def blob(amplitude=1.0, offset=0.0, n=N, width=5.0):
    z, y, x = grid(n)
    return (amplitude * np.exp(-(x**2 + y**2 + z**2) / (2 * width**2)) + offset).astype(np.float32)


def helix_about_y(turns=2.0, radius=12.0):
    """A right-handed helix: (z, x, y) is right-handed, so it turns from z to x while y grows."""
    angle = np.linspace(-np.pi * turns, np.pi * turns, 400)
    points = np.stack(  # (z, y, x)
        [radius * np.cos(angle), 18 * angle / (np.pi * turns), radius * np.sin(angle)], axis=1
    )
    volume = np.zeros((N, N, N), np.float32)
    for z, y, x in np.rint(points).astype(int) + N // 2:
        volume[z, y, x] = 1
    return ndimage.gaussian_filter(volume, 1.5)


def cylinder_about_y(radius=11.0):
    z, y, x = grid()
    return (((x**2 + z**2) < radius**2) & (abs(y) < 20)).astype(np.float32)


def slope_of_front_strands(viewer):
    """Up per right of what is red: the strands before the opaque cylinder."""
    picture = viewer.screenshot(canvas_only=True, size=(160, 160), flash=False)
    red = (picture[..., 0] > 60) & (picture[..., 2] < 40)
    red[:, :65] = red[:, 95:] = False  # there the strands turn round
    labels, count = ndimage.label(red)
    assert count, "no strand is seen"
    slopes = []
    for part in range(1, count + 1):
        row, column = np.nonzero(labels == part)
        if len(row) > 40:
            slopes.append(-np.polyfit(column, row, 1)[0])
    return slopes


def test_a_right_handed_helix_is_seen_right_handed(viewer):
    map_layers.prepare_viewer(viewer)
    for volume, colour in ((cylinder_about_y(), "blue"), (helix_about_y(), "red")):
        layer = map_layers.show_map(viewer, volume, VOXEL, colour, colormap=colour)
        layer.contrast_limits = (0, layer.iso_threshold)
    slopes = slope_of_front_strands(viewer)
    assert slopes
    assert min(slopes) > 0.1
    viewer.scene.camera.orientation = ViewerModel().scene.camera.orientation  # napari's own
    mirrored = slope_of_front_strands(viewer)
    assert mirrored
    assert max(mirrored) < -0.1


def test_a_map_is_drawn_about_the_middle_of_the_canvas(viewer):
    map_layers.show_map(viewer, blob(), VOXEL, "map")
    picture = viewer.screenshot(canvas_only=True, size=(300, 300), flash=False)
    seen = picture[..., :3].max(axis=-1) > 40
    assert 0.01 < seen.mean() < 0.5
    assert np.argwhere(seen).mean(axis=0) == pytest.approx([150, 150], abs=3)


def test_a_viewer_is_prepared_once(model):
    map_layers.prepare_viewer(model)
    assert model.dims.ndisplay == 3
    assert model.scene.camera.center == (0, 0, 0)
    model.dims.ndisplay = 2
    model.scene.camera.center = (1, 2, 3)
    map_layers.prepare_viewer(model)
    assert (model.dims.ndisplay, model.scene.camera.center) == (2, (1, 2, 3))


def test_an_update_keeps_the_layer_and_what_the_user_has_set(model):
    layer = map_layers.show_map(model, blob(), VOXEL, "map", key="run 1, class 1")
    model.scene.camera.zoom = 3.3
    model.scene.camera.angles = (10, 20, 30)
    layer.name, layer.visible, layer.colormap, layer.opacity = "mine", False, "green", 0.4
    layer.contrast_limits = limits = (0.0, 2.2 * layer.iso_threshold)
    again = map_layers.show_map(model, blob(1.3), VOXEL, "map", key="run 1, class 1")
    assert again is layer
    assert len(model.layers) == 1
    assert (layer.name, layer.visible, layer.colormap.name) == ("mine", False, "green")
    assert layer.opacity == 0.4
    assert tuple(layer.contrast_limits) == limits
    assert model.scene.camera.zoom == 3.3
    assert model.scene.camera.angles == (10, 20, 30)
    np.testing.assert_array_equal(layer.data, blob(1.3))


@pytest.mark.parametrize("factor", [0.01, 1.0, 1000.0])
def test_the_level_follows_the_map_at_the_same_sigma(model, factor):
    layer = map_layers.show_map(model, blob(), VOXEL, "map")
    map_layers.set_level_in_sigma(layer, 2.5)
    changed = blob(factor, offset=0.2 * factor)
    map_layers.show_map(model, changed, VOXEL, "map")
    assert layer.iso_threshold == pytest.approx(changed.mean() + 2.5 * changed.std(), rel=1e-4)
    low, high = layer.contrast_limits
    assert low < layer.iso_threshold < high


def test_the_level_the_user_set_with_naparis_slider_is_kept_in_sigma(model):
    layer = map_layers.show_map(model, blob(), VOXEL, "map")
    layer.iso_threshold = float(blob().mean() + 1.7 * blob().std())
    assert map_layers.level_in_sigma(layer) == pytest.approx(1.7, abs=1e-4)
    map_layers.show_map(model, blob(3), VOXEL, "map")
    assert map_layers.level_in_sigma(layer) == pytest.approx(1.7, abs=1e-4)


def test_a_foreign_layer_has_a_level_in_sigma(model):
    volume = blob()
    layer = model.add_image(volume, iso_threshold=float(volume.mean() + 2 * volume.std()))
    assert map_layers.level_in_sigma(layer) == pytest.approx(2, abs=1e-4)


def test_a_map_with_another_box_and_voxel_size_gets_a_new_placement(model):
    layer = map_layers.show_map(model, blob(), VOXEL, "map")
    map_layers.show_map(model, blob(n=24), 2 * VOXEL, "map")
    assert tuple(layer.scale) == (2 * VOXEL,) * 3
    assert tuple(layer.translate) == (-24 * VOXEL,) * 3


def test_a_layer_that_was_moved_stays_where_it_is(model):
    layer = map_layers.show_map(model, blob(), VOXEL, "map")
    layer.translate = (1, 2, 3)
    map_layers.show_map(model, blob(2), VOXEL, "map")
    assert tuple(layer.translate) == (1, 2, 3)


def test_a_layer_that_was_removed_is_made_again(model):
    first = map_layers.show_map(model, blob(), VOXEL, "map")
    model.layers.remove(first)
    second = map_layers.show_map(model, blob(), VOXEL, "map")
    assert second is not first
    assert list(model.layers) == [second]


@pytest.mark.parametrize("volume", [np.zeros((N, N, N)), np.full((N, N, N), np.nan)])
def test_a_map_without_density_has_a_finite_level(model, volume):
    layer = map_layers.show_map(model, volume.astype(np.float32), VOXEL, "map")
    map_layers.show_map(model, blob(), VOXEL, "map")
    map_layers.show_map(model, volume.astype(np.float32), VOXEL, "map")
    assert np.isfinite(layer.iso_threshold)


def write_run(folder, iterations, classes=1):
    folder.mkdir(exist_ok=True)
    for iteration in iterations:
        for k in range(classes):
            path = folder / f"run_it{iteration:03d}_class{k + 1:03d}.mrc"
            write_map(path, blob(iteration * (k + 1), n=16, width=3), VOXEL)
    return folder


def show_run(model, folder):
    return map_layers.add_layers(model, read_run_layers(folder))


def test_a_run_is_shown_at_its_last_iteration(model, tmp_path):
    map_layers.show_map(model, blob(), VOXEL, "a map that was there before")
    (layer,) = show_run(model, write_run(tmp_path / "run", [10, 20, 30]))
    assert map_layers.shown_iteration(model, layer) == 30
    np.testing.assert_array_equal(shown_volume(model, layer), blob(30, n=16, width=3))


@pytest.mark.parametrize(("asked", "shown"), [(0, 10), (10, 10), (19, 10), (20, 20), (99, 30)])
def test_an_iteration_that_was_not_written_shows_the_map_before_it(model, tmp_path, asked, shown):
    (layer,) = show_run(model, write_run(tmp_path / "run", [10, 20, 30]))
    assert map_layers.show_iteration(model, layer, asked) == shown
    assert map_layers.shown_iteration(model, layer) == shown


def test_the_level_of_a_run_follows_the_iteration_that_is_shown(model, tmp_path):
    (layer,) = show_run(model, write_run(tmp_path / "run", [10, 20]))
    map_layers.set_level_in_sigma(layer, 3.0)
    map_layers.show_iteration(model, layer, 10)
    volume = blob(10, n=16, width=3)
    assert layer.iso_threshold == pytest.approx(volume.mean() + 3 * volume.std(), rel=1e-4)


def test_all_iterations_of_a_run_are_shaded_alike(model, tmp_path):
    (layer,) = show_run(model, write_run(tmp_path / "run", [10, 20]))
    layer.contrast_limits = (0.0, 5 * layer.iso_threshold)  # the user's
    map_layers.show_iteration(model, layer, 10)
    assert layer.contrast_limits == pytest.approx((0.0, 5 * layer.iso_threshold))


def test_the_level_follows_in_a_run_that_was_opened_from_the_file_menu(model, tmp_path):
    map_layers.prepare_viewer(model)
    folder = write_run(tmp_path / "run", [10, 20])
    ((data, keywords, _),) = read_run_layers(folder)
    layer = model.add_image(data, **keywords)
    map_layers.show_iteration(model, layer, 10)
    first = layer.iso_threshold
    map_layers.show_iteration(model, layer, 20)
    assert layer.iso_threshold == pytest.approx(2 * first, rel=1e-4)


def test_classes_of_a_run_share_one_slider_and_have_colours_of_their_own(model, tmp_path):
    layers = show_run(model, write_run(tmp_path / "run", [10, 20], classes=3))
    assert [layer.name for layer in layers] == [f"run class {k}" for k in (1, 2, 3)]
    assert len({layer.colormap.name for layer in layers}) == 3
    assert model.dims.nsteps[0] == 21
    assert model.dims.current_step[0] == 20  # napari writes it at the slider, as a caption would


def test_a_run_and_a_map_share_units(model, tmp_path):
    show_run(model, write_run(tmp_path / "run", [10, 20]))
    map_layers.show_map(model, blob(), VOXEL, "map")
    assert {str(unit) for layer in model.layers for unit in layer.units[-3:]} == {"angstrom"}


def test_the_volume_of_a_map_layer_is_the_map():
    model = ViewerModel()
    data, keywords, _ = map_layer(blob(), VOXEL, "map")
    layer = model.add_image(data, **keywords)
    np.testing.assert_array_equal(shown_volume(model, layer), blob())
