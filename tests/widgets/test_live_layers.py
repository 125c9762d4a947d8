"""What an update of the layers costs the window's thread, without the drawing."""

import time
from weakref import ref

import numpy as np

from fake_runs import make_report, make_volume
from napari_ini3d.io.progress import IterationSummary
from napari_ini3d.widgets.background import Progress
from napari_ini3d.widgets.live_layers import LiveLayers


def progress_of(iteration, volume):
    report = make_report(iteration, volumes=volume[None], voxel_size=2.0)
    return Progress(IterationSummary.from_report(report), report.volumes, report.view_counts)


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
    before = model.layers[0].iso_threshold
    layers.show(progress_of(2, 10 * make_volume()))
    np.testing.assert_allclose(model.layers[0].iso_threshold, 10 * before, rtol=1e-4)


def test_a_viewer_that_is_gone_is_left_alone(tmp_path):
    layers = LiveLayers(lambda: None)
    layers.begin(tmp_path / "run")
    layers.show(progress_of(1, make_volume()))
    layers.look_at_newest()
    assert layers.shown_iteration() is None
