import dataclasses

import numpy as np
import pytest

from napari_ini3d.engine.memory import (
    SplitOnMemoryError,
    TileLimit,
    Workload,
    chunk_rows,
    table_bytes,
    tile_images,
    tile_limit,
)
from napari_ini3d.errors import DeviceError
from napari_ini3d.particles import ImageBatch

LOAD = Workload(
    box_size=64,
    n_components=900,
    n_coarse=300,
    n_rows=4608,
    n_shifts=21,
    n_fine_shifts=21,
    most_fine_rows=512,
)
PLENTY = 64 << 30


def test_a_cpu_takes_as_many_images_as_have_their_scores_in_64_mb():
    assert tile_images(LOAD, is_gpu=False) == 64  # at most
    larger = dataclasses.replace(LOAD, n_rows=36864)
    assert tile_images(larger, is_gpu=False) == int(64e6 / (4 * 21 * 36864))
    huge = dataclasses.replace(LOAD, n_rows=500_000)
    assert tile_images(huge, is_gpu=False) == 4  # at least


def test_what_an_image_takes_is_at_least_its_scores_and_its_pixels():
    assert LOAD.bytes_per_image > 4 * 21 * 4608 + 4 * 64**2
    for field in dataclasses.fields(LOAD):
        more = dataclasses.replace(LOAD, **{field.name: 2 * getattr(LOAD, field.name)})
        assert more.bytes_per_image > LOAD.bytes_per_image


@pytest.mark.parametrize("is_gpu", [False, True])
@pytest.mark.parametrize("free", [1 << 26, 1 << 28, 1 << 30])
def test_what_is_computed_at_once_fits_twice_into_the_memory_that_is_free(is_gpu, free):
    images = tile_images(LOAD, is_gpu=is_gpu)
    limit = tile_limit(free, LOAD, images, is_gpu=is_gpu, at_once=8)
    assert limit.at_once >= 1
    assert 2 * limit.at_once * (limit.images or images) * LOAD.bytes_per_image < free


def test_where_memory_is_short_fewer_tiles_are_computed_at_once_and_then_smaller_ones():
    tile = 2.5 * 64 * LOAD.bytes_per_image  # what a tile of 64 images asks for
    for free, limit in (
        (100 * tile, TileLimit(8)),
        (3 * tile, TileLimit(3)),
        (tile, TileLimit(1)),
        (tile / 2, TileLimit(1, 32)),
        (0, TileLimit(1, 1)),
    ):
        assert tile_limit(free, LOAD, 64, is_gpu=False, at_once=8) == limit


def test_a_tile_of_a_gpu_has_a_power_of_two_of_images_that_have_room_in_8_gb():
    assert tile_images(LOAD, is_gpu=True) == 1024
    larger = dataclasses.replace(LOAD, n_rows=500_000)
    images = tile_images(larger, is_gpu=True)
    assert images.bit_count() == 1
    assert 4e9 < images * larger.bytes_per_image <= 8e9


def test_a_table_takes_a_quarter_of_the_memory_and_on_a_cpu_not_more_than_600_mb():
    assert table_bytes(1 << 30, is_gpu=True) == table_bytes(1 << 30, is_gpu=False) == 1 << 28
    assert table_bytes(PLENTY, is_gpu=True, tables=4) == 1 << 32
    assert table_bytes(PLENTY, is_gpu=False) == 600e6


def test_rows_of_the_fine_pass_follow_the_memory_of_a_gpu_only():
    assert chunk_rows(1 << 40, 900, is_gpu=False) == chunk_rows(1, 900, is_gpu=False) == 1024
    assert chunk_rows(1, 900, is_gpu=True) == 1024
    assert chunk_rows(1 << 30, 900, is_gpu=True) == 2048  # 2982 fit
    assert chunk_rows(1 << 40, 900, is_gpu=True) == 65536


def test_a_little_less_free_memory_changes_nothing_on_a_gpu():
    for free in (20 << 30, (20 << 30) - (64 << 20)):
        assert chunk_rows(free, 900, is_gpu=True) == 32768
    for free in (1 << 30, 80 << 30):
        images = tile_limit(free, LOAD, 1024, is_gpu=True, at_once=1).images
        assert images is None or images.bit_count() == 1


def test_the_rows_of_the_fine_pass_are_the_same_on_every_gpu_with_much_memory():
    assert chunk_rows(45 << 30, 5000, is_gpu=True) == chunk_rows(140 << 30, 5000, is_gpu=True)


class Work:
    """Sums the images of a batch; has memory for some of them only."""

    def __init__(self, fits: int) -> None:
        self.fits = fits
        self.seen: list[int] = []

    def __call__(self, batch: ImageBatch) -> float:
        assert len(batch.images) == len(batch.index)
        self.seen.append(len(batch.index))
        if len(batch.index) > self.fits:
            raise MemoryError(f"{len(batch.index)} are too many")
        return float(batch.images.sum())


def batch_of(count: int) -> ImageBatch:
    images = np.arange(count, dtype=np.float32).reshape(-1, 1, 1)
    return ImageBatch(np.arange(count), images)


def run(split: SplitOnMemoryError, work: Work, batch: ImageBatch) -> list[float]:
    results = []
    for attempt in split.attempts(batch):
        with attempt as part:
            results.append(work(part))
    return results


def test_parts_are_computed_in_the_order_of_the_images():
    found = run(SplitOnMemoryError(lambda: None, "here"), Work(1), batch_of(6))
    assert found == [0, 1, 2, 3, 4, 5]


def test_another_error_than_lack_of_memory_is_raised():
    split = SplitOnMemoryError(lambda: None, "here")
    with pytest.raises(ZeroDivisionError):
        run(split, lambda part: 1 / 0, batch_of(2))


@pytest.mark.parametrize("fits", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("count", [1, 2, 7, 16])
def test_halves_add_up_to_the_same_sum(fits, count):
    work = Work(fits)
    found = run(SplitOnMemoryError(lambda: None, "here"), work, batch_of(count))
    assert sum(found) == count * (count - 1) / 2


def test_a_size_that_failed_is_not_tried_again_and_memory_is_released_first(caplog):
    work, released = Work(4), []
    split = SplitOnMemoryError(lambda: released.append(len(work.seen)), "gpu:0 H100")
    run(split, work, batch_of(16))
    assert work.seen == [16, 8, 4, 4, 4, 4]
    assert released == [1, 2]
    assert caplog.messages == [
        "gpu:0 H100: out of memory with 16 images at once; continuing with 8, "
        "which may change the last bits of the result",
        "gpu:0 H100: out of memory with 8 images at once; continuing with 4, "
        "which may change the last bits of the result",
    ]
    work.seen.clear()
    run(split, work, batch_of(16))
    assert work.seen == [4, 4, 4, 4]


def test_no_memory_for_a_single_image_is_an_error_that_says_what_to_lower():
    with pytest.raises(DeviceError, match=r"cpu has not enough memory .* coarser max_resolution"):
        run(SplitOnMemoryError(lambda: None, "cpu"), Work(0), batch_of(5))
