"""The number of threads is what is asked for."""

import os
import threading

import numpy as np
import pytest
from symmetry_phantoms import known_map

from napari_ini3d.comparison import compare_maps
from napari_ini3d.fourier import threads as threads_module
from napari_ini3d.fourier.resample import rotate_map
from napari_ini3d.fourier.threads import map_in_threads
from napari_ini3d.symmetry import (
    align_symmetry,
    detect_symmetry,
    impose_symmetry,
    validate_symmetry,
)

VOLUME = known_map("D2", box_size=32).volume
ROTATION = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]

CALLS = {
    "rotate": lambda threads: rotate_map(VOLUME, ROTATION, threads=threads),
    "compare": lambda threads: compare_maps(VOLUME, VOLUME, voxel_size=3.0, threads=threads),
    "detect": lambda threads: detect_symmetry(VOLUME, voxel_size=3.0, threads=threads),
    "align": lambda threads: align_symmetry(VOLUME, "D2", voxel_size=3.0, threads=threads),
    "impose": lambda threads: impose_symmetry(VOLUME, "D3", threads=threads),
    "validate": lambda threads: validate_symmetry(VOLUME, "D3", voxel_size=3.0, threads=threads),
}


@pytest.fixture
def most_workers(monkeypatch):
    """The sizes of all thread pools and of all transforms' teams of workers."""
    sizes = []
    pool = threads_module.ThreadPoolExecutor

    def recorded_pool(count):
        sizes.append(count)
        return pool(count)

    monkeypatch.setattr(threads_module, "ThreadPoolExecutor", recorded_pool)
    for name in ("napari_ini3d.fourier.nufft", "napari_ini3d.fourier.resample"):

        def recorded_count(asked):
            count = asked or len(os.sched_getaffinity(0))
            sizes.append(count)
            return count

        monkeypatch.setattr(f"{name}.available_threads", recorded_count)
    return sizes


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("threads", [1, 2])
def test_no_more_threads_run_than_asked_for(name, threads, most_workers):
    running = set()
    before = set(threading.enumerate())
    stop = threading.Event()

    def watch():
        while not stop.wait(0.001):
            running.add(len(set(threading.enumerate()) - before) - 1)  # not this watcher

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        CALLS[name](threads)
    finally:
        stop.set()
        watcher.join()
    assert max(running, default=0) <= (threads if threads > 1 else 0)
    if threads > 1:
        assert max(most_workers) == threads  # threads were used at all
    else:
        assert max(most_workers, default=1) == 1


def test_results_come_in_the_order_of_the_items():
    assert map_in_threads(lambda x: x * x, range(20), 3) == [x * x for x in range(20)]


def test_an_error_in_a_thread_is_raised():
    with pytest.raises(ZeroDivisionError):
        map_in_threads(lambda x: 1 // x, [1, 0, 2], 2)
