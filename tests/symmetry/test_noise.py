import numpy as np
import pytest

from napari_ini3d.errors import MapError
from napari_ini3d.fourier.fsc import compute_fsc
from napari_ini3d.fourier.masks import soft_mask
from napari_ini3d.fourier.shells import shell_sum
from napari_ini3d.simulation import make_phantom
from napari_ini3d.symmetry.align import align_symmetry
from napari_ini3d.symmetry.detect import detect_symmetry
from napari_ini3d.symmetry.noise import share_from_halves, share_of_halves, signal_share

N, VOXEL_SIZE, RADIUS = 48, 4.0, 14.0
PHANTOM = make_phantom("C1", seed=2, diameter=100, domains=3).density(N, VOXEL_SIZE, 9.0)


def noise(strength: float, seed: int) -> np.ndarray:
    """Return noise, stronger at low frequency, of a strength relative to the phantom."""
    rng = np.random.default_rng(seed)
    k = np.fft.rfftfreq(N)
    whole = np.fft.fftfreq(N)
    length = np.sqrt(whole[:, None, None] ** 2 + whole[:, None] ** 2 + k**2)
    coloured = np.fft.irfftn(
        np.fft.rfftn(rng.standard_normal((N, N, N))) / (length + 0.2), s=(N,) * 3
    )
    return strength * PHANTOM.std() / coloured.std() * coloured


@pytest.mark.parametrize("strength", [0.5, 1.5])
def test_the_share_is_the_fsc_of_two_maps_with_independent_noise(strength):
    mask = soft_mask(N, RADIUS, 3.0, 3)
    curves, shares = [], []
    for seed in range(6):
        first, second = (PHANTOM + noise(strength, 2 * seed + i) for i in range(2))
        curves.append(compute_fsc(first * mask, second * mask))
        shares.append(signal_share(first, RADIUS))
    apart = np.mean(shares, axis=0) - np.mean(curves, axis=0)
    assert np.abs(apart[4:19]).max() < 0.12
    assert abs(apart[4:19].mean()) < 0.03
    assert np.mean(curves, axis=0)[4:19].min() < 0.9


def test_without_noise_all_is_signal_where_the_map_has_power():
    share = signal_share(PHANTOM * soft_mask(N, RADIUS, 1.0, 3), RADIUS)
    assert share[:20].min() > 0.999


def test_noise_alone_holds_no_signal():
    share = signal_share(noise(1.0, 3), RADIUS)
    assert share[5:].mean() < 0.1


def test_shells_without_power_are_no_signal():
    k = np.fft.fftfreq(N, 1 / N)
    length = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    envelope = np.exp(-((length / 4) ** 2) / 2)
    smooth = np.fft.fftshift(np.fft.ifftn(envelope).real)  # 1e-8 of the power at shell 17
    share = signal_share(smooth, RADIUS)
    assert share[:12].min() > 0.999
    assert (share[17:] == 0).all()


def test_a_constant_level_is_no_noise():
    masked = PHANTOM * soft_mask(N, RADIUS, 1.0, 3)
    level = 0.5 * masked.max()
    assert signal_share(masked + level, RADIUS)[2:18].min() > 0.99


def test_the_sphere_may_lie_anywhere():
    moved = np.roll(PHANTOM, (3, -2, 5), axis=(0, 1, 2)) + noise(1.0, 4)
    followed, left = (
        signal_share(moved, RADIUS, c)[4:16].mean() for c in ((5, -2, 3), (-12, 9, 0))
    )
    assert followed > left + 0.2


def test_where_no_solvent_is_left_all_counts_as_signal():
    share = signal_share(PHANTOM + noise(1.0, 5), 0.9 * N)
    assert (share == 1).all()


def test_share_of_two_halves_is_that_of_their_mean():
    assert np.allclose(share_from_halves(np.array([1, 1 / 3, 0, -0.2])), [1, 0.5, 0, 0])


def test_half_maps_tell_the_noise_of_a_map_whose_solvent_is_flat():
    mask = soft_mask(N, RADIUS + 2, 3, 3)
    halves = [(PHANTOM + noise(2.0, seed)) * mask for seed in (1, 2)]
    volume = (halves[0] + halves[1]) / 2
    found = share_of_halves((halves[0], halves[1]), RADIUS)
    assert signal_share(volume, RADIUS)[2:16].mean() > 0.99
    power = [shell_sum(np.abs(np.fft.rfftn(x)) ** 2)[2:16] for x in (PHANTOM * mask, volume)]
    truth = power[0] / power[1]
    assert found[2:16].mean() == pytest.approx(truth.mean(), abs=0.1)


def test_half_maps_of_another_box_are_refused():
    halves = (PHANTOM[:40, :40, :40], PHANTOM[:40, :40, :40])
    with pytest.raises(MapError, match="resample them to one box"):
        detect_symmetry(PHANTOM, voxel_size=VOXEL_SIZE, half_maps=halves)


def test_alignment_takes_the_noise_from_the_half_maps_as_detection_does():
    symmetric = make_phantom("D2", seed=2, diameter=100, domains=3).density(N, VOXEL_SIZE, 9.0)
    mask = soft_mask(N, RADIUS + 2, 3, 3)  # the solvent is flat: it tells nothing
    halves = [(symmetric + noise(2.0, seed)) * mask for seed in (1, 2)]
    volume = (halves[0] + halves[1]) / 2
    given = {"voxel_size": VOXEL_SIZE, "half_maps": (halves[0], halves[1]), "threads": 1}
    detected = next(one for one in detect_symmetry(volume, **given).candidates if one.group == "D2")
    aligned = align_symmetry(volume, "D2", **given)
    without = align_symmetry(volume, "D2", voxel_size=VOXEL_SIZE, threads=1)
    assert (aligned.holds, aligned.verdict) == (detected.holds, detected.verdict)
    assert without.verdict != aligned.verdict
