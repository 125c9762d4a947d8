import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_ini3d.comparison.compare import MapComparison
from napari_ini3d.comparison.describe import (
    MapGrid,
    check_same_grid,
    describe_comparison,
    describe_poses,
)
from napari_ini3d.comparison.poses import PoseComparison
from napari_ini3d.comparison.register import Registration
from napari_ini3d.errors import MapError
from napari_ini3d.geometry.rigid import RigidTransform

CURVE = np.ones(5)
AS_IS = MapComparison(
    voxel_size=4.0,
    fsc_as_is=CURVE,
    fsc=CURVE,
    correlation=0.9876,
    resolution_half=12.34,
    resolution_0143=9.87,
    registration=None,
    aligned=np.zeros((8, 8, 8), np.float32),
)


def test_without_alignment_only_the_agreement_is_described():
    assert describe_comparison(AS_IS) == [
        "FSC 0.5 at 12.3 Å, 0.143 at 9.9 Å",
        "Correlation inside the mask: 0.988",
    ]


@pytest.mark.parametrize(
    ("mirrored", "hands"),
    [
        (False, "The hands agree."),
        (True, "The hands differ: the second map was mirrored."),
    ],
)
def test_an_alignment_is_described_in_degrees_and_angstrom(mirrored, hands):
    rotation = Rotation.from_rotvec([0, 0, 30], degrees=True).as_matrix()
    transform = RigidTransform(rotation, np.array([3.0, 0.0, 4.0]))
    found = dataclasses.replace(AS_IS, registration=Registration(transform, mirrored, 1.0))
    assert describe_comparison(found)[2:] == [
        "The second map was rotated by 30.0° and shifted by 20.0 Å.",
        hands,
    ]


@pytest.mark.parametrize("other", [MapGrid("b", 48, 4.0), MapGrid("b", 64, 4.1)])
def test_maps_of_another_box_or_voxel_size_are_refused_with_both(other):
    with pytest.raises(MapError, match=rf"a: 64 voxels of 4 Å and {other}"):
        check_same_grid(MapGrid("a", 64, 4.0), other)


def test_voxel_sizes_that_differ_by_less_than_a_percent_are_the_same():
    check_same_grid(MapGrid("a", 64, 4.0), MapGrid("b", 64, 4.03))


POSES = PoseComparison(
    first_index=np.arange(50),
    second_index=np.arange(50),
    n_first_only=2,
    n_second_only=7,
    symmetry="D2",
    setting="first",
    mirrored=False,
    transform=RigidTransform(
        Rotation.from_rotvec([0, 0, 30], degrees=True).as_matrix(), np.array([3.0, 0.0, 4.0])
    ),
    angle=np.ones(50),
    out_of_plane=np.ones(50),
    shift=np.ones(50),
    n_agreeing=48,
    n_other_hand=5,
    agreement=12.6,
    random_angle=83.7,
)


def test_compared_poses_are_described_with_what_was_fitted():
    assert describe_poses(POSES) == [
        "50 particles are in both files; 2 only in the first, 7 only in the second",
        "The second map was rotated by 30.0° and shifted by 5.0 Å.",
        "The hands agree: 48 of 50 particles agree within 13° (5 in the other hand).",
        "Random poses would have a median angle of 84° (D2).",
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mirrored": True}, "The hands differ, and the second set was mirrored: 48 of 50"),
        ({"n_other_hand": 40}, "The hand is not clear: 48 of 50"),
        ({"setting": "second"}, "The second set has D2 in its setting, and the first does not."),
    ],
)
def test_the_hand_and_the_setting_of_compared_poses_are_described(change, words):
    assert words in "\n".join(describe_poses(dataclasses.replace(POSES, **change)))
