import dataclasses
from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import oracles
import pytest

from napari_ini3d.engine import maximisation
from napari_ini3d.engine.images import Tile
from napari_ini3d.engine.maximisation import (
    complete_friedel,
    inner_cube,
    symmetrised,
    update_maps,
    update_noise_and_classes,
)
from napari_ini3d.engine.noise import update_noise
from napari_ini3d.engine.reference_set import PoseGrid
from napari_ini3d.engine.regularisation import RealSpaceConstraints, cube_shells
from napari_ini3d.engine.resolved_settings import resolve_settings
from napari_ini3d.engine.state import FIRST_SIGMA_OFFSET, ModelState
from napari_ini3d.engine.sums import ChunkSums, IterationSums, TilePoses, TileSums
from napari_ini3d.fourier.transforms import frequency_disk, map_to_cube
from napari_ini3d.geometry.point_groups import symmetry_operators
from napari_ini3d.kernels.backend import choose_backend
from napari_ini3d.kernels.records import BestColumn
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import make_phantom

BOX, PIXEL_SIZE, RADIUS = 24, 5.0, 8
SHELLS = BOX // 2 + 1
FREE = InitialModelSettings(
    mask_diameter=90.0, flatten_solvent=False, non_negative=False, gridding_correction=False
)


def constraints(settings: InitialModelSettings = FREE) -> RealSpaceConstraints:
    resolved = resolve_settings(settings, pixel_size=PIXEL_SIZE)
    return RealSpaceConstraints(resolved, BOX, PIXEL_SIZE)


@pytest.fixture
def rng():
    return np.random.default_rng(13)


def tile_sums(rng, half: int, group: int = 0, images: int = 3, *, premultiplied=False) -> TileSums:
    m = RADIUS + 1
    shape = (2, 2 * m + 1, 2 * m + 1, m + 2)
    nothing = np.zeros((images, 0))
    tile = Tile(
        index=np.arange(images),
        images=nothing,
        ctf=nothing,
        premultiplied=premultiplied,
        sigma2=nothing,
        centre=nothing,
        from_expected=nothing,
        class_bias=nothing,
        excess=np.zeros((images, SHELLS)),
        scale=np.ones(images, np.float32),
        shell_weight=rng.uniform(0.2, 1, (images, SHELLS)),
        image_power=rng.uniform(5, 6, (images, SHELLS)),
        half=half,
        group=group,
    )
    best = rng.random((images, len(BestColumn)))
    best[:, [BestColumn.BEST_ROTATION, BestColumn.BEST_SHIFT, BestColumn.BEST_FINE_SHIFT]] = 0
    grid = PoseGrid(np.eye(3)[None], np.zeros((1, 2)), np.zeros((1, 2)))
    poses = TilePoses(tile.index, np.zeros((images, 2), np.float32), best, grid)
    numerator = np.stack([oracles.random_cube(rng, m) for _ in range(2)])
    denominator = rng.random(shape).astype(np.float32)
    return TileSums(
        tile=tile,
        numerator=numerator,
        denominator=denominator,
        explained=rng.random(SHELLS),
        class_weight=rng.random(2),
        poses=poses,
    )


def empty_sums(groups: int = 2) -> IterationSums:
    m = RADIUS + 1
    return IterationSums(np.zeros((2, 2 * m + 1, 2 * m + 1, m + 2)), groups, SHELLS)


def test_a_chunk_that_is_added_to_another_counts_as_its_tiles_do(rng):
    tiles = [tile_sums(rng, 1, 0), tile_sums(rng, 1, 1), tile_sums(rng, 1, 1, images=5)]
    by_tile, by_chunk = ChunkSums(deepcopy(tiles[0])), ChunkSums(deepcopy(tiles[0]))
    other = ChunkSums(deepcopy(tiles[1]))
    for tile in tiles[1:]:
        by_tile.add(tile)
    other.add(tiles[2])
    by_chunk.add_chunk(other)
    assert np.allclose(by_chunk.numerator, by_tile.numerator, atol=1e-6)  # float32
    assert np.allclose(by_chunk.denominator, by_tile.denominator, atol=1e-6)
    assert np.allclose(by_chunk.class_weight, by_tile.class_weight)
    assert by_chunk.n_images == by_tile.n_images == {0: 3, 1: 8}
    for name in ("residual", "shell_weight"):
        found, expected = getattr(by_chunk, name), getattr(by_tile, name)
        assert found.keys() == expected.keys()
        assert all(np.allclose(found[group], expected[group]) for group in expected)
    assert [len(poses.index) for poses in by_chunk.tiles] == [3, 3, 5]


def test_tiles_add_to_their_half_and_their_group(rng):
    tiles = [tile_sums(rng, 0, 0), tile_sums(rng, 1, 1), tile_sums(rng, 1, 1, images=5)]
    sums = empty_sums()
    chunks = [ChunkSums(deepcopy(tile)) for tile in tiles[:2]]  # in place
    chunks[1].add(tiles[2])
    for chunk in chunks:
        sums.add(chunk)
    assert np.array_equal(sums.numerator[:, 0], tiles[0].numerator)
    assert np.allclose(sums.numerator[:, 1], tiles[1].numerator + tiles[2].numerator)
    assert np.allclose(sums.denominator[:, 1], tiles[1].denominator + tiles[2].denominator)
    assert sums.n_images.tolist() == [3, 8]
    assert sums.total == 11
    for group, of_group in enumerate((tiles[:1], tiles[1:])):
        residual, weight = np.zeros((2, SHELLS))
        for t in of_group:
            residual -= t.explained
            for power, of_shells in zip(t.tile.image_power, t.tile.shell_weight, strict=True):
                residual += of_shells * power
                weight += of_shells
        assert np.allclose(sums.residual[group], residual)
        assert np.allclose(sums.shell_weight[group], weight)
    assert np.allclose(sums.class_weight, sum(t.class_weight for t in tiles))
    every = np.concatenate([t.poses.best[:, BestColumn.LOG_EVIDENCE] for t in tiles])
    sums.move_to_host(choose_backend("cpu"))
    assert sums.mean_of("log_evidence") == pytest.approx(every.mean())


def test_premultiplied_images_say_nothing_about_the_noise(rng):
    sums = empty_sums()
    sums.add(ChunkSums(tile_sums(rng, 0, premultiplied=True)))
    assert (sums.residual == 0).all()


def test_completing_the_plane_makes_it_its_own_friedel_mate(rng):
    numerator = oracles.random_cube(rng, 5)
    numerator[:, :, 0] = rng.standard_normal((11, 11)) + 1j * rng.standard_normal((11, 11))
    denominator = rng.random(numerator.shape).astype(np.float32)
    before = numerator.copy(), denominator.copy()
    complete_friedel(numerator, denominator)
    assert np.allclose(numerator[:, :, 0], before[0][:, :, 0] + before[0][::-1, ::-1, 0].conj())
    assert np.allclose(denominator[:, :, 0], before[1][:, :, 0] + before[1][::-1, ::-1, 0])
    assert np.array_equal(numerator[:, :, 1:], before[0][:, :, 1:])
    assert np.array_equal(denominator[:, :, 1:], before[1][:, :, 1:])


def test_the_inner_cube_is_a_view_of_the_same_frequencies():
    big = np.zeros((13, 13, 8))
    z, y, x = np.meshgrid(np.arange(-6, 7), np.arange(-6, 7), np.arange(8), indexing="ij")
    big += 100 * z + 10 * y + x
    inner = inner_cube(big, 3)
    assert inner.shape == (7, 7, 5)
    assert inner[3, 3, 0] == 0
    assert inner[0, 6, 2] == -300 + 30 + 2
    assert np.shares_memory(inner, big)


def test_sums_are_given_per_image_and_averaged_over_the_operators(rng):
    operators = symmetry_operators("D2").astype(np.float32)
    cubes = {}
    for name, group in (("C1", np.eye(3, dtype=np.float32)[None]), ("D2", operators)):
        again = np.random.default_rng(2)
        sums = empty_sums()
        for half in (0, 1):
            sums.add(ChunkSums(tile_sums(again, half)))
        cubes[name] = symmetrised(sums, group, choose_backend("cpu"))
    numerator, denominator = cubes["C1"]
    again = np.random.default_rng(2)
    first = tile_sums(again, 0)
    assert np.allclose(numerator[:, 0, :, :, 1:], first.numerator[..., 1:] / 6)
    for k, half in np.ndindex(2, 2):
        expected = oracles.symmetrise(numerator[k, half], operators) / 4
        assert np.allclose(cubes["D2"][0][k, half], expected, atol=1e-5)
        expected = oracles.symmetrise(denominator[k, half] + 0j, operators) / 4
        assert np.allclose(cubes["D2"][1][k, half], expected, atol=1e-5)


def model(m: int) -> ModelState:
    shape = (1, 2, 2 * m + 1, 2 * m + 1, m + 2)
    return ModelState(
        maps=np.zeros((1, BOX, BOX, BOX), np.float32),
        numerator=np.zeros(shape, np.complex64),
        denominator=np.zeros(shape, np.float32),
        blended_numerator=np.zeros(shape, np.complex64),
        blended_denominator=np.zeros(shape, np.float32),
        sigma2=np.ones((1, SHELLS)),
        class_shares=np.ones(1),
        sigma_offset=np.array(10.0),
        evidence=np.zeros(0),
        fsc_sum=np.zeros(0),
    )


def whole_sums(volume: np.ndarray, weight: float) -> tuple[np.ndarray, np.ndarray]:
    cube = map_to_cube(volume, RADIUS, 1)
    numerator = np.stack([weight * cube, weight * cube])[None].astype(np.complex64)
    return numerator, np.full(numerator.shape, weight, np.float32)


CONSTRAINTS = constraints()
DENSITY = make_phantom(diameter=80, domains=2).density(BOX, PIXEL_SIZE, 16.0)


def test_the_map_is_the_quotient_of_the_sums():
    update = update_maps(model(RADIUS + 1), whole_sums(DENSITY, 50.0), 1.0, RADIUS, CONSTRAINTS)
    found = update.model.maps[0]
    assert np.corrcoef(found.ravel(), DENSITY.ravel())[0, 1] > 0.99
    assert found.std() == pytest.approx(DENSITY.std(), rel=0.05)
    assert np.allclose(update.half_sets[0].fsc[1 : RADIUS + 1], 1)
    assert (update.half_sets[0].fsc[RADIUS + 1 :] == 0).all()
    assert update.map_change[0] == pytest.approx(1)


def test_nothing_beyond_the_radius_is_in_the_map():
    update = update_maps(model(10), whole_sums(DENSITY, 50.0), 1.0, RADIUS, CONSTRAINTS)
    k = np.fft.fftfreq(BOX, 1 / BOX)
    length = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    power = np.abs(np.fft.fftn(update.model.maps[0]))
    assert power[length > RADIUS + 0.5].max() < 1e-5 * power.max()


def test_halves_that_disagree_are_held_back(rng):
    other = rng.standard_normal((BOX, BOX, BOX)).astype(np.float32) * DENSITY.std()
    new = whole_sums(DENSITY, 50.0)
    new[0][0, 1] = whole_sums(other, 50.0)[0][0, 1]
    apart = update_maps(model(RADIUS + 1), new, 1.0, RADIUS, CONSTRAINTS)
    assert apart.half_sets[0].fsc[4:].max() < 0.6
    mean = update_maps(
        model(RADIUS + 1), whole_sums((DENSITY + other) / 2, 50.0), 1.0, RADIUS, CONSTRAINTS
    )
    assert apart.model.maps.std() < 0.7 * mean.model.maps.std()


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_new_sums_are_blended_in_and_old_ones_fade(eta):
    start = model(RADIUS + 3)
    start.numerator[:] = 2
    start.denominator[:] = 4
    new = whole_sums(DENSITY, 50.0)
    update = update_maps(start, new, eta, RADIUS, CONSTRAINTS)
    inner = inner_cube(update.model.numerator, RADIUS + 1)
    assert np.allclose(inner, (1 - eta) * 2 + eta * new[0], atol=1e-5)
    inner = inner_cube(update.model.denominator, RADIUS + 1)
    assert np.allclose(inner, (1 - eta) * 4 + eta * new[1])
    assert np.allclose(update.model.numerator[0, 0, 0], (1 - eta) * 2)
    assert (start.numerator == 2).all()


def test_trust_in_the_data_raises_power_where_halves_disagree_somewhat(rng):
    new = whole_sums(DENSITY, 50.0)
    noise = rng.standard_normal((BOX, BOX, BOX)).astype(np.float32) * DENSITY.std()
    new[0][0, 1] = whole_sums(DENSITY + noise, 50.0)[0][0, 1]
    spread = []
    for tau2_fudge in (0.25, 1.0, 4.0):
        trusting = constraints(FREE.with_changes(tau2_fudge=tau2_fudge))
        update = update_maps(model(RADIUS + 1), new, 1.0, RADIUS, trusting)
        spread.append(update.model.maps.std())
    assert spread == sorted(spread)
    assert spread[2] > 1.05 * spread[0]


def test_noise_moves_halfway_to_the_residual_of_the_images_that_were_seen():
    disk = frequency_disk(BOX, RADIUS)
    sigma2 = np.full((3, SHELLS), 4.0)
    sums = empty_sums(groups=3)
    count = np.bincount(disk.shell, minlength=SHELLS)
    sums.n_images[:] = [5, 0, 5]
    sums.shell_weight[:] = 3.0  # of the 5 images, in every shell
    sums.residual[0] = 2 * 3 * count * 10.0  # a variance of 10 in both parts
    sums.residual[2] = -1
    found = update_noise(sigma2, sums, disk)
    assert np.allclose(found[0, 1 : RADIUS + 1], 7.0)
    assert np.allclose(found[0, RADIUS + 1 :], 4.0)
    assert found[0, 0] == 4.0
    assert np.allclose(found[1:], 4.0)
    assert (sigma2 == 4).all()


def test_noise_of_known_variance_is_found(rng):
    from napari_ini3d.fourier.transforms import images_to_disk

    disk = frequency_disk(BOX, RADIUS)
    images = rng.standard_normal((400, BOX, BOX)).astype(np.float32)
    sums = empty_sums(groups=1)
    power = (np.abs(images_to_disk(images, disk)) ** 2).sum(0)
    sums.residual[0] = np.bincount(disk.shell, power, SHELLS)
    sums.n_images[:] = len(images)
    sums.shell_weight[:] = len(images)
    found = update_noise(np.zeros((1, SHELLS)), sums, disk)[0, 1 : RADIUS + 1] * 2
    # white noise of variance 1 has 1 / n² in a component, half of it in its real part
    assert np.allclose(found, 0.5 / BOX**2, rtol=0.15)
    assert found.mean() == pytest.approx(0.5 / BOX**2, rel=0.04)


def test_an_update_keeps_what_it_does_not_make():
    start = dataclasses.replace(model(RADIUS + 1), sigma2=np.full((1, SHELLS), 3.0))
    found = update_maps(start, whole_sums(DENSITY, 1.0), 0.5, RADIUS, CONSTRAINTS).model
    assert found.sigma2 is start.sigma2
    assert found.class_shares is start.class_shares


@pytest.mark.parametrize(("phase", "expected"), [("search", [0.5, 0.5]), ("refine", [0.65, 0.35])])
def test_class_shares_follow_the_images_in_the_refinement_only(phase, expected):
    given = SimpleNamespace(class_shares=np.array([0.5, 0.5]), maps=[None, None])
    sums = SimpleNamespace(class_weight=np.array([80.0, 20.0]))
    plan = SimpleNamespace(phase=phase, step_size=0.5)
    found = maximisation._update_class_shares(given, plan, sums)
    assert found.tolist() == pytest.approx(expected)


def test_an_update_without_momentum_keeps_one_pair_of_sums():
    found = update_maps(model(RADIUS + 1), whole_sums(DENSITY, 1.0), 0.5, RADIUS, CONSTRAINTS).model
    assert not found.blended_numerator.size
    assert not found.blended_denominator.size
    assert found.sums_without_momentum == (found.numerator, found.denominator)


def iterate(momentum: float, iterations: int = 80) -> list[float]:
    """Return the distances from the fixed point of an iteration that takes 3 % of them each time.

    The sums of an iteration have the map of the last one, moved 5 % of the way to the fixed point.
    """
    fixed, weight = map_to_cube(DENSITY, RADIUS, 1), np.float32(20)
    inside = cube_shells(RADIUS + 1, 1) <= RADIUS
    found = model(RADIUS + 1)
    found.denominator[:] = weight
    distances = []
    for _ in range(iterations):
        now = inner_cube(found.numerator, RADIUS + 1) / inner_cube(found.denominator, RADIUS + 1)
        distances.append(float(np.abs((now - fixed)[..., inside]).max() / np.abs(fixed).max()))
        new = weight * (now + np.float32(0.05) * (fixed - now))
        sums = new.astype(np.complex64), np.full(new.shape, weight)
        found = update_maps(found, sums, 0.6, RADIUS, CONSTRAINTS, momentum).model
    return distances


def test_momentum_reaches_the_fixed_point_of_a_slow_iteration_in_a_third_of_the_iterations():
    plain, fast = iterate(0.0), iterate(0.8)
    assert plain[40] == pytest.approx(0.97**40, rel=1e-3)
    needed = next(i for i, distance in enumerate(fast) if distance < plain[60])
    assert needed < 20
    assert max(fast[needed:]) <= plain[60]  # and it stays there


def test_momentum_moves_shells_on_which_the_halves_agree_and_leaves_noisy_ones(rng):
    start = model(RADIUS + 2)
    before = whole_sums(0.5 * DENSITY, 30.0)
    inner_cube(start.blended_numerator, RADIUS + 1)[...] = before[0]
    inner_cube(start.blended_denominator, RADIUS + 1)[...] = before[1]
    numerator, denominator = whole_sums(DENSITY, 50.0)
    shell = cube_shells(RADIUS + 1, 1)
    noisy = shell >= 5
    numerator[0, 1, noisy] = 50 * oracles.random_cube(rng, RADIUS + 1)[noisy]
    kept = numerator.copy()
    update = update_maps(start, (numerator, denominator), 1.0, RADIUS, CONSTRAINTS, 0.8)
    found = inner_cube(update.model.numerator, RADIUS + 1)
    weight = inner_cube(update.model.denominator, RADIUS + 1)
    blended = inner_cube(update.model.blended_numerator, RADIUS + 1)
    assert np.array_equal(blended, kept)
    clean = shell <= 4
    moved = kept + 0.8 * (kept - before[0])
    assert np.allclose(found[..., clean], moved[..., clean], rtol=1e-4)
    assert np.allclose(weight[..., clean], 50 + 0.8 * 20)
    of_halves = update.half_sets[0].fsc
    least = [s for s in range(5, RADIUS + 1) if of_halves[s] < 0.45]
    assert len(least) >= 3  # where two halves of nothing but noise agree by chance
    left = np.isin(shell, least)
    assert np.array_equal(found[..., left], kept[..., left])
    assert np.array_equal(weight[..., left], denominator[..., left])


def test_momentum_lets_no_weight_fall_below_a_part_of_what_it_was():
    start = model(RADIUS + 1)
    inner_cube(start.blended_denominator, RADIUS + 1)[...] = 1000.0
    update = update_maps(start, whole_sums(DENSITY, 50.0), 1.0, RADIUS, CONSTRAINTS, 0.8)
    assert np.allclose(update.model.denominator[..., cube_shells(RADIUS + 1, 1) <= RADIUS], 15.0)
    assert np.isfinite(update.model.maps).all()


EXPECTED = np.array([[0, 0], [30, -20], [-5, 8]], np.float32)  # Å, of the shifts, from the file


def learnt(
    off: list[float], *, junk: tuple[float, ...] = (0.0, 0.0, 0.0), phase="search", step_size=0.4
) -> float:
    """Return the spread of the shifts (Å) after an iteration that found some distances (Å)."""
    sums = empty_sums(groups=1)
    for half, images in enumerate(([0, 1], [2])):
        tile = tile_sums(np.random.default_rng(1), half, images=len(images))
        away = np.array([[0.6, -0.8]]) * np.array(off)[images, None]  # (B, 2), Å
        best = tile.poses.best.copy()
        best[:, BestColumn.JUNK_PROBABILITY] = np.array(junk)[images]
        poses = dataclasses.replace(
            tile.poses,
            index=np.array(images),
            centre=((EXPECTED[images] + away) / PIXEL_SIZE).astype(np.float32),
            best=best,
        )
        sums.add(ChunkSums(dataclasses.replace(tile, poses=poses)))
    sums.move_to_host(choose_backend("cpu"))
    start = dataclasses.replace(model(RADIUS + 1), sigma_offset=np.array(12.0))
    plan = SimpleNamespace(phase=phase, step_size=step_size, radius=RADIUS)
    particles = SimpleNamespace(origin_x=EXPECTED[:, 0], origin_y=EXPECTED[:, 1])
    geometry = SimpleNamespace(box_size=BOX, pixel_size=PIXEL_SIZE)
    found = update_noise_and_classes(
        SimpleNamespace(geometry=geometry, particles=particles), start, plan, sums
    )
    return float(found.sigma_offset)


def test_the_variance_of_the_shifts_moves_to_that_of_the_iteration_by_the_step_size():
    found = (20**2 + 30**2 + 40**2) / 3 / 2  # in x and in y
    assert learnt([20, 30, 40], step_size=1.0) == pytest.approx(np.sqrt(found), rel=1e-5)
    expected = np.sqrt(0.6 * 12**2 + 0.4 * found)
    assert learnt([20, 30, 40]) == pytest.approx(expected, rel=1e-5)
    assert learnt([20, 30, 40], phase="starts") == 12.0


def test_images_count_for_the_spread_of_the_shifts_as_far_as_they_show_a_particle():
    found = (20**2 + 0.5 * 30**2) / 1.5 / 2
    of_particles = learnt([20, 30, 400], junk=(0.0, 0.5, 1.0), step_size=1.0)
    assert of_particles == pytest.approx(np.sqrt(found), rel=1e-5)


def test_the_spread_of_the_shifts_is_never_less_than_before_any_is_known():
    assert learnt([0, 0, 0], step_size=1.0) == FIRST_SIGMA_OFFSET
    assert learnt([90, 90, 90], junk=(1.0, 1.0, 1.0), step_size=1.0) == FIRST_SIGMA_OFFSET
