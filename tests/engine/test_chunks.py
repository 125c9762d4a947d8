import numpy as np
import pytest

from napari_ini3d.engine import chunks, local_chunks
from napari_ini3d.engine.chunks import split_into_chunks, split_into_groups
from napari_ini3d.engine.initial_model import reconstruct
from napari_ini3d.engine.memory import TileLimit
from napari_ini3d.errors import StackError
from napari_ini3d.particles import ImageBatch
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    InMemorySource,
    SimulationSettings,
    make_phantom,
    simulate_particles,
)

PIXEL_SIZE = 6.0
SETTINGS = InitialModelSettings(mask_diameter=115.0, iterations=6, starts=2, device="cpu")


@pytest.fixture(scope="module")
def data():
    settings = SimulationSettings(
        number=90, box_size=24, pixel_size=PIXEL_SIZE, snr=2.0, offset_sigma=4.0, seed=2
    )
    return simulate_particles(make_phantom(seed=3, diameter=100, domains=3), settings)


@pytest.fixture
def few_chunks(monkeypatch):
    """Chunks of several tiles, also of few particles."""
    monkeypatch.setattr(chunks, "MOST_CHUNKS", 4)


def final_bytes(data, threads: int, source=None, **changes) -> dict[str, bytes]:
    chosen = SETTINGS.with_changes(threads=threads, **changes)
    *_, last = reconstruct(source or InMemorySource.of(data), data.particles, chosen)
    return {name: values.tobytes() for name, values in last.state.to_arrays().items()}


@pytest.mark.parametrize("tile_size", [1, 7, 1000])
def test_chunks_hold_the_subset_in_order_each_of_one_half(tile_size):
    groups = np.arange(3000) % 3
    subset = np.flatnonzero(np.random.default_rng(1).random(3000) < 0.7)
    found = split_into_chunks(subset, groups, tile_size)
    assert [chunk.number for chunk in found] == list(range(len(found)))
    assert len(found) <= chunks.MOST_CHUNKS + 1
    for chunk in found:
        assert len({int(i) % 2 for tile in chunk.tiles for i in tile}) == 1
        assert all(len({int(groups[i]) for i in tile}) == 1 for tile in chunk.tiles)
        assert all(0 < len(tile) <= tile_size for tile in chunk.tiles)
    seen = np.concatenate([tile for chunk in found for tile in chunk.tiles])
    assert np.array_equal(np.sort(seen), subset)
    for place, group in enumerate(split_into_groups(found)):
        assert {chunk.group for chunk in group} == {place}
        assert len(group) <= chunks.CHUNKS_OF_GROUP
        assert len({int(chunk.tiles[0][0]) % 2 for chunk in group}) == 1
    assert [one for group in split_into_groups(found) for one in group] == found


def test_the_bits_do_not_depend_on_the_number_of_threads(data, few_chunks):
    alone = final_bytes(data, 1, tile_size=7)
    for threads in (2, 5):
        assert final_bytes(data, threads, tile_size=7) == alone


def test_the_bits_do_not_depend_on_how_many_tiles_have_room_at_once(data, monkeypatch):
    plenty = final_bytes(data, 3)
    monkeypatch.setattr(local_chunks, "tile_limit", lambda *_, **__: TileLimit(1))
    assert final_bytes(data, 3) == plenty


def test_the_bits_do_not_depend_on_what_memory_is_free(data, monkeypatch):
    plenty = final_bytes(data, 2)
    path = "napari_ini3d.kernels.backend.free_memory"
    monkeypatch.setattr(path, lambda: 60_000_000)  # room for one tile, and for no table
    assert final_bytes(data, 2) == plenty


class HalfExcluded(InMemorySource):
    """A source that excludes images, and comes in smaller batches than it was asked for."""

    def batches(self, indices):
        for batch in super().batches(indices):
            kept = np.flatnonzero(batch.index % 4 < 2)
            for part in np.array_split(kept, 2):
                if len(part):
                    yield ImageBatch(batch.index[part], batch.images[part])


def test_images_that_a_source_excludes_are_in_no_chunk(data, few_chunks):
    source = HalfExcluded(data.images, PIXEL_SIZE)
    *_, last = reconstruct(source, data.particles, SETTINGS.with_changes(threads=2, tile_size=7))
    visited = last.state.assignments.class_index >= 0
    assert np.array_equal(np.flatnonzero(visited), np.flatnonzero(np.arange(90) % 4 < 2))


class Lost(InMemorySource):
    """A source all of whose images are excluded after the start."""

    asked = 0

    def batches(self, indices):
        for batch in super().batches(indices):
            self.asked += 1
            if self.asked < 10:
                yield batch


def test_an_iteration_without_a_usable_image_is_an_error(data):
    source = Lost(data.images, PIXEL_SIZE)
    with pytest.raises(StackError, match="none of the images of this iteration can be used"):
        final_bytes(data, 1, source, tile_size=45)
