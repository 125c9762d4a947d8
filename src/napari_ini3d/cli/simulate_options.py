"""Options of `ini3d simulate` for the faults of real particles."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

_FAULTS = "Faults of real particles"


class JunkKindChoice(StrEnum):
    """Kinds of junk."""

    EMPTY = "empty"
    BRIGHT = "bright"
    EDGE = "edge"


class ViewsChoice(StrEnum):
    """Preferred views."""

    TOP_SIDE = "top-side"
    TWO = "two"


def _fault(help_text: str, **limits: Any) -> Any:
    return typer.Option(help=help_text, rich_help_panel=_FAULTS, **limits)


def _share(help_text: str) -> Any:
    return _fault(help_text, min=0.0, max=1.0)


MapOption = Annotated[
    Path | None,
    typer.Option("--map", help="Map to project instead of a phantom.", show_default=False),
]
BoxSizeOption = Annotated[
    int | None,
    typer.Option(min=16, max=1024, help="Box size [pixels]; default: 64, or that of the map."),
]
PixelSizeOption = Annotated[
    float | None,
    typer.Option(min=0.1, max=20.0, help="Pixel size [Å]; default: 3, or that of the map."),
]
SnrDiameterOption = Annotated[
    float | None,
    typer.Option(
        min=1.0,
        help="Diameter of the circle in which the signal-to-noise ratio holds [Å]; default: that "
        "of the molecule.",
    ),
]
OffsetOption = Annotated[
    float,
    typer.Option(min=0.0, help="Standard deviation of the particles' x and y offsets [Å]."),
]
JunkOption = Annotated[float, _share("Fraction of images without a particle.")]
JunkKindsOption = Annotated[
    list[JunkKindChoice],
    _fault(
        "Kind of the junk: empty ice (twice as frequent as each of the others), bright blobs, or "
        "the edge of the carbon. Give the option once per kind."
    ),
]
NeighboursOption = Annotated[
    float, _share("Fraction of images with a second particle at the edge of the box.")
]
PreferredOption = Annotated[float, _share("Fraction of particles in two preferred views.")]
ViewsOption = Annotated[
    ViewsChoice, _fault("Preferred views: along Z and from all sides, or two random directions.")
]
ViewShareOption = Annotated[
    float, _share("Fraction of the preferred particles in the first of the two views.")
]
ViewSpreadOption = Annotated[
    float, _fault("Standard deviation about the views [°].", min=0.0, max=90.0)
]
MicelleOption = Annotated[
    bool, typer.Option("--micelle", help="Add a detergent micelle.", rich_help_panel=_FAULTS)
]
PinkNoiseOption = Annotated[
    float,
    _fault(
        "Standard deviation of structural noise, which is strongest at low frequency and has the "
        "particle's CTF, relative to that of the other noise.",
        min=0.0,
    ),
]
BfactorOption = Annotated[float, _fault("B-factor of the particles [Å²].", min=0.0)]
DefocusErrorOption = Annotated[
    float,
    _fault("Relative error (standard deviation) of the defocus in the STAR files.", min=0.0),
]
ScaleOption = Annotated[
    float,
    _fault("Signals differ by up to this fraction, both ways.", min=0.0, max=0.99),
]
OtherOption = Annotated[
    Path | None, _fault("Map of a second state, with the voxel size of the first.")
]
OtherShareOption = Annotated[float, _share("Fraction of particles in the second state.")]
HotPixelsOption = Annotated[float, _share("Fraction of images with a hot pixel.")]
InvertOption = Annotated[
    bool,
    typer.Option("--invert", help="Write the particles black on white.", rich_help_panel=_FAULTS),
]
