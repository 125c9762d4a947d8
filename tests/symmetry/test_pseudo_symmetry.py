"""Maps that nearly have a point group, and maps with every one."""

from functools import cache

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_ini3d.symmetry import detect_symmetry

N, VOXEL = 64, 5.1


def blob(place, spread=8.0):
    """A Gaussian at (x, y, z) and of a standard deviation in Å, (z, y, x)."""
    z, y, x = (np.mgrid[:N, :N, :N] - N // 2) * VOXEL
    square = (x - place[0]) ** 2 + (y - place[1]) ** 2 + (z - place[2]) ** 2
    return np.exp(-square / (2 * spread**2))


def four_subunits():
    """C4, nearly D4: each subunit has blobs above and below the plane, and one more above."""
    heights = (-1, 0, 1, 1.7)
    places = [
        (40 * np.cos(a) - 9 * np.sin(a) * k, 40 * np.sin(a) + 9 * np.cos(a) * k, 14 * k)
        for a in np.arange(4) * np.pi / 2
        for k in heights
    ]
    return gaussian_filter(sum(blob(place) for place in places), 1).astype(np.float32)


def test_a_ring_of_four_that_is_nearly_d4_is_c4():
    report = detect_symmetry(four_subunits(), voxel_size=VOXEL)
    assert report.group == "C4"
    assert "D4 is pseudo-symmetry (only C4 holds): it breaks at" in report.verdict
    assert "copies rotated by 180° about a 2-fold axis differ in density" in report.verdict


def test_a_ring_of_four_with_two_larger_subunits_is_c2():
    pair = (blob((48, 14, 20)) + blob((-48, -14, 20))).astype(np.float32)
    report = detect_symmetry(four_subunits() + 0.6 * pair, voxel_size=VOXEL)
    assert report.group == "C2"
    assert "C4 is pseudo-symmetry (only C2 holds): it breaks at" in report.verdict
    assert "copies rotated by 90° about a 4-fold axis differ in density" in report.verdict


@pytest.mark.parametrize("inner", [0.0, 45.0])
def test_of_a_ball_or_a_shell_no_point_group_can_be_told(inner):
    radius = np.linalg.norm(np.mgrid[:N, :N, :N] - N // 2, axis=0) * VOXEL
    data = gaussian_filter(((radius < 70) & (radius >= inner)).astype(np.float32), 1)
    report = detect_symmetry(data, voxel_size=VOXEL)
    assert report.group == "C1"
    assert not any(candidate.holds for candidate in report.candidates)
    assert report.verdict == "No point group can be told: any rotation fits."


def soft(distance):
    """Density of a body, from the distance (Å) to its surface, negative inside."""
    return 1 / (1 + np.exp(distance / 4.0))


def body(name):
    """A rod, disc or ring about an axis that is none of the box."""
    along = np.array([0.36, 0.48, 0.8])
    place = np.stack(np.mgrid[:N, :N, :N][::-1] - N // 2, -1) * VOXEL  # (x, y, z)
    height = place @ along
    radius = np.sqrt(np.maximum((place**2).sum(-1) - height**2, 0))
    shapes = {
        "rod": soft(radius - 25) * soft(abs(height) - 80),
        "disc": soft(radius - 80) * soft(abs(height) - 22),
        "ring": soft(np.hypot(radius - 70, height) - 22),
    }
    return shapes[name]


@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize("name", ["rod", "disc", "ring"])
def test_of_a_rod_a_disc_or_a_ring_no_point_group_can_be_told(name, noise):
    data = body(name) + noise * np.random.default_rng(1).normal(size=(N,) * 3)
    report = detect_symmetry(data.astype(np.float32), voxel_size=VOXEL)
    assert report.group == "C1"
    assert report.verdict.startswith(
        "No point group can be told: any rotation about one axis fits; "
    )


@pytest.mark.parametrize(("name", "order"), [("ring", 7), ("disc", 4), ("rod", 3), ("rod", 2)])
def test_bodies_with_a_few_bumps_around_their_axis_have_that_group(name, order):
    data = body(name)
    along, across = np.array([0.36, 0.48, 0.8]), np.array([0.8, -0.6, 0.0])
    third = np.cross(along, across)
    radius = {"ring": 70, "disc": 75, "rod": 28}[name]
    for angle in 2 * np.pi * np.arange(order) / order:
        at = radius * (across * np.cos(angle) + third * np.sin(angle)) + 25 * along
        data = data + 0.7 * blob(at, 10.0)
    assert detect_symmetry(data.astype(np.float32), voxel_size=VOXEL).group == f"C{order}"


@cache
def verdict_of_four_subunits() -> str:
    return detect_symmetry(four_subunits(), voxel_size=VOXEL).verdict


@pytest.mark.parametrize(("scale", "added"), [(50.0, 100.0), (-3.0, 20.0)])
def test_sign_and_background_of_a_map_do_not_matter(scale, added):
    report = detect_symmetry(scale * four_subunits() + added, voxel_size=VOXEL)
    assert report.verdict == verdict_of_four_subunits()
