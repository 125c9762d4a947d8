import numpy as np
import pytest
from symmetry_phantoms import VOXEL, axis_error, known_map

from napari_ini3d.errors import MapError, SettingsError
from napari_ini3d.geometry.point_groups import PointGroup
from napari_ini3d.symmetry.detect import detect_symmetry


def detect(known, **options):
    return detect_symmetry(known.volume, voxel_size=VOXEL, **options)


@pytest.mark.parametrize(
    ("group", "noise"),
    [("C1", 0.0), ("C4", 0.0), ("T", 0.0)]
    + [(group, 1.0) for group in ("C1", "C2", "C12", "D2", "D7", "T", "O", "I")],
)
def test_the_group_of_a_phantom_is_found(group, noise):
    report = detect(known_map(group, noise=noise))
    assert report.group == group
    assert report.candidates[0].holds == (group != "C1")


@pytest.mark.parametrize("group", ["C4", "T"])
def test_the_group_is_found_at_20_angstrom(group):
    assert detect(known_map(group, resolution=20.0, box_size=64)).group == group


def test_signal_that_ends_at_a_shell_is_not_taken_for_signal_beyond_it():
    """A mask with a sharp edge did so; copies then seemed to differ by more than noise."""
    assert detect(known_map("D10", seed=3, resolution=20.0, box_size=64, noise=1.0)).group == "D10"


def test_axes_and_centre_are_where_the_phantom_has_them():
    known = known_map("D3", noise=0.5)
    best = detect(known).candidates[0]
    assert axis_error("D3", best.rotation.T, known.rotation) < 0.3
    np.testing.assert_allclose(np.array(best.centre) / VOXEL, known.centre, atol=0.25)
    assert sorted(axis.order for axis in best.axes) == [2, 2, 2, 3]
    three = next(axis for axis in best.axes if axis.order == 3)
    assert abs(np.dot(three.direction, known.rotation[:, 2])) > 0.9999


def test_chains_that_differ_a_little_end_the_symmetry_before_the_noise_does():
    report = detect(known_map("D2", twist=10.0, noise=0.12))
    assert report.group == "D2"
    assert "at finer detail the copies differ by more than noise" in report.verdict
    assert "differ" not in detect(known_map("D2", noise=0.12)).verdict


def flatten(volume):
    """Return a map without noise in its solvent, as reconstructions are."""
    radius = np.linalg.norm(np.indices(volume.shape) - len(volume) // 2, axis=0)
    return np.where(radius < 0.31 * len(volume), volume, 0).astype(np.float32)


def test_a_flat_solvent_is_reported_as_unknown_noise():
    volume = known_map("D2", twist=10.0).volume
    flat = np.where(volume > 0.02 * volume.max(), volume, 0)
    report = detect_symmetry(flat, voxel_size=VOXEL)
    assert report.group == "D2"
    assert "the solvent is flat" in report.verdict


def test_noise_inside_a_flat_solvent_does_not_hide_the_group():
    """As the engine leaves it: noise that grows with frequency, none outside the particle."""
    known = known_map("D3", rotated=False)
    rng = np.random.default_rng(1)
    noise_ft = np.fft.rfftn(rng.normal(size=known.volume.shape))
    frequency = np.sqrt(sum(f**2 for f in np.meshgrid(
        np.fft.fftfreq(48), np.fft.fftfreq(48), np.fft.rfftfreq(48), indexing="ij")))  # fmt: skip
    power = np.abs(np.fft.rfftn(known.volume))
    noise = np.fft.irfftn(noise_ft / np.abs(noise_ft) * power * (frequency / 0.25) ** 2)
    report = detect_symmetry(flatten(known.volume + noise), voxel_size=VOXEL)
    assert report.group == "D3"
    assert report.candidates[0].score < 0.85


@pytest.mark.parametrize(
    ("group", "difference"), [("D2", {"twist": 15.0}), ("C4", {"change": -0.7})]
)
def test_pseudo_symmetry_is_reported_with_its_resolution(group, difference):
    report = detect(known_map(group, **difference))
    assert report.group == "C1"
    nearest = next(c for c in report.candidates if c.group == group)
    assert not nearest.holds
    assert 0.7 <= nearest.score < 0.85
    assert nearest.verdict.startswith(f"{group} is pseudo-symmetry (no subgroup holds): it breaks")
    assert nearest.verdict in report.verdict
    assert nearest.pseudo.subgroup == "C1"
    assert 5 < nearest.pseudo.resolution < 40


def test_a_map_without_symmetry_is_said_to_be_c1():
    report = detect(known_map("C1", noise=0.5))
    assert report.verdict.startswith("No symmetry found: C1")
    assert all(not candidate.holds for candidate in report.candidates)


def test_candidates_come_best_first():
    candidates = detect(known_map("D3")).candidates
    assert candidates[0].group == "D3"
    held = [c.holds for c in candidates]
    assert held == sorted(held, reverse=True)
    sizes = [PointGroup.parse(c.group).order for c in candidates if c.holds]
    assert sizes == sorted(sizes, reverse=True)


def test_the_self_rotation_function_peaks_on_the_axes():
    known = known_map("C4", noise=0.3)
    function = detect(known).self_rotation
    values = function.values[function.orders.index(4)]
    best = function.directions[values.argmax()]
    assert abs(best @ known.rotation[:, 2]) > np.cos(np.deg2rad(4))


def test_finding_the_group_twice_gives_the_same_bits():
    known = known_map("D2", noise=1.0)
    first, second = detect(known), detect(known)
    for one, other in zip(first.candidates, second.candidates, strict=True):
        assert one.group == other.group
        assert one.score == other.score
        np.testing.assert_array_equal(one.rotation, other.rotation)
    np.testing.assert_array_equal(first.self_rotation.values, second.self_rotation.values)


def test_two_threads_give_the_same_bits_as_one():
    known = known_map("D2", noise=1.0)
    one, two = (detect(known, threads=threads) for threads in (1, 2))
    assert len(one.candidates) == len(two.candidates)
    for first, second in zip(one.candidates, two.candidates, strict=True):
        assert first.group == second.group
        assert first.score == second.score
        np.testing.assert_array_equal(first.rotation, second.rotation)
        np.testing.assert_array_equal(first.fsc, second.fsc)
    np.testing.assert_array_equal(one.self_rotation.values, two.self_rotation.values)


def test_detail_beyond_the_resolution_asked_for_is_ignored():
    best = detect(known_map("D2"), resolution=15.0).candidates[0]
    assert best.group == "D2"
    finest = np.flatnonzero(best.fsc)[-1]
    assert 48 * VOXEL / finest > 14.0


@pytest.mark.parametrize(
    ("volume", "words"),
    [
        (np.zeros((48, 48)), "expected a cube"),
        (np.zeros((48, 48, 32)), "48 x 48 x 32 voxels; expected a cube"),
        (np.zeros((47, 47, 47)), "odd box"),
        (np.zeros((8, 8, 8)), "at least 16"),
        (np.zeros((16, 16, 16)), "every voxel is 0"),
        (np.full((16, 16, 16), np.nan), "NaN or infinite"),
        (np.zeros((16, 16, 16), complex), "complex"),
    ],
)
def test_a_map_that_cannot_be_searched_is_refused(volume, words):
    with pytest.raises(MapError, match=words):
        detect_symmetry(volume, voxel_size=VOXEL)


@pytest.mark.parametrize(("voxel_size", "resolution"), [(0.0, None), (np.nan, None), (3.0, -1.0)])
def test_sizes_that_cannot_be_true_are_refused(voxel_size, resolution):
    volume = np.random.default_rng(1).normal(size=(16, 16, 16))
    with pytest.raises(SettingsError, match="must be positive"):
        detect_symmetry(volume, voxel_size=voxel_size, resolution=resolution)


def test_a_map_at_the_border_is_warned_of():
    known = known_map("D2", rotated=False)
    volume = np.roll(known.volume, 14, axis=0)
    (warning,) = detect_symmetry(volume, voxel_size=VOXEL).warnings
    assert "border" in warning
