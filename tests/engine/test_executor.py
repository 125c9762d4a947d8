import threading
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from napari_ini3d.engine import chunks
from napari_ini3d.engine.executor import TileExecutor
from napari_ini3d.engine.initial_model import reconstruct
from napari_ini3d.kernels.backend import HostDevice, choose_backend
from napari_ini3d.kernels.types import Backend
from napari_ini3d.particles import ImageBatch
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    InMemorySource,
    SimulationSettings,
    make_phantom,
    simulate_particles,
)


def batches(count: int):
    return [ImageBatch(np.array([i]), np.full((1, 2, 2), i, np.float32)) for i in range(count)]


class Gpu(HostDevice):
    """A device that knows which threads have entered it."""

    def __init__(self) -> None:
        self.inside = threading.local()

    @contextmanager
    def enter(self):
        self.inside.entered = True
        yield
        self.inside.entered = False


def devices(count: int) -> Backend:
    cpu = choose_backend("cpu")
    first, *others = [replace(cpu, device=Gpu(), is_gpu=True, name=str(i)) for i in range(count)]
    return replace(first, others=tuple(others))


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_the_order_of_the_batches(threads):
    executor = TileExecutor(choose_backend("cpu"), threads)
    found = list(executor.map_tiles([lambda batch: int(batch.index[0])], batches(20)))
    assert found == [(0, i) for i in range(20)]
    executor.close()


def test_gpus_take_turns_each_in_its_own_device():
    backend = devices(3)
    executor = TileExecutor(backend, threads=8)

    def work(i: int, batch: ImageBatch) -> tuple[int, str]:
        assert backend.devices[i].device.inside.entered
        return int(batch.index[0]), threading.current_thread().name

    found = list(executor.map_tiles([partial(work, i) for i in range(3)], batches(9)))
    assert [(i, number) for i, (number, _) in found] == [(n % 3, n) for n in range(9)]
    threads = [{name for i, (_, name) in found if i == gpu} for gpu in range(3)]
    assert all(len(names) == 1 for names in threads)
    executor.close()


def test_few_batches_are_read_ahead():
    executor, read = TileExecutor(choose_backend("cpu"), 2), []

    def reading():
        for batch in batches(30):
            read.append(batch)
            yield batch

    for done, _ in enumerate(executor.map_tiles([lambda batch: None], reading())):
        assert len(read) <= done + 4
    executor.close()


def test_an_error_of_the_work_is_raised_to_the_caller():
    executor = TileExecutor(choose_backend("cpu"), 2)

    def work(batch: ImageBatch) -> None:
        raise ValueError("no good")

    with pytest.raises(ValueError, match="no good"):
        list(executor.map_tiles([work], batches(3)))
    executor.close()


class Cramped:
    """The kernels of the CPU, with memory for the scores of a few images only."""

    def __init__(self, backend: Backend, most: int) -> None:
        self._kernels, self._most = backend.kernels, most

    def __getattr__(self, name: str):
        return getattr(self._kernels, name)

    def dense_posterior(self, scores, *others) -> None:
        if len(scores) > self._most:
            raise MemoryError("the scores do not fit")
        self._kernels.dense_posterior(scores, *others)


def test_a_run_without_memory_for_its_tiles_gives_the_sums_of_one_with_smaller_tiles(monkeypatch):
    monkeypatch.setattr(chunks, "MOST_CHUNKS", 2)  # one of each half
    settings = SimulationSettings(
        number=40, box_size=24, pixel_size=6.0, snr=3.0, offset_sigma=4.0, seed=2
    )
    data = simulate_particles(make_phantom(seed=3, diameter=100, domains=3), settings)
    chosen = InitialModelSettings(
        mask_diameter=115.0, iterations=3, starts=1, threads=1, tile_size=20, device="cpu"
    )
    source, backend = InMemorySource.of(data), choose_backend("cpu")
    cramped = replace(backend, kernels=Cramped(backend, 5))
    split = list(reconstruct(source, data.particles, chosen, backend=cramped))[-1]
    plain = list(reconstruct(source, data.particles, chosen.with_changes(tile_size=5)))[-1]
    for name, values in plain.state.to_arrays().items():
        assert np.array_equal(split.state.to_arrays()[name], values), name


class Full(HostDevice):
    """A device that takes few images at a time."""

    def upload(self, host: np.ndarray):
        if len(host) > 3:
            raise MemoryError("no room for the images")
        return super().upload(host)


def test_images_that_do_not_fit_are_uploaded_in_parts():
    gpu = replace(choose_backend("cpu"), device=Full(), is_gpu=True, name="gpu:0")
    executor = TileExecutor(gpu, 1)
    batch = ImageBatch(np.arange(10), np.arange(10, dtype=np.float32).reshape(-1, 1, 1))
    found = [part for _, part in executor.map_tiles([lambda part: part.index.tolist()], [batch])]
    assert [i for part in found for i in part] == list(range(10))
    assert max(map(len, found)) <= 3
    executor.close()
