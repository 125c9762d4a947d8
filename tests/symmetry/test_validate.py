from dataclasses import replace

import numpy as np
import pytest

from napari_ini3d.errors import MapError, SettingsError, SymmetryError
from napari_ini3d.fourier.fsc import compute_fsc
from napari_ini3d.fourier.masks import soft_mask
from napari_ini3d.fourier.resample import rotate_map
from napari_ini3d.geometry.point_groups import Axis, symmetry_axes, symmetry_operators
from napari_ini3d.simulation import make_phantom
from napari_ini3d.symmetry.local_correlation import correlate_locally
from napari_ini3d.symmetry.validate import (
    expected_of_mean,
    rotations_to_half_circle,
    validate_symmetry,
)

N, VOXEL_SIZE, RESOLUTION = 48, 4.0, 10.0
SMALL = np.random.default_rng(0).standard_normal((16, 16, 16))


def make_map(group: str, *, noise: float = 0.0, seed: int = 1, heavier: float = 0.0) -> np.ndarray:
    """Return a phantom on its axes; one subunit may weigh more than the others."""
    phantom = make_phantom(group, seed=seed, diameter=110, domains=3, domain_radius=(9.0, 18.0))
    weights = phantom.weights.copy()
    weights[: len(weights) // len(symmetry_operators(group))] *= 1 + heavier
    density = replace(phantom, weights=weights).density(N, VOXEL_SIZE, RESOLUTION)
    rng = np.random.default_rng(seed)
    return density + noise * density.std() * rng.standard_normal(density.shape)


def validate(volume: np.ndarray, group: str, **options):
    return validate_symmetry(volume, group, voxel_size=VOXEL_SIZE, **options)


@pytest.mark.parametrize("group", ["C3", "D2", "O"])
def test_a_perfectly_symmetric_map_holds_to_its_own_resolution(group):
    validation = validate(make_map(group), group)
    assert validation.holds
    assert validation.limited_by_noise
    assert validation.resolution < 1.1 * RESOLUTION
    assert validation.agreement > 0.99
    assert validation.correlation > 0.9999
    assert np.abs(validation.difference).max() < 0.01 * validation.imposed.max()
    known = f"{validation.resolution:.1f} Å (FSC of the symmetry copies)"
    assert validation.verdict == f"{group} holds to {known}"


@pytest.mark.parametrize("group", ["C4", "D2", "D7"])
@pytest.mark.parametrize("noise", [0.7, 2.0])
def test_a_noisy_symmetric_map_still_holds(group, noise):
    validation = validate(make_map(group, noise=noise), group)
    assert validation.holds
    assert validation.limited_by_noise
    trusted = slice(3, int(N * VOXEL_SIZE / RESOLUTION))
    apart = validation.copies_fsc[trusted] - validation.expected_fsc[trusted]
    assert np.abs(apart).max() < 0.15
    assert validation.copies_fsc[trusted].min() < 0.9


def test_noise_is_measured_from_half_maps():
    truth = make_map("D2")
    rng = np.random.default_rng(0)
    halves = tuple(truth + 2 * truth.std() * rng.standard_normal(truth.shape) for _ in range(2))
    validation = validate((halves[0] + halves[1]) / 2, "D2", half_maps=halves)
    assert validation.holds
    assert np.abs(validation.copies_fsc - validation.expected_fsc)[3:18].max() < 0.15


@pytest.mark.parametrize("group", ["C4", "D2"])
def test_subunits_that_differ_are_pseudo_symmetry(group):
    validation = validate(make_map(group, noise=0.3, heavier=1.5), group)
    assert not validation.holds
    assert 0.7 < validation.agreement < 0.9
    assert validation.verdict.startswith(f"{group} is pseudo-symmetry (no subgroup holds)")
    assert validation.pseudo.difference == pytest.approx(1 - 1 / 2.5, abs=0.1)
    assert 15 < validation.pseudo.resolution < 60


def test_subunits_that_differ_in_detail_agree_up_to_a_resolution():
    volume = make_map("D2")
    other = make_map("D2", seed=5)[::-1]  # asymmetric detail, finer than 20 Å only
    k = np.fft.fftfreq(N, VOXEL_SIZE)
    length = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    detail = np.fft.ifftn(np.fft.fftn(np.roll(other, 4, axis=2)) * (length > 1 / 20)).real
    validation = validate(volume + 0.6 * volume.std() / detail.std() * detail, "D2", diameter=130)
    assert not validation.limited_by_noise
    assert 18 < validation.resolution < 25


def test_an_extra_domain_in_one_subunit_is_pseudo_symmetry():
    line = (np.arange(N) - N // 2) * VOXEL_SIZE
    x, y, z = (np.exp(-((line - c) ** 2) / 2 / 8.0**2) for c in (30.0, 25.0, 10.0))
    domain = z[:, None, None] * y[:, None] * x
    volume = make_map("C4", noise=0.2)
    validation = validate(volume + 1.5 * volume.max() * domain, "C4")
    assert not validation.holds
    assert validation.verdict.startswith("C4 is pseudo-symmetry (no subgroup holds)")
    assert validation.agreement > 0.9  # the domain is smooth: in detail the subunits are alike
    peak = np.unravel_index(validation.difference.argmax(), validation.difference.shape)
    assert np.abs((np.array(peak[::-1]) - N // 2) * VOXEL_SIZE - (30, 25, 10)).max() < 8


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_map_without_symmetry_does_not_hold(seed):
    validation = validate(make_map("C1", noise=0.3, seed=seed), "D2")
    assert not validation.holds
    assert validation.agreement < 0.5
    assert validation.verdict.startswith("D2 does not hold")


def test_a_group_whose_subgroup_alone_holds_does_not_hold():
    validation = validate(make_map("C2", noise=0.3), "D2")
    scores = {axis.direction: axis.score for axis in validation.axes}
    assert not validation.holds
    assert scores.pop((0.0, 0.0, 1.0)) > 0.9
    assert max(scores.values()) < 0.5
    assert not validate(make_map("C2", noise=0.3), "C4").holds  # half its rotations fit


def test_axes_come_with_the_correlation_of_the_rotated_map():
    volume = make_map("C2", noise=0.5)
    validation = validate(volume, "C2", diameter=130)
    mask = soft_mask(N, 130 / VOXEL_SIZE / 2, 3.0, 3)
    curve = compute_fsc(volume * mask, rotate_map(volume, symmetry_operators("C2")[1]) * mask)
    assert [axis.order for axis in validation.axes] == [2]
    assert curve[2:20].min() - 0.01 < validation.axes[0].score < curve[2:20].max()
    assert np.allclose(validation.copies_fsc, curve, atol=1e-4)  # one other copy


def test_copies_are_the_mean_of_the_others_alone():
    volume = make_map("C1", noise=0.3)
    validation = validate(volume, "C4", diameter=130)
    mask = soft_mask(N, 130 / VOXEL_SIZE / 2, 3.0, 3)
    others = np.mean(
        [rotate_map(volume, rotation) for rotation in symmetry_operators("C4")[1:]], axis=0
    )
    assert np.allclose(validation.copies_fsc, compute_fsc(volume * mask, others * mask), atol=1e-4)
    assert np.allclose(validation.fsc, compute_fsc(volume * mask, validation.imposed * mask))
    assert np.allclose(validation.difference, volume - validation.imposed, atol=1e-6)


def test_noise_in_the_map_itself_makes_the_imposed_map_look_better_than_the_copies():
    validation = validate(make_map("D2", noise=2.0), "D2")
    assert validation.fsc[20:].mean() > 0.35
    assert abs(validation.copies_fsc[20:].mean()) < 0.1


@pytest.mark.parametrize("order", [2, 5])
def test_expected_fsc_is_that_of_a_signal_in_noise(order):
    rng = np.random.default_rng(0)
    signal, noise = rng.standard_normal(200_000), rng.standard_normal((order, 200_000))
    copies = np.sqrt(0.3) * signal + np.sqrt(0.7) * noise
    measured = np.corrcoef(copies[0], copies[1:].mean(axis=0))[0, 1]
    assert expected_of_mean(np.array([0.3]), order)[0] == pytest.approx(measured, abs=0.01)
    assert expected_of_mean(np.array([0.0, 1.0]), order).tolist() == [0, 1]


@pytest.mark.parametrize("group", ["C5", "D4", "I"])
def test_rotations_to_half_circle_and_their_inverses_are_all_operators(group):
    rotations = [
        rotation for axis in symmetry_axes(group) for rotation in rotations_to_half_circle(axis)
    ]
    both = np.array([*rotations, *(rotation.T for rotation in rotations)])
    operators = symmetry_operators(group)[1:]
    apart = np.abs(both[:, None] - operators).max(axis=(2, 3))
    assert apart.min(axis=0).max() < 1e-9
    assert apart.min(axis=1).max() < 1e-9
    assert len(rotations_to_half_circle(Axis(4, (0.0, 0.0, 1.0)))) == 2


def test_local_correlation_is_low_where_maps_differ():
    rng = np.random.default_rng(0)
    first = rng.standard_normal((32, 32, 32))
    second = first.copy()
    second[:, :, 16:] = rng.standard_normal((32, 32, 16))
    found = correlate_locally(first, second, 2.0)
    assert found[:, :, 8].min() > 0.999
    assert np.abs(found[:, :, 24]).mean() < 0.2


def test_local_correlation_is_that_within_the_window():
    rng = np.random.default_rng(1)
    first = rng.standard_normal((24, 24, 24))
    second = first + rng.standard_normal((24, 24, 24))
    line = np.arange(24) - 12
    window = np.exp(-(line**2) / 2 / 3.0**2) * (np.abs(line) <= 9)
    weight = window[:, None, None] * window[:, None] * window
    weight /= weight.sum()
    a, b = (x - (weight * x).sum() for x in (first, second))
    expected = (weight * a * b).sum() / np.sqrt((weight * a**2).sum() * (weight * b**2).sum())
    assert correlate_locally(first, second, 4.0)[12, 12, 12] == pytest.approx(expected, abs=1e-6)


def test_flat_parts_have_no_local_correlation():
    volume = np.zeros((32, 32, 32))
    volume[14:18, 14:18, 14:18] = np.random.default_rng(0).standard_normal((4, 4, 4))
    found = correlate_locally(volume, volume, 3.0)
    assert found[16, 16, 16] == pytest.approx(1)
    assert found[2, 2, 2] == 0


def test_local_correlation_ends_with_the_sphere():
    validation = validate(make_map("D2", noise=0.5), "D2", diameter=120)
    radius = np.sqrt(((np.indices((N, N, N)) - N // 2) ** 2).sum(axis=0))
    assert (validation.local_correlation[radius > 19] == 0).all()
    assert np.median(validation.local_correlation[radius < 12]) > 0.8


def test_every_map_has_no_symmetry_at_least():
    validation = validate(make_map("C1"), "C1")
    assert validation.holds
    assert validation.axes == ()
    assert np.allclose(validation.difference, 0)


@pytest.mark.parametrize("constant", [100.0, -40.0])
def test_a_constant_that_was_added_to_a_map_changes_nothing_but_the_imposed_map(constant):
    volume = make_map("C1")
    constant *= float(volume.std())
    expected, found = validate(volume, "C4"), validate(volume + np.float32(constant), "C4")
    assert found.verdict == expected.verdict
    np.testing.assert_allclose(found.copies_fsc, expected.copies_fsc, atol=0.01)
    assert found.correlation == pytest.approx(expected.correlation, abs=0.01)
    scale = float(np.abs(volume).max())
    np.testing.assert_allclose(found.imposed - constant, expected.imposed, atol=1e-3 * scale)


@pytest.mark.parametrize("factor", [2.0**-80, 2.0**80])
def test_the_scale_of_a_map_changes_nothing_but_the_imposed_map(factor):
    volume = make_map("C2", noise=0.5).astype(np.float32)
    expected, found = validate(volume, "C2"), validate(volume * np.float32(factor), "C2")
    assert found.verdict == expected.verdict
    np.testing.assert_array_equal(found.copies_fsc, expected.copies_fsc)
    np.testing.assert_array_equal(found.imposed / np.float32(factor), expected.imposed)


def test_frequencies_belong_to_the_shells():
    validation = validate(make_map("C2"), "C2")
    assert validation.frequency[-1] == pytest.approx(1 / (2 * VOXEL_SIZE))
    assert len(validation.frequency) == len(validation.fsc) == N // 2 + 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"voxel_size": 0.0}, SettingsError, "voxel size is 0"),
        ({"voxel_size": np.nan}, SettingsError, "voxel size is nan"),
        ({"diameter": -1.0}, SettingsError, "diameter is -1"),
        ({"diameter": np.nan}, SettingsError, "diameter is nan"),
        ({"diameter": 1000.0}, SettingsError, "between 0 and the box"),
        ({"half_maps": (np.ones((N, N, N)), np.ones((N, N, N)))}, MapError, "constant"),
        ({"half_maps": (SMALL, SMALL)}, MapError, "half-maps have the shape"),
        ({"group": "D2h"}, SymmetryError, "mirror"),
        ({"volume": np.zeros((N, N, N))}, MapError, "every voxel is 0"),
        ({"volume": np.zeros((N, N, 4))}, MapError, "expected a cube"),
        ({"volume": np.zeros((17, 17, 17))}, MapError, "odd box"),
        ({"volume": np.full((16, 16, 16), np.inf)}, MapError, "NaN or infinite"),
    ],
)
def test_maps_that_cannot_be_validated_are_refused(options, error, message):
    given = {"volume": make_map("C2"), "group": "C2", "voxel_size": VOXEL_SIZE, **options}
    with pytest.raises(error, match=message):
        validate_symmetry(given.pop("volume"), given.pop("group"), **given)
