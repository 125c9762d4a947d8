"""Agreement of the halves and of the starts: whose it is, and what it says."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("napari")

from fake_runs import make_report
from run_with_halves import write_run

from napari_ini3d.errors import InputError
from napari_ini3d.fourier import resize_map
from napari_ini3d.geometry import RigidTransform
from napari_ini3d.plugin.display.agreement import (
    half_maps_of,
    read_agreement,
    start_agreement,
    starts_of,
)
from napari_ini3d.plugin.reader import read_layers, read_run_layers
from napari_ini3d.plugin.viewer import Origin, add_layers, set_metadata, show_iteration
from napari_ini3d.runs import StartMaps, ValidationFiles, write_start_maps

N = 32
VOXEL = 4.0


def bodies():
    """A map of blobs, and a second one that is the same at x > 0 and differs at x < 0."""
    rng = np.random.default_rng(3)
    x = np.arange(N) - N // 2
    first, second = np.zeros((2, N, N, N))
    for _ in range(60):
        place = rng.uniform(-10, 10, 3)
        other = place if place[2] > 0 else rng.uniform((-10, -10, -10), (10, 10, 0))
        for volume, at in ((first, place), (second, other)):
            gz, gy, gx = (np.exp(-((x - a) ** 2) / 4) for a in at)
            volume += gz[:, None, None] * gy[:, None] * gx
    return first.astype(np.float32), second.astype(np.float32)


@pytest.fixture
def run(tmp_path):
    """A finished run with half-maps and two written iterations."""
    return write_run(tmp_path / "run", bodies(), VOXEL)


def test_the_halves_agree_where_they_are_equal(run):
    agreement = read_agreement(ValidationFiles(run), N)
    inside = np.s_[8:24, 8:24]
    right, left = agreement[inside][..., 20:24], agreement[inside][..., 8:12]
    assert right.mean() > 0.95
    assert left.mean() < 0.6


def test_the_agreement_of_unequal_boxes_has_that_of_the_map(run):
    assert read_agreement(ValidationFiles(run), 24).shape == (24, 24, 24)


def test_the_final_map_has_halves(model, run):
    (layer,) = add_layers(model, read_layers(str(run.map_path)))
    assert half_maps_of(model, layer).folder.path == run.path


def test_of_a_run_only_the_last_iteration_has_halves(model, run):
    (layer,) = add_layers(model, read_run_layers(run.path))
    assert half_maps_of(model, layer).folder.path == run.path
    show_iteration(model, layer, 1)
    with pytest.raises(InputError, match="belong to iteration 2, the last one"):
        half_maps_of(model, layer)


def test_of_several_classes_the_largest_has_halves(model, tmp_path):
    run = write_run(tmp_path / "run", bodies(), VOXEL, classes=2)
    first, second = add_layers(model, read_run_layers(run.path))
    assert half_maps_of(model, first).folder.path == run.path
    with pytest.raises(InputError, match="belong to class 1, the largest"):
        half_maps_of(model, second)
    (layer,) = add_layers(model, read_layers(str(run.map_path)))
    half_maps_of(model, layer)


def test_a_map_that_was_moved_or_is_another_file_has_no_halves(model, run):
    (layer,) = add_layers(model, read_layers(str(run.map_path)))
    still = RigidTransform.identity()
    set_metadata(layer, origin=Origin(layer.data, True, still, layer.data))
    with pytest.raises(InputError, match="as it was written"):
        half_maps_of(model, layer)
    (layer,) = add_layers(model, read_layers(str(ValidationFiles(run).half_map_paths[0])))
    with pytest.raises(InputError, match="is not initial_model"):
        half_maps_of(model, layer)
    with pytest.raises(InputError, match="has no half-maps"):
        half_maps_of(model, SimpleNamespace(name="computed", metadata={}))


def test_a_run_without_half_maps_says_so(model, run):
    ValidationFiles(run).half_map_paths[1].unlink()
    (layer,) = add_layers(model, read_layers(str(run.map_path)))
    with pytest.raises(InputError, match="has no half-maps"):
        half_maps_of(model, layer)


def start_maps(run, iteration, size=16):
    """Write maps of two starts that agree at x > 0."""
    maps = np.stack([resize_map(volume, size) for volume in bodies()])
    report = make_report(
        iteration,
        volumes=np.zeros((1, N, N, N), np.float32),
        voxel_size=VOXEL,
        current_size=N // 2,
        aligned_starts=maps,
    )
    write_start_maps(run, report)


def test_the_starts_agree_where_they_are_equal_in_the_box_of_the_map(model, run):
    (layer,) = add_layers(model, read_run_layers(run.path))
    start_maps(run, 2)
    agreement = start_agreement(starts_of(model, layer), N)
    inside = np.s_[10:22, 10:22]
    right, left = agreement[inside][..., 20:24], agreement[inside][..., 8:12]
    assert right.mean() > left.mean() + 0.2


def test_the_agreement_of_the_starts_is_placed_by_the_rotation_centre():
    """In boxes of 16 and 32 voxels it is at 8 and 16; about the corner, 8 would become 16.5."""
    maps = np.random.default_rng(0).normal(size=(2, 16, 16, 16)).astype(np.float32)
    maps[1, 8:] = maps[0, 8:]
    large = start_agreement(StartMaps(1, maps, 8.0, 24.0), 32)
    small = start_agreement(StartMaps(1, maps, 8.0, 24.0), 16)
    np.testing.assert_allclose(large[16, 16, 16], small[8, 8, 8], rtol=1e-5)
    np.testing.assert_allclose(large[::2, ::2, ::2], small, rtol=1e-5)


def test_the_starts_belong_to_the_iteration_at_which_they_were_compared(model, run):
    (layer,) = add_layers(model, read_run_layers(run.path))
    with pytest.raises(InputError, match="no maps of several random starts"):
        starts_of(model, layer)
    start_maps(run, 1)
    with pytest.raises(InputError, match="compared at iteration 1; show that one"):
        starts_of(model, layer)
    show_iteration(model, layer, 1)
    assert starts_of(model, layer).iteration == 1
    (final,) = add_layers(model, read_layers(str(run.map_path)))
    with pytest.raises(InputError, match="not an iteration of a run"):
        starts_of(model, final)
