"""Settings of a run: one frozen dataclass from which forms, options and files are made.

Each field has its help text, unit, group (as RELION's tabs) and the name of RELION's option, so
that a setting is defined in one place.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, get_args, get_origin, get_type_hints

from napari_ini3d._setting import check_field, setting
from napari_ini3d.errors import SettingsError

STORED_VERSION = 2
"""Version of settings in files; raised when a stored value changes its meaning."""

_MOST_SHIFTS = 4000

AUTO_SYMMETRY = "auto"
"""Symmetry setting that asks for the point group to be detected in the final map."""


@dataclass(frozen=True, kw_only=True)
class InitialModelSettings:
    """Everything a user can set for a run; validated on creation."""

    mask_diameter: float | None = setting(
        None,
        "Optimisation",
        "Diameter of the soft circular mask around the particle, slightly larger than its longest "
        "dimension. Default: estimated from the images.",
        unit="Å",
        minimum=10.0,
        relion="--particle_diameter",
    )
    classes: int = setting(
        1,
        "Optimisation",
        "Number of 3D classes. More than one can separate junk and other conformations.",
        minimum=1,
        maximum=50,
        relion="--K",
    )
    anneal_classes: bool = setting(
        True,
        "Optimisation",
        "Keep the classes similar at first and let them diverge gradually. Without annealing they "
        "diverge from the start, so that one of them can collect junk.",
        relion="--sgd_skip_anneal",
    )
    starts: int = setting(
        4,
        "Optimisation",
        "Independent random starts for the fast low-resolution phase. The run continues with the "
        "start of the highest likelihood, and reports how well the starts agree.",
        minimum=1,
        maximum=32,
    )
    max_starts: int = setting(
        10,
        "Optimisation",
        "Maximum number of random starts. Where no other start agrees with that of the highest "
        "likelihood, more are tried beside it. A number up to that of the random starts: none.",
        minimum=1,
        maximum=200,
    )
    symmetry: str = setting(
        "C1",
        "Optimisation",
        "Point group of the particle: C1, C4, D2, T, O, I ..., or auto to detect it. The map is "
        "reconstructed in C1. Then its symmetry axes are found and aligned to RELION's convention, "
        "and the symmetry is imposed.",
        relion="--sym",
    )
    symmetry_during_run: bool = setting(
        False,
        "Optimisation",
        "Impose the symmetry at every iteration instead of reconstructing in C1.",
        relion="--sym",
    )
    independent_half_sets: bool = setting(
        True,
        "Optimisation",
        "After the run, refine two half-sets of the particles independently, and repeat the search "
        "from other random maps. The FSC of the half-sets is the resolution that is reported, and "
        "the verdict on the run follows from both.",
    )
    flatten_solvent: bool = setting(
        True,
        "Optimisation",
        "Set the map to zero outside the mask after every iteration.",
        relion="--flatten_solvent",
    )
    non_negative: bool = setting(
        True, "Optimisation", "Set negative density to zero after every iteration."
    )
    iterations: int = setting(
        300,
        "Optimisation",
        "Maximum number of iterations; the run stops earlier when it has converged. "
        "The last iteration assigns every particle.",
        minimum=2,
        maximum=2000,
        relion="--iter",
    )
    tau2_fudge: float = setting(
        1.0,
        "Optimisation",
        "Regularisation parameter T, by which the SSNR of the half-sets is multiplied: larger "
        "values weight the data more. Not on RELION's scale: 1 is neutral here.",
        minimum=0.1,
        maximum=100.0,
        relion="--tau2_fudge",
    )
    initial_resolution: float = setting(
        40.0,
        "Optimisation",
        "Resolution of the first iteration. Where the map has no features there, as that of a "
        "nearly spherical particle, the starts begin anew at a finer one.",
        unit="Å",
        minimum=2.0,
        maximum=200.0,
        relion="--grad_ini_resol",
    )
    max_resolution: float | None = setting(
        None,
        "Optimisation",
        "Highest resolution that is used. Default: 8 Å, 2.5 pixels or 1/22 of the mask "
        "diameter, whichever is the coarsest.",
        unit="Å",
        minimum=1.0,
        maximum=200.0,
        relion="--grad_fin_resol",
    )
    ctf: bool = setting(True, "CTF", "Correct for the contrast transfer function.", relion="--ctf")
    ctf_ignore_first_peak: bool = setting(
        False,
        "CTF",
        "Set the CTF to 1 up to its first peak, for images with modified low frequencies.",
        relion="--ctf_intact_first_peak",
    )
    angular_step: float = setting(
        30.0,
        "Sampling",
        "Coarsest angular step; the step becomes finer as the resolution improves.",
        unit="°",
        choices=(30.0, 15.0, 7.5, 3.75),
        relion="--healpix_order",
    )
    offset_range: float = setting(
        20.0,
        "Sampling",
        "Largest shift that is searched, from the shift in the STAR file.",
        unit="Å",
        minimum=0.0,
        maximum=500.0,
        relion="--offset_range",
    )
    offset_step: float | None = setting(
        None,
        "Sampling",
        "Step of the coarse search for shifts. Default: chosen from the resolution.",
        unit="Å",
        minimum=0.1,
        maximum=100.0,
        relion="--offset_step",
    )
    padding_factor: int = setting(
        1,
        "Compute",
        "Zero padding of the map before its Fourier transform: 2 interpolates more accurately, "
        "and takes eight times the memory.",
        choices=(1, 2),
        relion="--pad",
    )
    gridding_correction: bool = setting(
        True,
        "Compute",
        "Correct the fall-off in real space that is caused by interpolation in Fourier space.",
        relion="--skip_gridding",
    )
    preread: bool = setting(
        False,
        "Compute",
        "Read all images into memory first. Otherwise as many as fit into a quarter of the free "
        "memory are kept once they were read.",
        relion="--preread_images",
    )
    scratch: str | None = setting(
        None,
        "Compute",
        "Local folder to which the images are copied before the run, downsampled if the run uses a "
        "smaller box. For stacks on a slow disk, or with large boxes.",
        relion="--scratch_dir",
    )
    invert_contrast: str = setting(
        "auto",
        "I/O",
        "Invert the contrast of the images, for particles that are black on white: auto measures "
        "it. The stacks are not changed.",
        words=("auto", "yes", "no"),
        relion="--invert_contrast",
    )
    max_excluded: float = setting(
        0.05,
        "I/O",
        "Largest fraction of unreadable, constant or non-finite images that is excluded; with more "
        "the run does not start. Images with single bad pixels are mended instead.",
        minimum=0.0,
        maximum=1.0,
    )
    write_every: int = setting(
        10,
        "I/O",
        "Number of iterations between written maps and STAR files. A checkpoint is written after "
        "every iteration.",
        minimum=1,
        maximum=1000,
        relion="--grad_write_iter",
    )
    seed: int = setting(
        1,
        "Compute",
        "Random seed.",
        minimum=0,
        relion="--random_seed",
    )
    threads: int = setting(
        0, "Compute", "Number of threads; 0 uses all cores.", minimum=0, maximum=1024, relion="--j"
    )
    device: str = setting(
        "auto",
        "Compute",
        "auto, cpu, gpu (all GPUs of this machine), gpu:1 for one GPU, or gpu:0,1 for several.",
        relion="--gpu",
    )
    precision: str = setting(
        "float32",
        "Compute",
        "Precision of the factors in the matrix products on a GPU; sums are float32. CPUs always "
        "use float32.",
        words=("float32", "tf32", "fp16", "bf16"),
    )
    deterministic: bool = setting(
        True,
        "Compute",
        "Make results of a GPU reproducible to the last bit. If off, maps are summed with "
        "floating-point atomics. Results of a CPU are always reproducible.",
    )
    tile_size: int | None = setting(
        None,
        "Compute",
        "Number of images that a thread or a GPU compares at once. Default: as many as fit into "
        "memory.",
        minimum=1,
        maximum=4096,
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_field(field.name, getattr(self, field.name), field.metadata["info"])
        if self.device == "cpu" and self.precision != "float32":
            raise SettingsError(
                f"precision is {self.precision}, but a CPU computes in float32; use device gpu or "
                "precision float32"
            )
        if self.max_resolution is not None and self.max_resolution > self.initial_resolution:
            raise SettingsError(
                f"max_resolution is {self.max_resolution:g} Å, coarser than initial_resolution "
                f"({self.initial_resolution:g} Å); decrease max_resolution or increase "
                "initial_resolution"
            )

        _check_shifts(self.offset_range, self.offset_step)

    @property
    def imposed_group(self) -> str:
        """Point group that is imposed at every iteration; "C1" if none."""
        return self.symmetry if self.symmetry_during_run else "C1"

    @property
    def symmetry_follows(self) -> bool:
        """Whether a symmetry is looked for in the finished map, and imposed on it."""
        return not self.symmetry_during_run and self.symmetry.upper() != "C1"

    def with_changes(self, **changes: Any) -> Self:
        """Return a validated copy with some fields changed."""
        return dataclasses.replace(self, **changes)


def from_stored(values: Mapping[str, Any], version: object) -> dict[str, Any]:
    """Return the values of stored settings as they are meant today.

    Parameters
    ----------
    values : mapping
        By the name of the setting.
    version : object
        As stored beside them; files of version 1 have none.
    """
    current = dict(values)
    if version is None and isinstance(current.get("tau2_fudge"), (int, float)):
        current["tau2_fudge"] /= 4  # the neutral value was 4
    return current


def check_types(values: Mapping[str, Any]) -> None:
    """Refuse stored values of settings that have another type than the setting.

    Raises
    ------
    SettingsError
    """
    kinds = setting_types()
    for name, value in values.items():
        if name not in kinds:
            raise SettingsError(f"{name} is no setting of this version; leave it out")
        plain, optional = kinds[name].plain, kinds[name].optional
        allowed = (int, float) if plain is float else plain
        is_right = isinstance(value, allowed) and (plain is bool or not isinstance(value, bool))
        if not (is_right or (optional and value is None)):
            raise SettingsError(f"{name} is {value!r:.60}; expected {plain.__name__}")


@dataclass(frozen=True, slots=True)
class SettingType:
    """Type of a setting: a plain type, and whether None (automatic) is allowed."""

    plain: type
    optional: bool


def setting_types() -> dict[str, SettingType]:
    """Return the type of each setting by name, in the order of the fields."""
    hints = get_type_hints(InitialModelSettings)
    fields = dataclasses.fields(InitialModelSettings)
    return {field.name: _setting_type(hints[field.name]) for field in fields}


def format_setting(name: str, value: Any) -> str:
    """Return the value of a setting as text with its unit, such as ``130 Å`` or ``automatic``."""
    if value is None:
        return "none" if name == "scratch" else "automatic"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    unit: str = InitialModelSettings.__dataclass_fields__[name].metadata["info"].unit
    return f"{text} {unit}".rstrip()


def _setting_type(hint: Any) -> SettingType:
    if get_origin(hint) is not types.UnionType:
        return SettingType(hint, optional=False)
    (plain,) = (argument for argument in get_args(hint) if argument is not types.NoneType)
    return SettingType(plain, optional=True)


def _check_shifts(offset_range: float, offset_step: float | None) -> None:
    """Refuse steps that are far finer than the range of the shifts."""
    if offset_step is None:
        return
    shifts = math.pi * (offset_range / offset_step) ** 2
    if shifts > _MOST_SHIFTS:
        raise SettingsError(
            f"offset_step is {offset_step:g} Å and offset_range {offset_range:g} Å, which makes "
            f"about {shifts:.0f} shifts; at most {_MOST_SHIFTS} can be compared; increase "
            "offset_step or decrease offset_range"
        )
