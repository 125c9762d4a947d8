"""Check of the symmetry that a run is asked for."""

from __future__ import annotations

from napari_ini3d.errors import SettingsError
from napari_ini3d.geometry import PointGroup
from napari_ini3d.settings import AUTO_SYMMETRY, InitialModelSettings


def check_symmetry(settings: InitialModelSettings) -> None:
    """Refuse a symmetry that cannot be detected or imposed.

    Raises
    ------
    SymmetryError
        If the point group is unknown.
    SettingsError
        If it is to be detected and imposed at once.
    """
    if settings.symmetry.lower() != AUTO_SYMMETRY:
        PointGroup.parse(settings.symmetry)
    elif settings.symmetry_during_run:
        raise SettingsError(
            "symmetry is auto, which is detected in the finished map, but symmetry_during_run is "
            "on; give the point group, or leave symmetry_during_run off"
        )
