"""Coarsely sampled bodies: the axes of the grid of voxels are no evidence of a point group."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from symmetry_phantoms import known_map

from napari_ini3d.simulation import make_phantom
from napari_ini3d.symmetry import align_symmetry, detect_symmetry, validate_symmetry

VOXEL = 4.0


def whole_voxels(name, n):
    """A body about Z whose voxels are in or out."""
    z, y, x = np.mgrid[:n, :n, :n] - n // 2
    across, reach = np.hypot(x, y), 0.36 * n
    inside = {
        "ball": np.hypot(across, z) < 0.7 * reach,
        "ring": np.hypot(across - 0.75 * reach, z) < 0.22 * reach,
        "disc": (across < reach) & (np.abs(z) < 0.2 * reach),
    }
    return inside[name].astype(np.float32)


@pytest.mark.parametrize(
    ("name", "n", "fits"),
    [
        ("ball", 16, "any rotation fits"),
        ("ring", 32, "any rotation about one axis fits"),
        ("disc", 24, "any rotation about one axis fits"),
    ],
)
def test_of_a_body_of_whole_voxels_no_point_group_can_be_told(name, n, fits):
    report = detect_symmetry(whole_voxels(name, n), voxel_size=VOXEL, threads=1)
    assert report.featureless
    assert report.verdict.startswith(f"No point group can be told: {fits}")


def test_alignment_and_validation_say_of_a_ring_of_whole_voxels_what_detection_says():
    ring = whole_voxels("ring", 24)
    words = "no point group can be told: any rotation about one axis fits"
    assert align_symmetry(ring, "D4", voxel_size=VOXEL, threads=1).verdict.startswith(words)
    assert validate_symmetry(ring, "D4", voxel_size=VOXEL, threads=1).verdict.startswith(words)


def test_a_coarse_map_on_the_axes_of_its_grid_keeps_its_group():
    known = known_map("D2", box_size=32, resolution=12.0, rotated=False)
    assert detect_symmetry(known.volume, voxel_size=3.0, threads=1).group == "D2"


@pytest.mark.parametrize(("radius", "smoothing"), [(6, 1.5), (4, 0.7)])
def test_a_rod_of_whole_voxels_that_was_smoothed_has_not_the_axes_of_the_grid(radius, smoothing):
    z, y, x = np.mgrid[:36, :36, :36] - 18
    rod = ((np.hypot(x, y) < radius) & (np.abs(z) < 13)).astype(np.float32)
    report = detect_symmetry(gaussian_filter(rod, smoothing), voxel_size=VOXEL, threads=1)
    assert report.featureless
    assert report.verdict.startswith("No point group can be told: any rotation about one axis fits")
    assert not any(candidate.pseudo for candidate in report.candidates)


@pytest.mark.parametrize(("group", "seed"), [("C4", 1), ("D4", 2)])
def test_a_long_protein_on_the_axes_of_the_grid_keeps_its_group(group, seed):
    phantom = make_phantom(group, seed=seed, diameter=90.0, domains=3, domain_radius=(9, 18))
    long = replace(phantom, positions=phantom.positions * np.array([0.6, 0.6, 1.3]))
    volume = long.density(36, VOXEL, 10.0)
    assert detect_symmetry(volume, voxel_size=VOXEL, threads=1).group == group
