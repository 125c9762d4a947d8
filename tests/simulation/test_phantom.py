import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_ini3d.errors import SettingsError, SymmetryError
from napari_ini3d.fourier.fsc import compute_fsc
from napari_ini3d.fourier.resample import mirror_map
from napari_ini3d.geometry.point_groups import symmetry_operators
from napari_ini3d.simulation import Phantom, make_phantom
from napari_ini3d.simulation.phantom import fourier_waves

GROUPS = ["C1", "C4", "D2", "D7", "T", "O", "I3"]


@pytest.mark.parametrize("symmetry", GROUPS)
def test_a_phantom_has_the_requested_symmetry(symmetry):
    phantom = make_phantom(symmetry, diameter=160, domain_radius=(9, 22))
    tree = cKDTree(phantom.positions)
    for operator in symmetry_operators(symmetry):
        distance, partner = tree.query(phantom.positions @ operator.T)
        assert distance.max() < 1e-6
        assert np.allclose(phantom.weights[partner], phantom.weights)


@pytest.mark.parametrize("symmetry", GROUPS[1:])
def test_copies_of_a_subunit_do_not_overlap(symmetry):
    phantom = make_phantom(symmetry, diameter=160, domain_radius=(9, 22))
    copies = phantom.positions.reshape(len(symmetry_operators(symmetry)), -1, 3)
    nearest = cKDTree(copies[1:].reshape(-1, 3)).query(copies[0])[0]
    assert (nearest < 3.0).mean() < 0.01
    assert nearest.min() > 2.0


def test_a_phantom_is_as_dense_as_protein_within_its_diameter():
    phantom = make_phantom("C1", diameter=120)
    assert 110 < phantom.diameter < 125
    assert 1000 < len(phantom.weights) < 2000
    nearest = cKDTree(phantom.positions).query(phantom.positions, 2)[0][:, 1]
    assert 3.5 < np.median(nearest) < 5.0  # C-alpha atoms are 3.8 Å apart


def test_a_hollow_phantom_is_empty_at_the_centre():
    phantom = make_phantom("I", diameter=180, inner_diameter=88, domain_radius=(9, 14))
    assert np.linalg.norm(phantom.positions, axis=1).min() > 42
    assert phantom.diameter < 182


def test_a_seed_gives_one_phantom_and_another_seed_another():
    first, again, other = (make_phantom("C2", seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.positions, again.positions)
    assert first.positions.shape != other.positions.shape or not np.allclose(
        first.positions, other.positions
    )


def test_a_phantom_differs_from_its_mirror_image():
    density = make_phantom("C1").density(48, 4.0, 10.0)
    assert compute_fsc(density, mirror_map(density))[6:18].mean() < 0.2


def test_the_density_of_one_bead_is_a_gaussian_at_its_position():
    bead = Phantom(np.array([[4.0, -2.0, 6.0]]), np.array([2.5]), 4.0, "C1")
    line = (np.arange(32) - 16) * 2.0
    x, y, z = (np.exp(-((line - c) ** 2) / 32) for c in (4.0, -2.0, 6.0))
    expected = z[:, None, None] * y[:, None] * x
    expected *= 2.5 * 8 / (2 * np.pi * 16) ** 1.5
    assert np.allclose(bead.density(32, 2.0), expected, atol=1e-5 * expected.max())


def test_density_sums_to_the_weights():
    phantom = make_phantom("C1")
    assert phantom.density(48, 4.0).sum() == pytest.approx(phantom.weights.sum(), rel=1e-4)


def test_the_density_has_no_frequencies_beyond_the_resolution():
    volume_ft = np.fft.fftn(make_phantom("C1").density(48, 4.0, 16.0))
    k = np.fft.fftfreq(48, 4.0)
    radius = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    power = np.abs(volume_ft) ** 2
    assert power[radius > 1 / 16].max() < 1e-8 * power.max()
    assert power[(radius > 0.9 / 17) & (radius < 0.95 / 16)].mean() > 1e-6 * power.max()


def test_waves_are_those_of_the_fourier_transform():
    position = np.array([3.0, -7.5])
    k = np.fft.fftfreq(8, 2.0)
    expected = np.exp(-2j * np.pi * k[:, None] * position)
    expected[4] = expected[4].real
    assert np.allclose(fourier_waves(position, 8, 2.0), expected, atol=1e-6)


def test_an_unknown_point_group_is_refused():
    with pytest.raises(SymmetryError, match="C3v"):
        make_phantom("C3v")


def test_a_phantom_without_space_for_a_domain_is_refused():
    with pytest.raises(SettingsError, match="no space for a domain"):
        make_phantom("I", diameter=60)


def test_domains_without_room_for_a_helix_are_refused():
    with pytest.raises(SettingsError, match="too small for a helix"):
        make_phantom("I", seed=2, diameter=89.28, domains=3, domain_radius=(5.0, 12.0))
