import dataclasses

import numpy as np
import pytest

from napari_ini3d.engine.memory import (
    SplitOnMemoryError,
    Workload,
    chunk_rows,
    table_bytes,
    tile_images,
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
    assert tile_images(PLENTY, LOAD, is_gpu=False) == 64  # at most
    larger = dataclasses.replace(LOAD, n_rows=36864)
    assert tile_images(PLENTY, larger, is_gpu=False) == int(64e6 / (4 * 21 * 36864))
    huge = dataclasses.replace(LOAD, n_rows=500_000)
    assert tile_images(PLENTY, huge, is_gpu=False) == 4  # at least


def test_what_an_image_takes_is_at_least_its_scores_and_its_pixels():
    assert LOAD.bytes_per_image > 4 * 21 * 4608 + 4 * 64**2
    for field in dataclasses.fields(LOAD):
        more = dataclasses.replace(LOAD, **{field.name: 2 * getattr(LOAD, field.name)})
        assert more.bytes_per_image > LOAD.bytes_per_image


@pytest.mark.parametrize("is_gpu", [False, True])
@pytest.mark.parametrize("free", [1 << 26, 1 << 28, 1 << 30])
def test_tiles_fit_twice_into_the_memory_that_is_free(is_gpu, free):
    images = tile_images(free, LOAD, is_gpu=is_gpu, workers=2)
    assert images >= 1
    assert 2 * 2 * images * LOAD.bytes_per_image < free


def test_no_memory_at_all_still_means_one_image():
    assert tile_images(0, LOAD, is_gpu=False) == tile_images(0, LOAD, is_gpu=True) == 1


def test_a_gpu_takes_more_images_the_more_memory_it_has():
    sizes = [tile_images(free << 30, LOAD, is_gpu=True) for free in (1, 2, 8, 80)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[1] < sizes[3]
    assert sizes[3] <= 1024


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
        assert tile_images(free, LOAD, is_gpu=True) == tile_images(20 << 30, LOAD, is_gpu=True)
        assert chunk_rows(free, 900, is_gpu=True) == 32768
    for free in (1 << 24, 1 << 28, 1 << 31, 3 << 31):
        assert tile_images(free, LOAD, is_gpu=True).bit_count() == 1


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
        "gpu:0 H100: out of memory with 16 images at once; continuing with 8",
        "gpu:0 H100: out of memory with 8 images at once; continuing with 4",
    ]
    work.seen.clear()
    run(split, work, batch_of(16))
    assert work.seen == [4, 4, 4, 4]


def test_no_memory_for_a_single_image_is_an_error_that_says_what_to_lower():
    with pytest.raises(DeviceError, match=r"cpu has not enough memory .* coarser max_resolution"):
        run(SplitOnMemoryError(lambda: None, "cpu"), Work(0), batch_of(5))
