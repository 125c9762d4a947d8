import numpy as np
import pytest

from napari_ini3d.errors import SettingsError
from napari_ini3d.optics.ctf import CtfParameters, compute_ctf, electron_wavelength


def parameters(**changes: object) -> CtfParameters:
    values = {
        "voltage": 300.0,
        "spherical_aberration": 2.7,
        "amplitude_contrast": 0.1,
        "defocus_u": np.array([15000.0]),
        "defocus_v": np.array([15000.0]),
        "defocus_angle": np.array([0.0]),
        "phase_shift": np.array([0.0]),
    }
    return CtfParameters(**{**values, **changes})


def slow_ctf(p: CtfParameters, i: int, x: float, y: float) -> float:
    """The formula as it stands in the module's docstring, one frequency at a time."""
    wavelength, s = electron_wavelength(p.voltage), np.hypot(x, y)
    angle = np.arctan2(y, x) - np.deg2rad(p.defocus_angle[i])
    mean, half = (p.defocus_u + p.defocus_v)[i] / 2, (p.defocus_u - p.defocus_v)[i] / 2
    defocus = mean + half * np.cos(2 * angle)
    phase = np.pi * wavelength * defocus * s**2
    phase -= np.pi / 2 * p.spherical_aberration * 1e7 * wavelength**3 * s**4
    phase += np.deg2rad(p.phase_shift[i]) + np.arcsin(p.amplitude_contrast)
    return float(np.sin(phase))


@pytest.mark.parametrize(
    ("voltage", "wavelength"), [(100, 0.037014), (200, 0.025079), (300, 0.019687)]
)
def test_wavelengths_are_those_of_the_tables(voltage, wavelength):
    assert electron_wavelength(voltage) == pytest.approx(wavelength, abs=2e-6)


@pytest.mark.parametrize("voltage", [300_000.0, 0.0, -300.0, np.nan])
def test_a_voltage_that_is_not_in_kilovolts_is_refused(voltage):
    with pytest.raises(SettingsError, match="kV"):
        electron_wavelength(voltage)


def test_the_ctf_follows_the_formula():
    rng = np.random.default_rng(0)
    p = parameters(
        defocus_u=rng.uniform(8000, 24000, 4),
        defocus_v=rng.uniform(8000, 24000, 4),
        defocus_angle=rng.uniform(0, 180, 4),
        phase_shift=rng.uniform(0, 120, 4),
        voltage=200.0,
    )
    x, y = rng.uniform(-0.2, 0.2, (2, 50))
    expected = [[slow_ctf(p, i, a, b) for a, b in zip(x, y, strict=True)] for i in range(4)]
    found = compute_ctf(p, x, y)
    assert found.dtype == np.float32
    assert np.allclose(found, expected, atol=1e-5)


def test_the_ctf_begins_at_the_amplitude_contrast_and_is_positive():
    low = compute_ctf(parameters(), np.array([0.0, 0.005, 0.02]), np.zeros(3))[0]
    assert low[0] == pytest.approx(0.1, abs=1e-6)
    assert (np.diff(low) > 0).all()


def test_frequencies_broadcast_to_the_grid_of_an_image():
    ctf = compute_ctf(
        parameters(), np.linspace(0, 0.1, 5)[None], np.linspace(-0.1, 0.1, 8)[:, None]
    )
    assert ctf.shape == (1, 8, 5)


def test_defocus_u_acts_along_the_defocus_angle():
    p = parameters(defocus_v=np.array([9000.0]), defocus_angle=np.array([90.0]))
    along = compute_ctf(p, np.zeros(9), np.linspace(0, 0.1, 9))
    round_u = compute_ctf(parameters(), np.zeros(9), np.linspace(0, 0.1, 9))
    assert np.allclose(along, round_u, atol=1e-5)


def test_the_first_peak_can_be_ignored():
    s = np.linspace(0, 0.2, 400)
    plain = compute_ctf(parameters(), s, np.zeros_like(s))[0]
    flat = compute_ctf(parameters(), s, np.zeros_like(s), ignore_first_peak=True)[0]
    peak = int(np.argmax(np.diff(plain) < 0))
    assert plain[peak] > 0.999
    assert (flat[:peak] == 1).all()
    assert np.array_equal(flat[peak + 1 :], plain[peak + 1 :])
    assert (flat < 0).any()
