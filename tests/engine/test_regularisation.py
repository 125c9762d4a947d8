import numpy as np
import oracles
import pytest

from napari_ini3d.engine.regularisation import (
    HalfSetFSC,
    RealSpaceConstraints,
    cube_shells,
    divide_by_weight,
    half_set_fsc,
    wiener_divide,
)
from napari_ini3d.fourier.masks import radius_grid
from napari_ini3d.fourier.transforms import cube_radius, gridding_profile, map_to_cube
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import make_phantom

BOX, PIXEL_SIZE, RADIUS = 32, 5.0, 10
SETTINGS = InitialModelSettings(mask_diameter=110.0)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def constraints(**changes: object) -> RealSpaceConstraints:
    return RealSpaceConstraints(SETTINGS.with_changes(**changes), BOX, PIXEL_SIZE)


def noisy_cube(padding: int = 1) -> np.ndarray:
    density = make_phantom(diameter=100, domains=3).density(BOX, PIXEL_SIZE)
    noise = np.random.default_rng(8).standard_normal(density.shape)
    return map_to_cube((density + 0.2 * density.std() * noise).astype(np.float32), RADIUS, padding)


@pytest.mark.parametrize("padding", [1, 2])
def test_agreement_is_the_fsc_over_the_whole_cubes(rng, padding):
    m = 6 * padding + 1
    first = oracles.random_cube(rng, m)
    second = first + oracles.random_cube(rng, m)
    found = half_set_fsc(first, second, padding, 17)
    a, b = oracles.full_cube(first), oracles.full_cube(second)
    k = np.arange(-m, m + 1)
    length = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + np.arange(-m - 1, m + 2) ** 2)
    for shell in range(1, 7):
        mine = np.rint(length / padding) == shell
        cross = (a[mine] * b[mine].conj()).sum().real
        power = (np.abs(a[mine]) ** 2).sum() * (np.abs(b[mine]) ** 2).sum()
        assert found.fsc[shell] == pytest.approx(cross / np.sqrt(power), abs=1e-4)
        clipped = np.clip(found.fsc[shell], 0.01, 0.999)
        assert found.ssnr[shell] == pytest.approx(2 * clipped / (1 - clipped))
    beyond = int(np.rint(np.sqrt(3) * (m + 1) / padding)) + 1
    assert (found.fsc[beyond:] == 0).all()


def test_a_cube_agrees_with_itself_and_not_with_its_negative(rng):
    cube = oracles.random_cube(rng, 7)
    assert np.allclose(half_set_fsc(cube, cube, 1, 7).fsc, 1)
    against = half_set_fsc(cube, -cube, 1, 7)
    assert np.allclose(against.fsc, -1)
    assert (against.ssnr > 0).all()


def test_the_first_shell_below_a_threshold_is_found_within_the_radius():
    fsc = np.array([0.0, 0.9, 0.8, 0.1, 0.9, 0.0])
    agreement = HalfSetFSC(fsc, fsc)
    assert agreement.first_shell_below(0.5, 5) == 3
    assert agreement.first_shell_below(0.5, 2) == 3
    assert agreement.first_shell_below(0.05, 4) == 5


def test_shells_are_rounded_lengths_in_image_frequencies():
    assert cube_shells(5, 1)[5 + 3, 5 - 4, 0] == 5
    assert cube_shells(5, 2)[5 + 3, 5 - 4, 0] == 2
    assert cube_shells(5, 1)[5, 5, 0] == 0


@pytest.mark.parametrize("padding", [1, 2])
def test_dividing_undoes_the_weights_where_there_are_any(rng, padding):
    m = 4 * padding + 1
    cube = oracles.random_cube(rng, m)
    weight = rng.uniform(0.5, 2, cube.shape).astype(np.float32)
    weight[:, :, 2] = 0
    found = divide_by_weight(cube * weight, weight, padding)
    assert np.isfinite(found).all()
    known = weight > 0
    assert np.allclose(found[known], cube[known], rtol=1e-4)
    assert (found[~known] == 0).all()


def test_a_voxel_no_slice_came_near_is_not_blown_up(rng):
    weight = np.ones((11, 11, 7), np.float32)
    weight[5, 5, 3] = 1e-9
    numerator = np.ones(weight.shape, np.complex64)
    numerator[5, 5, 3] = 1e-3
    assert np.abs(divide_by_weight(numerator, weight, 1)).max() < 1.1


def test_wieners_filter_divides_by_the_weight_and_the_shells_prior(rng):
    m = 5
    cube = oracles.random_cube(rng, m)
    weight = rng.uniform(0.5, 2, cube.shape).astype(np.float32)
    ssnr = np.array([9.0, 4, 2, 1, 0.5, 0.25])
    found = wiener_divide(cube, weight, ssnr, 1)
    shell = np.minimum(np.rint(cube_radius(m)).astype(int), len(ssnr) - 1)
    whole = np.rint(cube_radius(m)).astype(int)
    mean = np.array([weight[whole == s].mean() for s in range(whole.max() + 1)])[whole]
    assert np.allclose(found, cube / (weight + mean / ssnr[shell]), rtol=1e-4, atol=1e-5)
    assert (np.abs(found) < np.abs(cube / weight)).all()


@pytest.mark.parametrize("padding", [1, 2])
def test_flattened_solvent_is_exactly_zero(padding):
    volume = constraints(padding_factor=padding, non_negative=False).to_map(noisy_cube(padding))
    edge = 14.0 / PIXEL_SIZE
    outside = radius_grid(BOX, 3) > 11 + edge
    assert np.abs(volume[outside]).max() < 1e-6 * np.abs(volume).max()
    assert volume.min() < 0
    kept = constraints(flatten_solvent=False, non_negative=False).to_map(noisy_cube())
    assert (kept[outside] != 0).mean() > 0.9


def test_a_mask_grown_from_the_map_leaves_out_what_lies_apart_and_keeps_the_particle():
    particle = make_phantom(diameter=50, domains=3).density(BOX, PIXEL_SIZE, 10.0)
    ghost = np.zeros_like(particle)
    x = radius_grid(BOX, 3)
    far = np.roll(x, (0, 0, 11), (0, 1, 2)) < 2  # 55 Å from the centre, within the mask
    ghost[far] = particle.max()
    given = constraints(mask_diameter=130.0, gridding_correction=False)
    cube = map_to_cube(particle + ghost, RADIUS, 1)
    kept, cut = given.to_map(cube), given.to_map(cube, grow_mask=True)
    assert kept[far].mean() > 0.3 * particle.max()
    assert cut[far].max() < 0.05 * particle.max()
    inside = particle > 0.2 * particle.max()
    assert np.allclose(cut[inside], kept[inside], atol=1e-3 * particle.max())
    free = constraints(mask_diameter=130.0, gridding_correction=False, flatten_solvent=False)
    assert np.array_equal(free.to_map(cube), free.to_map(cube, grow_mask=True))


def test_a_map_that_may_not_be_negative_is_not():
    assert constraints().to_map(noisy_cube()).min() == 0
    assert constraints(flatten_solvent=False).to_map(noisy_cube()).min() == 0
    assert constraints(non_negative=False).to_map(noisy_cube()).min() < 0


def test_the_mean_of_the_solvent_is_zero_before_it_is_flattened():
    cube = noisy_cube()
    cube[RADIUS + 1, RADIUS + 1, 0] += 100
    volume = constraints(flatten_solvent=False, non_negative=False).to_map(cube)
    r = radius_grid(BOX, 3)
    solvent = (r > 11) & (r < BOX / 2 - 1)
    assert abs(volume[solvent].mean()) < 1e-4 * volume.max()


@pytest.mark.parametrize("padding", [1, 2])
def test_the_gridding_correction_divides_by_the_profile_both_ways(padding):
    free = {"flatten_solvent": False, "non_negative": False, "padding_factor": padding}
    with_it, without = constraints(**free), constraints(**free, gridding_correction=False)
    volume = make_phantom(diameter=100, domains=3).density(BOX, PIXEL_SIZE)
    profile = gridding_profile(BOX, padding)
    plain = without.to_cube(volume, RADIUS)
    assert np.allclose(plain, map_to_cube(volume, RADIUS, padding))
    assert np.allclose(with_it.to_cube(volume * profile, RADIUS), plain, atol=1e-6)
    one, other = with_it.to_map(plain), without.to_map(plain)
    difference = one * profile - other  # they differ by the solvent's mean alone
    spread = difference - difference.mean()
    assert not np.allclose(one, other, atol=1e-3 * other.max())
    assert np.abs(spread).max() < 0.05 * other.max()


def test_a_mask_wider_than_the_box_ends_three_voxels_before_its_edge():
    wide, widest = (
        constraints(mask_diameter=500.0),
        constraints(mask_diameter=(BOX - 6) * PIXEL_SIZE),
    )
    assert np.array_equal(wide.to_map(noisy_cube()), widest.to_map(noisy_cube()))
