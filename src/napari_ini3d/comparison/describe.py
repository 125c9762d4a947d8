"""Describe the comparison of two maps or sets of poses in words; check that boxes are the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_ini3d.comparison.compare import MapComparison
from napari_ini3d.comparison.poses import PoseComparison
from napari_ini3d.errors import MapError

_VOXEL_TOLERANCE = 0.01  # relative


@dataclass(frozen=True, slots=True)
class MapGrid:
    """Box of a map, with the name of the map for messages.

    Attributes
    ----------
    name : str
    box_size : int
        Voxels per side.
    voxel_size : float
        Å.
    """

    name: str
    box_size: int
    voxel_size: float

    def __str__(self) -> str:
        return f"{self.name}: {self.box_size} voxels of {self.voxel_size:g} Å"


def check_same_grid(first: MapGrid, second: MapGrid) -> None:
    """Refuse two maps whose boxes or voxel sizes differ.

    Raises
    ------
    MapError
    """
    apart = abs(first.voxel_size / second.voxel_size - 1)
    if first.box_size == second.box_size and apart <= _VOXEL_TOLERANCE:
        return
    raise MapError(
        f"the maps differ in box or voxel size ({first} and {second}); expected the same; resample "
        "one of them, for instance with relion_image_handler --rescale_angpix and --new_box"
    )


def describe_comparison(found: MapComparison) -> list[str]:
    """Return the result of a comparison, line by line."""
    lines = [
        f"FSC 0.5 at {found.resolution_half:.1f} Å, 0.143 at {found.resolution_0143:.1f} Å",
        f"Correlation inside the mask: {found.correlation:.3f}",
    ]
    if found.registration is None:
        return lines
    transform = found.registration.transform
    shift = float(np.linalg.norm(transform.shift)) * found.voxel_size
    mirrored = "The hands differ: the second map was mirrored."
    return [
        *lines,
        f"The second map was rotated by {transform.angle:.1f}° and shifted by {shift:.1f} Å.",
        mirrored if found.mirrored else "The hands agree.",
    ]


def describe_poses(found: PoseComparison) -> list[str]:
    """Return which poses were compared and how the sets were aligned, line by line."""
    only = f"{found.n_first_only} only in the first, {found.n_second_only} only in the second"
    transform = found.transform
    shift = float(np.linalg.norm(transform.shift))
    agreeing = f"{found.n_agreeing} of {len(found)} particles agree within {found.agreement:.0f}°"
    if not found.hand_is_clear:
        hand = f"The hand is not clear: {agreeing}"
    elif found.mirrored:
        hand = f"The hands differ, and the second set was mirrored: {agreeing}"
    else:
        hand = f"The hands agree: {agreeing}"
    lines = [
        f"{len(found)} particles are in both files; {only}",
        f"The second map was rotated by {transform.angle:.1f}° and shifted by {shift:.1f} Å.",
        f"{hand} ({found.n_other_hand} in the other hand).",
        f"Random poses would have a median angle of {found.random_angle:.0f}° ({found.symmetry}).",
    ]
    if found.setting == "second":
        name = found.symmetry
        lines.append(f"The second set has {name} in its setting, and the first does not.")
    return lines
