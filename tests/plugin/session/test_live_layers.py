"""Layers of a run in a viewer model, without drawing."""

import time
from weakref import ref

import numpy as np
from fake_runs import make_report, make_volume

from napari_ini3d.io.mrc.maps import read_map
from napari_ini3d.plugin.layers import LazyFrames, density_scale_of, particle_layer
from napari_ini3d.plugin.session import iteration_maps, live_layers
from napari_ini3d.plugin.session.live_layers import LiveLayers
from napari_ini3d.plugin.session.worker import Progress
from napari_ini3d.plugin.viewer.layer_combo import LayerCombo
from napari_ini3d.plugin.viewer.map_layers import add_layers, show_map
from napari_ini3d.plugin.viewer.metadata import set_metadata
from napari_ini3d.plugin.writer import write_layer
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.history import history_iterations, write_history
from napari_ini3d.runs.summary import IterationSummary


def progress_of(iteration, volume):
    report = make_report(iteration, volumes=volume[None], voxel_size=2.0)
    return Progress(IterationSummary.from_report(report), report.volumes)


def test_an_update_of_a_large_map_takes_the_window_less_than_50_ms(model, tmp_path):
    layers = LiveLayers(ref(model))
    layers.begin(tmp_path / "run")
    progresses = [progress_of(i + 1, make_volume(seed=i, box_size=128)) for i in range(6)]
    layers.show(progresses[0])
    seconds = []
    for progress in progresses[1:]:
        begin = time.thread_time()
        layers.show(progress)
        seconds.append(time.thread_time() - begin)
    assert len(model.layers) == 1
    assert model.layers[0].metadata["ini3d"]["iteration"] == 6
    assert np.median(seconds) < 0.05, seconds


def test_the_level_follows_the_map_in_standard_deviations(model, tmp_path):
    layers = LiveLayers(ref(model))
    layers.begin(tmp_path / "run")
    layers.show(progress_of(1, make_volume()))
    before = density_level(model.layers[0])
    layers.show(progress_of(2, 10 * make_volume()))
    np.testing.assert_allclose(density_level(model.layers[0]), 10 * before, rtol=1e-4)


def density_level(layer):
    return layer.iso_threshold / density_scale_of(layer.metadata)


def test_faint_maps_are_shown_with_values_that_can_be_drawn_and_no_bit_is_lost(model, tmp_path):
    layers = LiveLayers(ref(model))
    layers.begin(tmp_path / "run")
    for faint in (0.01, 3e-4, 7.0):
        volume = np.float32(faint) * make_volume()
        layers.show(progress_of(1, volume))
        (layer,) = model.layers
        assert 0.5 <= layer.data.std() <= 4
        np.testing.assert_array_equal(layer.data / density_scale_of(layer.metadata), volume)


def test_a_map_that_changes_a_little_keeps_its_factor_and_contrast(model, tmp_path):
    layers = LiveLayers(ref(model))
    layers.begin(tmp_path / "run")
    seen = set()
    for change in (1.0, 0.95, 1.1, 1.05):
        layers.show(progress_of(1, np.float32(0.032 * change) * make_volume()))
        (layer,) = model.layers
        seen.add((density_scale_of(layer.metadata), *layer.contrast_limits))
    assert len(seen) == 1


def test_a_live_map_is_saved_with_its_densities(model, tmp_path):
    layers = LiveLayers(ref(model))
    layers.begin(tmp_path / "run")
    volume = np.float32(0.003) * make_volume()
    layers.show(progress_of(1, volume))
    data, keywords, _ = model.layers[0].as_layer_data_tuple()
    write_layer(str(tmp_path / "saved.mrc"), data, keywords)
    np.testing.assert_array_equal(read_map(tmp_path / "saved.mrc").data, volume)


def test_the_caption_shows_the_iteration(model, tmp_path):
    text = model.canvas.overlays.text
    layers = LiveLayers(ref(model))
    layers.begin(tmp_path / "run")
    assert not text.visible
    layers.show(progress_of(7, make_volume()))
    assert text.visible
    assert text.text.startswith("run · iteration 7 · ")
    model.layers[0].visible = False
    assert not text.visible
    model.layers[0].visible = True
    assert text.visible
    model.layers.clear()
    assert not text.visible


def test_the_caption_wraps_on_a_narrow_canvas_and_is_one_line_on_a_wide_one(model, tmp_path):
    text = model.canvas.overlays.text
    layers = LiveLayers(ref(model))
    layers.begin(tmp_path / "run")
    layers.show(progress_of(7, make_volume()))
    model.canvas.size = (700, 1000)
    (line,) = text.text.splitlines()
    assert line.endswith("(FSC 0.5)")
    model.canvas.size = (700, 250)
    lines = text.text.splitlines()
    assert len(lines) > 1
    assert " · ".join(lines) == line
    assert max(map(len, lines)) * 0.8 * text.font_size < 250
    layers.show(progress_of(8, make_volume()))
    assert text.text.startswith("run · iteration 8\n"), "it is not taken for a text of the user"


def test_an_iteration_without_values_is_looked_for_once(model, tmp_path, monkeypatch):
    layers = LiveLayers(ref(model))
    layers.begin(tmp_path / "run")
    layers.show(progress_of(3, make_volume()))
    read = []
    monkeypatch.setattr(live_layers, "read_summaries", lambda folder: read.append(folder) or [])
    set_metadata(model.layers[0], iteration=2)
    for _ in range(4):
        model.dims.events.point()
    assert len(read) == 1
    layers.show(progress_of(4, make_volume()))
    set_metadata(model.layers[0], iteration=2)
    model.dims.events.point()
    assert len(read) == 2, "the run has gone on, and may have written them"


def test_the_caption_vanishes_while_another_map_is_shown(model, tmp_path):
    text = model.canvas.overlays.text
    layers = LiveLayers(ref(model))
    layers.begin(tmp_path / "run")
    layers.show(progress_of(7, make_volume()))
    other = show_map(model, make_volume(), 2.0, "other")
    assert not text.visible
    other.visible = False
    assert text.visible
    model.canvas.grid.enabled = True  # it would be beneath the map of one cell
    assert not text.visible
    model.canvas.grid.enabled = False
    assert text.visible


def test_the_caption_gives_the_resolution_of_the_class_that_is_shown(model, tmp_path):
    text = model.canvas.overlays.text
    layers = LiveLayers(ref(model))
    layers.side_by_side = False  # else each class has a caption
    layers.begin(tmp_path / "run")
    report = make_report(7, classes=2, resolution=np.array([12.0, 20.0]))
    summary = IterationSummary.from_report(report)
    layers.show(Progress(summary, report.volumes, n_classes=2))
    assert text.text == "run · iteration 7 · class 1 12.0 Å · class 2 20.0 Å (FSC 0.5)"
    model.layers[0].visible = False
    assert text.text == "run · iteration 7 · class 2 20.0 Å (FSC 0.5)"


def test_a_text_set_by_the_user_is_kept(model, tmp_path):
    model.canvas.overlays.text.text = "mine"
    layers = LiveLayers(ref(model))
    layers.begin(tmp_path / "run")
    layers.show(progress_of(7, make_volume()))
    assert model.canvas.overlays.text.text == "mine"


def test_the_map_of_the_previous_run_is_hidden(model, tmp_path):
    layers = LiveLayers(ref(model))
    for name in ("one", "two"):
        layers.begin(tmp_path / name)
        layers.show(progress_of(1, make_volume()))
    assert [(layer.name, layer.visible) for layer in model.layers] == [
        ("one", False),
        ("two", True),
    ]


def test_particles_and_iterations_have_separate_sliders(model, tmp_path):
    frames = LazyFrames(40, (1, 1, 8, 8), lambda index: np.zeros((len(index), 1, 1, 8, 8)))
    add_layers(model, [particle_layer(frames, 2.0, "particles", {"path": "particles.star"})])
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    layers = LiveLayers(ref(model))
    layers.begin(folder.path)
    for iteration in (1, 2, 3):
        volume = np.float32(iteration) * make_volume()
        write_history(folder, iteration, volume[None], 2.0)
        layers.show(progress_of(iteration, volume))
    assert not model.layers["particles"].visible, "they would cut through the map"
    layers.show_history()
    model.layers["particles"].visible = True
    assert model.dims.nsteps[:2] == (40, 4)
    model.dims.set_point(0, 17)
    assert layers.shown_iteration() == 3
    model.dims.set_point(1, 1)
    assert layers.shown_iteration() == 1
    assert model.dims.point[0] == 17
    model.layers["particles"].visible = False
    assert model.canvas.overlays.text.text.startswith("run · iteration 1")


def test_the_slider_of_a_run_counts_as_its_caption(model, tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    layers = LiveLayers(ref(model))
    layers.begin(folder.path)
    for iteration in (1, 2, 3, 5):
        write_history(folder, iteration, make_volume()[None], 2.0)
        layers.show(progress_of(iteration, make_volume()))
    layers.show_history()
    for step, shown in ((5, 5), (4, 3), (2, 2), (0, 1)):
        model.dims.set_point(0, step)
        assert layers.shown_iteration() == shown
        assert model.canvas.overlays.text.text.startswith(f"run · iteration {shown}")
    assert model.dims.current_step[0] == 1  # there is no iteration 0


def test_a_closed_viewer_is_ignored(tmp_path):
    layers = LiveLayers(lambda: None)
    layers.begin(tmp_path / "run")
    layers.show(progress_of(1, make_volume()))
    layers.show_newest()
    assert layers.shown_iteration() is None


def test_the_selection_moves_to_the_visible_layer(model, tmp_path, qapp):
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    layers = LiveLayers(ref(model))
    layers.begin(folder.path)
    write_history(folder, 1, make_volume()[None], 2.0)
    layers.show(progress_of(1, make_volume()))
    model.layers.selection.active = model.layers["run"]
    layers.show_history()
    assert model.layers.selection.active.name == "run, iterations"
    layers.show_newest()
    assert model.layers.selection.active.name == "run"
    assert LayerCombo(ref(model)).layer is model.layers["run"], "the one that is visible"


def test_the_newest_map_of_a_reopened_run_is_its_last_iteration(model, tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    for iteration in (1, 2, 3):
        write_history(folder, iteration, make_volume()[None], 2.0)
    layers = LiveLayers(ref(model))
    layers.show_history(folder.path)
    layers.show_iteration(1)
    layers.show_newest()
    assert layers.shown_iteration() == 3
    assert model.layers["run, iterations"].visible


def test_the_classes_of_a_run_that_goes_on_end_at_the_same_iteration(model, tmp_path, monkeypatch):
    """The run writes its third iteration after the maps of the first class were listed."""
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    maps = np.stack([make_volume(seed=k) for k in range(2)])
    for iteration in (1, 2):
        write_history(folder, iteration, maps, 2.0)

    def listed(run, class_index=0):
        found = history_iterations(run, class_index)
        if class_index == 0 and 3 not in found:
            write_history(folder, 3, maps, 2.0)
        return found

    monkeypatch.setattr(iteration_maps, "history_iterations", listed)
    layers = LiveLayers(ref(model))
    layers.begin(folder.path)
    report = make_report(2, classes=2, volumes=maps, voxel_size=2.0)
    layers.show(Progress(IterationSummary.from_report(report), maps, n_classes=2))
    layers.show_history()
    shown = [layer for layer in model.layers if layer.visible and layer.ndim == 4]
    assert [layer.metadata["ini3d"]["iterations"] for layer in shown] == [[1, 2], [1, 2]]
