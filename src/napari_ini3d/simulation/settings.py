"""Settings of simulated particles."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal, get_args

from napari_ini3d.errors import SettingsError
from napari_ini3d.particles import OpticsGroup

JunkKind = Literal["empty", "bright", "edge"]
Views = Literal["top-side", "two"]
JUNK_KINDS: tuple[JunkKind, ...] = get_args(JunkKind)

_BOUNDS = {
    "number": (1, 100_000_000),
    "box_size": (8, 4096),
    "pixel_size": (0.1, 50.0),
    "snr": (1e-6, 1e9),
    "junk": (0.0, 1.0),
    "neighbours": (0.0, 1.0),
    "preferred": (0.0, 1.0),
    "view_share": (0.0, 1.0),
    "view_spread": (0.0, 90.0),
    "other_share": (0.0, 1.0),
    "scale_spread": (0.0, 0.99),
    "defocus_error": (0.0, 0.3),
    "bfactor": (0.0, 10_000.0),
    "pink_noise": (0.0, 100.0),
    "hot_pixels": (0.0, 1.0),
    "groups": (1, 100),
    "offset_sigma": (0.0, 1000.0),
    "astigmatism": (0.0, 1e5),
    "phase_shift": (0.0, 180.0),
    "noise_colour": (0.0, 100.0),
    "seed": (0, 2**63),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulationSettings:
    """Settings of simulated particles.

    Attributes
    ----------
    number : int
        Number of particles.
    box_size : int
        Pixels per side, even.
    pixel_size : float
        Å.
    snr : float
        Variance of the signal divided by that of the noise, inside a circle.
    snr_diameter : float, optional
        Å, of that circle. Default: diameter of the particle.
    junk : float
        Fraction of images without a particle.
    junk_kinds : tuple of str
        Kinds of junk: "empty" ice, "bright" blobs such as ice crystals, "edge" of the carbon;
        "empty" is twice as frequent as each of the others.
    neighbours : float
        Fraction of images with a second particle at the edge of the box.
    preferred : float
        Fraction of particles in two preferred views.
    views : str
        The preferred views: "top-side" are along Z and from all sides, "two" are two random
        directions.
    view_share : float
        Fraction of the preferred particles that are in the first view.
    view_spread : float
        Standard deviation of the tilt about the views, or of the directions about both axes
        perpendicular to a view ("two"), degrees.
    other_share : float
        Fraction of particles in the second state, if there is one.
    scale_spread : float
        The signal of each particle is multiplied by a number between 1 - spread and 1 + spread.
    defocus_error : float
        Standard deviation of the relative error of the defocus that is given with the particles.
    bfactor : float
        Å², of the envelope exp(-B s² / 4) of the signal.
    pink_noise : float
        Standard deviation of structural noise relative to that of the other noise. It is
        strongest at low frequency, and has the CTF of the particle.
    hot_pixels : float
        Fraction of images with one pixel at 500 standard deviations of the noise.
    invert : bool
        Write the particles black on white.
    normalise : bool
        Give the background of each image the mean 0 and the standard deviation 1, as RELION's
        extraction does; otherwise the noise has variance 1 on average.
    groups : int
        Number of optics groups, with 300 and 200 kV in turn.
    optics : tuple of OpticsGroup
        If given, replaces `groups`, `box_size` and `pixel_size`.
    offset_sigma : float
        Standard deviation of the origins in x and in y, Å.
    ctf : bool
        Apply the CTF; if False, the microscope parameters of the optics groups are not used.
    defocus_range : (float, float)
        Range of the mean defocus, Å.
    astigmatism : float
        Largest difference between the two defocus values, Å.
    phase_shift : float
        Phase shift of a phase plate, degrees.
    noise_colour : float
        Excess power of the noise at low frequencies relative to high ones; 0 is white noise.
    resolution : float, optional
        Å, of the low-pass filter. Default: Nyquist.
    seed : int
    """

    number: int = 1000
    box_size: int = 48
    pixel_size: float = 4.0
    snr: float = 0.1
    snr_diameter: float | None = None
    junk: float = 0.0
    neighbours: float = 0.0
    junk_kinds: tuple[JunkKind, ...] = JUNK_KINDS
    preferred: float = 0.0
    views: Views = "top-side"
    view_share: float = 0.5
    view_spread: float = 6.0
    other_share: float = 0.0
    scale_spread: float = 0.0
    defocus_error: float = 0.0
    bfactor: float = 0.0
    pink_noise: float = 0.0
    hot_pixels: float = 0.0
    invert: bool = False
    normalise: bool = False
    groups: int = 1
    optics: tuple[OpticsGroup, ...] = ()
    offset_sigma: float = 6.0
    ctf: bool = True
    defocus_range: tuple[float, float] = (8000.0, 24000.0)
    astigmatism: float = 600.0
    phase_shift: float = 0.0
    noise_colour: float = 0.8
    resolution: float | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise SettingsError(f"{name} is {value:g}; it must be between {low:g} and {high:g}")
        for kind in self.junk_kinds or ("",):
            _check_choice("junk_kinds", kind, JUNK_KINDS)
        _check_choice("views", self.views, get_args(Views))
        if not 0 < self.defocus_range[0] <= self.defocus_range[1]:
            raise SettingsError(
                f"defocus_range is {self.defocus_range}; give two values in Å, both positive "
                "(underfocus), the smaller first"
            )
        for name in ("resolution", "snr_diameter"):
            length = getattr(self, name)
            if length is not None and not length > 0:
                raise SettingsError(f"{name} is {length:g} Å; it must be positive")
        for group in self.optics_groups:
            _check_group(group)

    @property
    def optics_groups(self) -> tuple[OpticsGroup, ...]:
        """Optics groups of the particles."""
        if self.optics:
            return self.optics
        return tuple(
            OpticsGroup(
                name=f"opticsGroup{number}",
                number=number,
                voltage=300.0 if number % 2 else 200.0,
                spherical_aberration=2.7,
                amplitude_contrast=0.1,
                pixel_size=self.pixel_size,
                box_size=self.box_size,
            )
            for number in range(1, self.groups + 1)
        )

    def normalised_with_faults(self) -> SimulationSettings:
        """Return a copy in which the background is normalised if there are faults."""
        faults = (
            self.junk,
            self.neighbours,
            self.pink_noise,
            self.bfactor,
            self.defocus_error,
            self.scale_spread,
            self.hot_pixels,
            self.invert,
        )
        return self.with_changes(normalise=self.normalise or any(faults))

    def with_changes(self, **changes: object) -> SimulationSettings:
        """Return a validated copy with some fields changed."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise SettingsError(f"{name}: found {value!r}; expected one of {', '.join(choices)}")


def _check_group(group: OpticsGroup) -> None:
    if group.box_size % 2 or group.box_size < 8:
        raise SettingsError(f"box_size is {group.box_size}; give an even number, 8 or more")
    if group.ctf_premultiplied:
        raise SettingsError(
            f"{group.name}: CTF-premultiplied images are not simulated; set it to False"
        )
