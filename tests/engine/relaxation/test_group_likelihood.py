"""Point groups judged by particles that the maps have not seen."""

import numpy as np
import pytest
from pseudo_particles import pseudo_particles

from napari_ini3d.engine.relaxation.folds import FixedPoses
from napari_ini3d.engine.relaxation.group_likelihood import compare_group
from napari_ini3d.geometry.point_groups import PointGroup
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import InMemorySource


def compare(given, group, **options):
    poses = FixedPoses(given.given.astype(np.float32), given.origins.astype(np.float32))
    settings = InitialModelSettings(
        mask_diameter=1.1 * given.symmetric.diameter, threads=1, device="cpu"
    )
    return compare_group(
        InMemorySource.of(given.simulated), given.simulated.particles, settings, poses,
        PointGroup.parse(group), **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def tetramer():
    return pseudo_particles("C4", {}, number=300, snr=0.1)


@pytest.mark.parametrize("group", ["C4", "C2"])
def test_imposing_a_group_that_the_particles_have_raises_their_likelihood(tetramer, group):
    found = compare(tetramer, group)
    assert found.gain.mean() > 3 * found.deviation
    assert found.control.mean() < -10 * found.deviation


@pytest.mark.parametrize("group", ["C3", "D4"])
def test_imposing_another_group_lowers_their_likelihood(tetramer, group):
    found = compare(tetramer, group)
    assert found.gain.mean() < -10 * found.deviation


def test_a_comparison_that_is_stopped_gives_nothing(tetramer):
    assert compare(tetramer, "C4", stop=lambda: True) is None
