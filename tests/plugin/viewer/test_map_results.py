"""Results belong to one map of a layer, and are found again when it is shown again."""

import numpy as np
import pytest

from napari_ini3d.plugin.layers import LazyFrames, run_layer
from napari_ini3d.plugin.viewer import map_layers
from napari_ini3d.plugin.viewer.map_axes import MapAxes, record_axes, recorded_axes
from napari_ini3d.plugin.viewer.map_results import MapResults, MapToken
from napari_ini3d.symmetry.records import FoundAxis

N = 8


def volume(seed=0):
    return np.random.default_rng(seed).normal(size=(N,) * 3).astype(np.float32)


@pytest.fixture
def run(model):
    volumes = np.stack([volume(1), volume(2)])
    frames = LazyFrames(2, (N,) * 3, lambda i: volumes[i])
    known = {"path": "run", "class_index": 0, "iterations": [10, 20]}
    data = run_layer(frames, 3.0, "run", colormap="gray", metadata=known)
    (layer,) = map_layers.add_layers(model, [data])
    return layer


def test_a_map_is_told_from_the_one_that_replaces_it(model):
    layer = map_layers.show_map(model, volume(), 3.0, "map")
    token = MapToken.of(model, layer)
    assert token.is_shown(model, layer)
    before = layer.data
    layer.data = volume()  # equal, but not the same
    assert not token.is_shown(model, layer)
    layer.data = before
    assert token.is_shown(model, layer)


def test_a_map_is_another_one_for_results_in_angstrom_if_its_voxel_size_is(model):
    layer = map_layers.show_map(model, volume(), 3.0, "map")
    token = MapToken.of(model, layer)
    layer.translate = (1.0, 2.0, 3.0)
    assert token.is_shown(model, layer)
    layer.scale = (6.0,) * 3
    assert not token.is_shown(model, layer)
    layer.scale = (3.0,) * 3
    assert token.is_shown(model, layer)
    layer.units = ("nm",) * 3
    assert not token.is_shown(model, layer)


def test_an_iteration_is_told_from_others_also_after_the_run_has_grown(model, run):
    map_layers.show_iteration(model, run, 10)
    token = MapToken.of(model, run)
    map_layers.show_iteration(model, run, 20)
    assert not token.is_shown(model, run)
    run.data = LazyFrames(3, (N,) * 3, lambda i: np.stack([volume(k) for k in i]))
    map_layers.set_metadata(run, iterations=[10, 20, 30])
    map_layers.show_iteration(model, run, 10)
    assert token.is_shown(model, run)


def test_results_are_found_for_the_map_that_is_shown(model):
    layer = map_layers.show_map(model, volume(), 3.0, "map")
    results = MapResults()
    assert results.find(model, layer) is None
    first = layer.data
    results.keep(model, layer, "one")
    layer.data = volume(1)
    assert results.find(model, layer) is None
    results.keep(model, layer, "two")
    layer.data = first
    assert results.find(model, layer) == "one"
    results.keep(model, layer, "three")
    assert results.find(model, layer) == "three"


def test_recorded_axes_are_those_of_the_map_that_is_shown(model):
    layer = map_layers.show_map(model, volume(), 3.0, "map")
    axes = MapAxes.of_setting("D2", "detected")
    record_axes(model, layer, axes)
    assert recorded_axes(model, layer) is axes
    layer.data = volume(1)
    assert recorded_axes(model, layer) is None


@pytest.mark.parametrize(("degrees", "shift", "fits"), [(0, 0, True), (2, 0.5, True),
                                                        (10, 0, False), (0, 3, False)])  # fmt: skip
def test_axes_fit_the_setting_if_they_are_on_it(degrees, shift, fits):
    angle = np.deg2rad(degrees)
    along = (0.0, float(np.sin(angle)), float(np.cos(angle)))
    axes = MapAxes("C4", (FoundAxis(4, along, 0.9),), (float(shift), 0.0, 0.0))
    assert axes.fits_setting("C4") == fits
    assert not axes.fits_setting("D4")
    assert not MapAxes.of_setting("C4").fits_setting("C4"), "they are not those of the map"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("detected", "D2 axes"),
        ("rejected", "D2 axes (D2 does not hold)"),
        ("imposed", "D2 axes"),
        ("ideal", "ideal D2 axes (not of this map)"),
    ],
)
def test_the_label_says_on_which_grounds_axes_are_drawn(status, words):
    assert MapAxes.of_setting("D2", status).label == words
