import threading

import numpy as np
import pytest

from napari_ini3d.errors import RunFolderError
from napari_ini3d.plugin import layers
from napari_ini3d.plugin.layers import (
    CLASS_COLOURS,
    METADATA_KEY,
    LazyFrames,
    class_colour,
    map_layer,
    map_statistics,
    particle_layer,
)

FRAMES = np.random.default_rng(2).normal(size=(7, 3, 4)).astype(np.float32)


def counting_frames(array=FRAMES):
    """Lazy frames, and the list of the frame numbers that were read."""
    read = []

    def read_frames(index):
        read.extend(int(i) for i in index)
        return array[index]

    return LazyFrames(len(array), array.shape[1:], read_frames), read


INDICES = [
    0,
    -1,
    np.int64(3),
    (2, slice(None), 1),
    (2, 1, 1),
    slice(1, 6, 2),
    (slice(None), 1),
    (slice(5, 5), 1),
    [4, 0, 4],
    np.array([True, False, True, False, False, False, True]),
    Ellipsis,
    (..., 1),
    (3, ..., 2),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_lazy_frames_are_indexed_as_an_array_is(index):
    frames, _ = counting_frames()
    expected = FRAMES[index]
    np.testing.assert_array_equal(frames[index], expected)
    assert frames[index].shape == expected.shape


@pytest.mark.parametrize("index", [7, -8])
def test_a_missing_frame_is_an_index_error(index):
    frames, _ = counting_frames()
    with pytest.raises(IndexError):
        frames[index]


def test_lazy_frames_have_the_properties_of_an_array():
    frames, read = counting_frames()
    assert (frames.shape, frames.ndim, len(frames)) == (FRAMES.shape, 3, 7)
    assert (frames.size, frames.nbytes, frames.dtype) == (FRAMES.size, FRAMES.nbytes, np.float32)
    assert read == []
    np.testing.assert_array_equal(np.asarray(frames, dtype=np.float64), FRAMES)


def test_a_frame_is_read_once_and_on_demand():
    frames, read = counting_frames()
    for _ in range(3):
        frames[4]
    assert read == [4]


def test_the_least_recently_used_frames_are_dropped(monkeypatch):
    monkeypatch.setattr("napari_ini3d.plugin.layers._CACHE_BYTES", 2 * FRAMES[0].nbytes)
    frames, read = counting_frames()
    for number in (0, 1, 0, 2, 0, 1):
        frames[number]
    assert read == [0, 1, 2, 1]


def test_the_latest_frame_is_the_one_read_last():
    frames, _ = counting_frames()
    assert frames.latest is None
    frames[2], frames[5], frames[2, 0]
    np.testing.assert_array_equal(frames.latest, FRAMES[2])


def failing_frames(monkeypatch):
    """Lazy frames whose file is gone while the list has an item, and the errors that are shown."""
    gone, shown = [True], []

    def read(index):
        if gone:
            raise RunFolderError("it has no map; choose another iteration")
        return FRAMES[index]

    monkeypatch.setattr(layers, "_show_error", shown.append)
    return LazyFrames(len(FRAMES), FRAMES.shape[1:], read), gone, shown


def test_a_frame_that_cannot_be_read_is_shown_empty_with_one_error(monkeypatch):
    frames, gone, shown = failing_frames(monkeypatch)
    assert not frames[2].any()
    assert not frames[1:3].any()
    assert not frames.only(4)[0].any()
    assert shown == ["it has no map; choose another iteration"]
    gone.clear()
    np.testing.assert_array_equal(frames[2], FRAMES[2])  # the empty one was not kept
    gone.append(True)
    assert not frames[5].any()
    assert len(shown) == 2


def test_a_frame_that_cannot_be_read_is_an_error_for_calculations(monkeypatch):
    frames, gone, shown = failing_frames(monkeypatch)
    for read in (lambda: frames.read(2), lambda: frames.read([1, 2]), lambda: np.asarray(frames)):
        with pytest.raises(RunFolderError, match="it has no map"):
            read()
    assert shown == []
    gone.clear()
    np.testing.assert_array_equal(frames.read([1, 2]), FRAMES[1:3])


def test_two_threads_never_read_at_once():
    inside, worst = 0, 0

    def read(index):
        nonlocal inside, worst
        inside += 1
        worst = max(worst, inside)
        threading.Event().wait(0.005)
        inside -= 1
        return FRAMES[index]

    frames = LazyFrames(7, FRAMES.shape[1:], read)
    threads = [threading.Thread(target=lambda i=i: frames[i]) for i in range(7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worst == 1


def test_the_level_is_four_sigma_if_the_map_reaches_it():
    volume = np.zeros((20, 20, 20), np.float32)
    volume[8:12, 8:12, 8:12] = 1
    _, keywords, _ = map_layer(volume, 1.0, "map")
    assert keywords["iso_threshold"] == pytest.approx(volume.mean() + 4 * volume.std())


def test_the_level_is_within_a_particle_that_fills_the_box():
    volume = np.zeros((20, 20, 20), np.float32)
    volume[2:18, 2:18, 2:18] = 1
    _, keywords, _ = map_layer(volume, 1.0, "map")
    assert 0.5 < keywords["iso_threshold"] < 1


@pytest.mark.parametrize("fill", [0.0, 5.0, np.nan, np.inf])
def test_a_map_without_density_has_finite_limits(fill):
    _, keywords, _ = map_layer(np.full((16, 16, 16), fill), 1.0, "map")
    low, high = keywords["contrast_limits"]
    assert low < high < np.inf
    assert np.isfinite(keywords["iso_threshold"])


def test_a_map_layer_has_mean_and_standard_deviation():
    volume = np.random.default_rng(1).normal(3, 2, (16, 16, 16))
    _, keywords, _ = map_layer(volume, 1.0, "map", metadata={"key": "run 1"})
    known = keywords["metadata"][METADATA_KEY]
    assert known["mean"] == pytest.approx(volume.mean())
    assert known["std"] == pytest.approx(volume.std())
    assert (known["kind"], known["key"], known["voxel_size"]) == ("map", "run 1", 1.0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8, np.bool_])
def test_mean_and_standard_deviation_are_those_of_numpy_for_every_type(dtype):
    volume = np.random.default_rng(4).integers(0, 250, (16, 16, 16)).astype(dtype)
    found = map_statistics(volume)
    assert found["mean"] == pytest.approx(volume.astype(np.float64).mean(), rel=1e-5)
    assert found["std"] == pytest.approx(volume.astype(np.float64).std(), rel=1e-5)


def test_a_large_mean_does_not_affect_the_standard_deviation():
    volume = (1e5 + np.random.default_rng(4).normal(size=(16, 16, 16))).astype(np.float32)
    assert map_statistics(volume)["std"] == pytest.approx(volume.astype(np.float64).std(), rel=1e-2)


def test_blank_images_have_contrast_limits_that_differ():
    blank, _ = counting_frames(np.zeros((7, 1, 4, 4), np.float32))
    _, keywords, _ = particle_layer(blank, 2.0, "blank", {})
    low, high = keywords["contrast_limits"]
    assert low < high


def test_one_class_is_grey_and_many_have_colours_that_differ():
    assert class_colour(0, 1) == "gray"
    assert len({class_colour(k, 7) for k in range(7)}) == len(CLASS_COLOURS) == 7
    assert class_colour(7, 8) == class_colour(0, 8)
