"""Files, samples and saving, as napari's own menus do them."""

import numpy as np
import pytest
from cryosparc_files import make_dataset, save, write_stacks
from napari.settings import get_plugin_settings

from napari_ini3d.io.mrc.maps import read_map, write_map
from napari_ini3d.plugin import layers as layers_module
from napari_ini3d.plugin.initial_model.preferences import preferred_settings
from napari_ini3d.plugin.viewer import map_layers
from napari_ini3d.settings import InitialModelSettings

PLUGIN = "napari-ini3d"


def blob(n=24, width=3.0):
    z, y, x = np.mgrid[:n, :n, :n] - n // 2
    return np.exp(-(x**2 + y**2 + z**2) / (2 * width**2)).astype(np.float32)


def lit(viewer):
    """Share of the canvas that is drawn on."""
    picture = viewer.screenshot(canvas_only=True, size=(160, 160), flash=False)
    return float((picture[..., :3].max(axis=-1) > 40).mean())


def test_a_map_is_opened_in_3d_right_handed_and_drawn(viewer, tmp_path):
    write_map(tmp_path / "map.mrc", blob(), 2.0)
    (layer,) = viewer.open(tmp_path / "map.mrc", plugin=PLUGIN)
    assert viewer.dims.ndisplay == 3
    assert viewer.scene.camera.orientation == map_layers.MAP_ORIENTATION
    assert tuple(layer.scale) == (2.0, 2.0, 2.0)
    assert [str(unit) for unit in layer.units] == ["angstrom"] * 3
    assert 0.01 < lit(viewer) < 0.6


def test_a_run_that_is_opened_after_particles_is_shown_in_3d_at_its_last_iteration(
    viewer, tmp_path, few_particles
):
    (particles,) = viewer.open(few_particles, plugin=PLUGIN)
    assert viewer.dims.ndisplay == 2
    for iteration in (10, 20, 30):
        write_map(tmp_path / f"run_it{iteration:03d}_class001.mrc", iteration * blob(96), 5.0)
    (layer,) = viewer.open(tmp_path, plugin=PLUGIN)
    assert viewer.dims.ndisplay == 3
    assert viewer.scene.camera.orientation == map_layers.MAP_ORIENTATION
    assert not particles.visible
    assert map_layers.shown_iteration(viewer, layer) == 30
    assert viewer.scene.camera.zoom * 96 * 5.0 < 1.2 * min(viewer.canvas.size)
    zoom = viewer.scene.camera.zoom = 3.0
    write_map(tmp_path / "other.mrc", blob(), 2.0)
    viewer.open(tmp_path / "other.mrc", plugin=PLUGIN)
    assert viewer.scene.camera.zoom == zoom, "the view is the user's from then on"


def test_images_of_another_kind_stay_as_they_are_when_a_map_is_opened(viewer, tmp_path):
    image = viewer.add_image(np.zeros((8, 8)))
    write_map(tmp_path / "map.mrc", blob(), 2.0)
    viewer.open(tmp_path / "map.mrc", plugin=PLUGIN)
    assert (viewer.dims.ndisplay, image.visible) == (2, True)


def test_a_run_folder_gets_a_slider_at_its_last_iteration(viewer, tmp_path):
    for iteration in (10, 20, 30):
        write_map(tmp_path / f"run_it{iteration:03d}_class001.mrc", iteration * blob(), 2.0)
    (layer,) = viewer.open(tmp_path, plugin=PLUGIN)
    assert viewer.dims.current_step[0] == 30
    assert viewer.dims.axis_labels[0] == "iteration"
    assert map_layers.shown_iteration(viewer, layer) == 30
    before = lit(viewer)
    viewer.dims.set_current_step(0, 0)
    assert layer.iso_threshold == pytest.approx(10 * (blob().mean() + 4 * blob().std()), rel=1e-4)
    assert lit(viewer) == pytest.approx(before, rel=0.01), "the same map, ten times as dense"


def test_a_viewer_with_layers_keeps_its_orientation(viewer, tmp_path):
    viewer.add_image(np.zeros((8, 8)))
    before = viewer.scene.camera.orientation
    write_map(tmp_path / "map.mrc", blob(), 2.0)
    viewer.open(tmp_path / "map.mrc", plugin=PLUGIN)
    assert viewer.scene.camera.orientation == before
    assert viewer.dims.ndisplay == 2


def test_a_saved_map_opens_unchanged(viewer, tmp_path):
    layer = map_layers.show_map(viewer, blob(), 3.4, "map")
    (path,) = layer.save(str(tmp_path / "saved.mrc"), plugin=PLUGIN)
    found = read_map(path)
    np.testing.assert_array_equal(found.data, blob())
    assert found.voxel_size == pytest.approx(3.4, abs=1e-5)
    (again,) = viewer.open(path, plugin=PLUGIN)
    np.testing.assert_array_equal(again.extent.world, layer.extent.world)


def test_a_rotated_layer_is_not_saved(viewer, tmp_path):
    layer = map_layers.show_map(viewer, blob(), 3.4, "map")
    layer.rotate = (10, 0, 0)
    with pytest.raises(Exception, match="the layer is rotated"):
        layer.save(str(tmp_path / "saved.mrc"), plugin=PLUGIN)
    assert not list(tmp_path.iterdir())


def test_sample_particles_are_shown_one_at_a_time(viewer):
    (layer,) = viewer.open_sample(PLUGIN, "d2_particles")
    assert viewer.dims.ndisplay == 2
    assert viewer.dims.nsteps[0] == len(layer.data) == 800
    assert lit(viewer) > 0.3
    viewer.dims.ndisplay = 3  # draws one image in a plane, and reads no other
    assert lit(viewer) > 0.1
    assert len(layer.data._kept) < 40


@pytest.mark.parametrize("key", ["d2_map", "c1_map", "icosahedral_map"])
def test_sample_maps_are_surfaces(viewer, key):
    viewer.open_sample(PLUGIN, key)
    assert 0.05 < lit(viewer) < 0.7


def test_the_defaults_in_naparis_preferences_are_those_of_the_settings(qapp):
    assert preferred_settings() == InitialModelSettings()
    settings = get_plugin_settings(PLUGIN)
    defaults = (settings.runs.iterations, settings.runs.starts, settings.runs.write_every)
    expected = InitialModelSettings()
    assert defaults == (expected.iterations, expected.starts, expected.write_every)


def test_the_other_maps_of_a_run_are_shown_after_one_was_deleted(viewer, tmp_path, monkeypatch):
    shown: list[str] = []
    monkeypatch.setattr(layers_module, "_show_error", shown.append)
    for iteration in (10, 20, 30, 40, 50):
        write_map(tmp_path / f"run_it{iteration:03d}_class001.mrc", iteration * blob(), 2.0)
    (layer,) = viewer.open(tmp_path, plugin=PLUGIN)
    (tmp_path / "run_it040_class001.mrc").unlink()  # one that was not read yet
    viewer.dims.set_current_step(0, 40)
    (error,) = shown
    assert "run_it040_class001" in error
    assert lit(viewer) == 0  # and not the map of another iteration
    assert map_layers.show_iteration(viewer, layer, 20) == 20
    assert layer.data.latest.max() == 20
    assert lit(viewer) > 0.01


def test_a_dataset_of_cryosparc_is_opened_by_its_name_and_used_by_the_form(
    widget, viewer, tmp_path, qtbot
):
    table = make_dataset()
    images = write_stacks(tmp_path, table)
    path = save(tmp_path / "J9" / "particles.cs", table)
    (layer,) = viewer.open(path, plugin=PLUGIN)
    np.testing.assert_array_equal(np.asarray(layer.data[4]).squeeze(), images[4])
    assert widget.form.particles.text == str(path)
    qtbot.waitUntil(lambda: widget.summary.report is not None, timeout=60_000)
    assert widget.summary.report.n_particles == 6
    assert not widget.summary.report.problems
    assert widget.form.output.text == str(tmp_path / "J9" / "ini3d_001")
    assert "*.cs" in widget.form.particles.control.filter
