import dataclasses
from pathlib import Path

import numpy as np
import oracles
import pytest

from napari_ini3d.engine.images import (
    ImagePreparation,
    WeightedImages,
    draw_subset,
    excess_limits,
    split_into_tiles,
)
from napari_ini3d.engine.normalisation import normalise
from napari_ini3d.fourier.masks import radius_grid, soft_mask
from napari_ini3d.fourier.transforms import frequency_disk
from napari_ini3d.kernels.backend import choose_backend
from napari_ini3d.optics.ctf import compute_ctf, ctf_parameters
from napari_ini3d.particles import ImageBatch, OpticsGroup, Particles

BOX, PIXEL_SIZE = 32, 5.0


@pytest.mark.parametrize(("n", "size"), [(100, 10), (100, 30), (103, 7), (20, 19)])
def test_subsets_hold_distinct_particles_in_order(n, size):
    for step in range(30):
        subset = draw_subset(n, step * size, size, seed=3)
        assert len(subset) == size
        assert (np.diff(subset) > 0).all()
        assert subset[0] >= 0
        assert subset[-1] < n


@pytest.mark.parametrize(("n", "size"), [(100, 30), (103, 7), (20, 19), (5, 5), (1, 1)])
def test_every_particle_is_visited_as_often_as_any_other(n, size):
    visits = np.zeros(n, int)
    for step in range(2 * n):
        visits[draw_subset(n, step * size, size, seed=3)] += 1
        assert visits.max() - visits.min() <= 1
    assert (visits == 2 * size).all()


def test_every_particle_is_visited_as_often_as_any_other_while_subsets_grow():
    visits = np.zeros(50, int)
    for size in range(1, 51):
        visits[draw_subset(50, int(visits.sum()), size, seed=3)] += 1
        assert visits.max() - visits.min() <= 1


@pytest.mark.parametrize("size", [10, 25, 50])
def test_one_round_visits_every_particle_once(size):
    parts = [draw_subset(100, drawn, size, seed=3) for drawn in range(0, 100, size)]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(100))


def test_rounds_repeat_and_seeds_differ_and_equal_seeds_agree():
    first = draw_subset(1000, 0, 100, 3)
    assert np.array_equal(first, draw_subset(1000, 0, 100, 3))
    assert np.array_equal(first, draw_subset(1000, 1000, 100, 3))
    assert not np.array_equal(first, draw_subset(1000, 100, 100, 3))
    assert not np.array_equal(first, draw_subset(1000, 0, 100, 4))


def test_a_subset_of_everything_is_everything():
    assert np.array_equal(draw_subset(5, 17, 5, 1), np.arange(5))


@pytest.mark.parametrize("tile_size", [1, 7, 1000])
def test_tiles_have_one_half_and_one_group_and_hold_the_subset(tile_size):
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 3, 200).astype(np.int32)
    subset = np.sort(rng.permutation(200)[:90])
    tiles = split_into_tiles(subset, groups, tile_size)
    assert np.array_equal(np.sort(np.concatenate(tiles)), subset)
    for tile in tiles:
        assert 0 < len(tile) <= tile_size
        assert len(np.unique(tile % 2)) == len(np.unique(groups[tile])) == 1
    if tile_size == 1000:
        assert len(tiles) == 6


def particles(*, premultiplied: bool = False) -> Particles:
    optics = tuple(
        OpticsGroup(f"g{i}", i, 300.0 - 100 * i, 2.7, 0.1, PIXEL_SIZE, BOX, premultiplied)
        for i in (0, 1)
    )
    rng = np.random.default_rng(2)
    n = 10
    zeros = np.zeros(n, np.float32)
    return Particles(
        stack_paths=(Path("a.mrcs"),),
        stack_index=np.zeros(n, np.int32),
        image_index=np.arange(n, dtype=np.int32),
        optics=optics,
        optics_index=(np.arange(n) % 4 // 2).astype(np.int32),
        defocus_u=rng.uniform(1e4, 2e4, n).astype(np.float32),
        defocus_v=rng.uniform(1e4, 2e4, n).astype(np.float32),
        defocus_angle=zeros,
        phase_shift=zeros,
        origin_x=np.linspace(-8, 8, n, dtype=np.float32),
        origin_y=zeros + 3,
        row=np.arange(n),
    )


def make_tile(preparation: ImagePreparation, origins: np.ndarray | None = None, radius: int = 10):
    rng = np.random.default_rng(3)
    index = np.array([2, 6])
    batch = ImageBatch(index, rng.standard_normal((2, BOX, BOX)).astype(np.float32))
    origins = np.zeros((2, 2), np.float32) if origins is None else origins
    sigma2 = np.arange(2 * (BOX // 2 + 1), dtype=float).reshape(2, -1) + 1
    disk = frequency_disk(BOX, radius)
    typical = np.stack([np.full(BOX // 2 + 1, np.inf), TYPICAL])
    bias = np.zeros((2, 1), np.float32)
    tile = preparation.tile(batch, disk, origins, sigma2, typical, bias, SCALE)
    return tile, batch, disk, sigma2


SCALE = np.array([0.5, 2.0], np.float32)


TYPICAL = np.linspace(1e-3, 2e-3, BOX // 2 + 1)  # power of each shell, of the second group
PREPARATION = ImagePreparation(particles(), PIXEL_SIZE, 80.0, True, False, choose_backend("cpu"))


def test_a_tile_holds_masked_transforms_ctf_and_noise_of_its_group():
    tile, batch, disk, sigma2 = make_tile(PREPARATION)
    assert (tile.half, tile.group) == (0, 1)
    assert np.array_equal(tile.index, batch.index)
    assert np.array_equal(tile.sigma2, sigma2[1].astype(np.float32))
    images = normalise(batch.images, 8.0).astype(float)
    r = radius_grid(BOX, 2).astype(float)
    edge = 14.0 / PIXEL_SIZE
    mask = 0.5 + 0.5 * np.cos(np.pi * np.clip((r - 8.0) / edge, 0, 1))
    for found, image in zip(tile.images, images, strict=True):
        assert np.allclose(found, oracles.transform_at(image * mask, disk.kx, disk.ky), atol=1e-5)
    whole = [oracles.transform_at(image, disk.kx, disk.ky) for image in images]
    power = [np.bincount(disk.shell, np.abs(image) ** 2, BOX // 2 + 1) for image in whole]
    assert np.allclose(tile.image_power, power, rtol=1e-4)
    parameters = ctf_parameters(particles().take(batch.index), 1)
    fx, fy = (k.astype(float) / (BOX * PIXEL_SIZE) for k in (disk.kx, disk.ky))
    assert np.allclose(tile.ctf, compute_ctf(parameters, fx, fy))
    assert not tile.premultiplied


def test_shells_of_a_tile_weigh_less_the_more_their_masked_power_exceeds_the_typical():
    tile, _, disk, _ = make_tile(PREPARATION)
    limits = excess_limits(BOX, 80.0 / PIXEL_SIZE)
    for image, excess, weight in zip(tile.images, tile.excess, tile.shell_weight, strict=True):
        power = np.bincount(disk.shell, np.abs(image) ** 2, BOX // 2 + 1)
        assert np.allclose(excess, power / TYPICAL, rtol=1e-4)
        for shell, found in enumerate(weight):
            last = max(shell, np.flatnonzero(np.cumsum(limits.count) >= 10)[0])
            mean = np.average(excess[: last + 1], weights=limits.count[: last + 1])
            least = min(
                limits.shell[shell] / max(excess[shell], 1e-30), limits.together[shell] / mean
            )
            assert found == pytest.approx(min(1.0, least) ** 4, rel=1e-3)
    assert (tile.shell_weight < 1).any()
    assert (tile.shell_weight == 1).any()


def test_no_shell_weighs_less_where_the_typical_power_is_unknown():
    preparation = dataclasses.replace(
        PREPARATION, particles=dataclasses.replace(particles(), optics_index=np.zeros(10, np.int32))
    )
    tile, *_ = make_tile(preparation)
    assert tile.group == 0
    assert (tile.shell_weight == 1).all()
    assert (tile.excess == 0).all()


@pytest.mark.parametrize("premultiplied", [False, True])
def test_images_enter_the_sums_weighted_by_shell_scale_ctf_and_noise(premultiplied):
    tile, _, disk, _ = make_tile(
        dataclasses.replace(PREPARATION, particles=particles(premultiplied=premultiplied))
    )
    found = WeightedImages.of(tile, disk, PREPARATION.backend)
    for b in range(2):
        for p in range(0, len(disk), 7):
            weight = tile.shell_weight[b, disk.shell[p]] / tile.sigma2[disk.shell[p]]
            scaled = SCALE[b] * (1 if premultiplied else tile.ctf[b, p])
            assert np.isclose(found.images[b, p], scaled * tile.images[b, p] * weight, rtol=1e-5)
            power = (SCALE[b] * tile.ctf[b, p]) ** 2
            assert np.isclose(found.ctf2[b, p], power * weight, rtol=1e-5)


def test_images_are_moved_by_whole_pixels_to_their_origins():
    origins = np.array([[11.0, -4.0], [0.0, 26.0]], np.float32)
    tile, batch, disk, _ = make_tile(PREPARATION, origins)
    assert tile.centre.tolist() == [[2, -1], [0, 5]]
    moved = np.stack(
        [
            np.roll(im, (y, x), (0, 1))
            for im, (x, y) in zip(normalise(batch.images, 8.0), [(2, -1), (0, 5)], strict=True)
        ]
    )
    still, *_ = make_tile(PREPARATION)
    assert not np.allclose(tile.images, still.images, atol=1e-3)
    expected = oracles.transform_at(
        (moved[0] * soft_mask(BOX, 8.0, 14.0 / PIXEL_SIZE, 2)).astype(float), disk.kx, disk.ky
    )
    assert np.allclose(tile.images[0], expected, atol=1e-5)
    file = np.stack([particles().origin_x[[2, 6]], particles().origin_y[[2, 6]]], -1)
    assert np.allclose(tile.from_expected, tile.centre - file / PIXEL_SIZE, atol=1e-5)


def test_without_ctf_the_images_are_taken_as_they_are():
    plain = dataclasses.replace(PREPARATION, ctf=False, particles=particles(premultiplied=True))
    tile, *_ = make_tile(plain)
    assert (tile.ctf == 1).all()
    assert not tile.premultiplied


def test_premultiplied_groups_are_marked():
    tile, *_ = make_tile(dataclasses.replace(PREPARATION, particles=particles(premultiplied=True)))
    assert tile.premultiplied
    assert (tile.ctf != 1).any()


def test_inverted_images_are_the_negative_of_the_others():
    plain, *_ = make_tile(PREPARATION)
    inverted, *_ = make_tile(dataclasses.replace(PREPARATION, invert=True))
    assert np.array_equal(inverted.images, -plain.images)
