"""Settings of a run: one frozen dataclass from which forms, options and files are made.

Each field carries its help text, unit, group (RELION's tabs) and RELION's own option name,
so that a setting exists in one place.
"""

from __future__ import annotations

import dataclasses
import types
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from napari_ini3d.errors import SettingsError

Group = Literal["I/O", "CTF", "Optimisation", "Sampling", "Compute"]


AUTO_SYMMETRY = "auto"
"""What stands for a point group that is to be detected in the finished map."""


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """What a form, an option and a table say about a setting."""

    group: Group
    help: str
    unit: str = ""
    words: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[float, ...] = ()
    relion: str = ""


def _setting(default: Any, group: Group, text: str, **info: Any) -> Any:
    return dataclasses.field(
        default=default, metadata={"info": FieldInfo(group=group, help=text, **info)}
    )


@dataclass(frozen=True, kw_only=True)
class InitialModelSettings:
    """Everything a user decides about a run; checked once, when it is made."""

    mask_diameter: float | None = _setting(
        None,
        "Optimisation",
        "Diameter of the soft circular mask around the particle. Choose it a little larger than "
        "the longest dimension of the molecule; left out, it is estimated from the images.",
        unit="Å",
        minimum=10.0,
        relion="--particle_diameter",
    )
    classes: int = _setting(
        1,
        "Optimisation",
        "Number of 3D classes. With more than one, junk and other states can leave the first.",
        minimum=1,
        maximum=50,
        relion="--K",
    )
    anneal_classes: bool = _setting(
        True,
        "Optimisation",
        "Keep the classes alike at first and let them drift apart in the middle phase. Without "
        "annealing they separate from the start, so that one can act as a sink for junk.",
        relion="--sgd_skip_anneal",
    )
    starts: int = _setting(
        4,
        "Optimisation",
        "Independent random starts that share the cheap low-resolution phase. The one that "
        "explains the images best goes on; how well the starts agree is reported.",
        minimum=1,
        maximum=32,
    )
    symmetry: str = _setting(
        "C1",
        "Optimisation",
        "Point group of the particle: C1, C4, D2, T, O, I ..., or auto to detect it. The map is "
        "made in C1; then its axes are found, brought onto RELION's setting, and the group is "
        "imposed.",
        relion="--sym",
    )
    symmetry_during_run: bool = _setting(
        False,
        "Optimisation",
        "Impose the point group at every iteration instead of reconstructing in C1.",
        relion="--sym",
    )
    flatten_solvent: bool = _setting(
        True,
        "Optimisation",
        "Set the map to zero outside the mask after every iteration.",
        relion="--flatten_solvent",
    )
    non_negative: bool = _setting(
        True, "Optimisation", "Set negative density to zero after every iteration."
    )
    iterations: int = _setting(
        200,
        "Optimisation",
        "Most iterations that are done; the run stops before when it has converged. "
        "The last one assigns every particle.",
        minimum=2,
        maximum=2000,
        relion="--iter",
    )
    tau2_fudge: float = _setting(
        1.0,
        "Optimisation",
        "Regularisation parameter T, a factor of the SSNR: 1 takes the SSNR that the half-sets "
        "show, a larger value trusts the data more against the prior.",
        minimum=0.1,
        maximum=100.0,
        relion="--tau2_fudge",
    )
    initial_resolution: float = _setting(
        40.0,
        "Optimisation",
        "Resolution at which the run starts.",
        unit="Å",
        minimum=2.0,
        maximum=200.0,
        relion="--grad_ini_resol",
    )
    max_resolution: float | None = _setting(
        None,
        "Optimisation",
        "Finest resolution that is used. Left out: 8 Å, 2.5 pixels or 1/22 of the mask diameter, "
        "whichever is the coarsest; an initial model needs no more.",
        unit="Å",
        minimum=1.0,
        maximum=200.0,
        relion="--grad_fin_resol",
    )
    ctf: bool = _setting(True, "CTF", "Correct for the contrast transfer function.", relion="--ctf")
    ctf_ignore_first_peak: bool = _setting(
        False,
        "CTF",
        "Take the CTF as 1 up to its first peak; for data whose low frequencies were changed.",
        relion="--ctf_intact_first_peak",
    )
    angular_step: float = _setting(
        30.0,
        "Sampling",
        "Coarsest angular step. The grid follows the resolution of the map from there on.",
        unit="°",
        choices=(30.0, 15.0, 7.5, 3.75),
        relion="--healpix_order",
    )
    offset_range: float = _setting(
        20.0,
        "Sampling",
        "Particles are looked for up to this far from the box centre.",
        unit="Å",
        minimum=0.0,
        maximum=500.0,
        relion="--offset_range",
    )
    offset_step: float | None = _setting(
        None,
        "Sampling",
        "Step of the coarse search for the shift; left out, it follows the resolution.",
        unit="Å",
        minimum=0.1,
        maximum=100.0,
        relion="--offset_step",
    )
    padding_factor: int = _setting(
        1,
        "Compute",
        "Zero padding of the map before its Fourier transform: 2 interpolates better, and takes "
        "eight times the memory.",
        choices=(1, 2),
        relion="--pad",
    )
    gridding_correction: bool = _setting(
        True,
        "Compute",
        "Undo the fall-off that interpolation in Fourier space leaves in real space.",
        relion="--skip_gridding",
    )
    preread: bool = _setting(
        False, "Compute", "Hold all images in memory.", relion="--preread_images"
    )
    scratch: str | None = _setting(
        None,
        "Compute",
        "Local folder to which the stacks are copied before the run, resampled where the run works "
        "in a coarser box; for stacks on a slower disk, or in large boxes.",
        relion="--scratch_dir",
    )
    max_excluded: float = _setting(
        0.05,
        "I/O",
        "Largest share of unreadable, constant or non-finite images that is set aside; with more "
        "the run does not start.",
        minimum=0.0,
        maximum=1.0,
    )
    write_every: int = _setting(
        10,
        "I/O",
        "Write maps and STAR files every so many iterations (a checkpoint is written at each).",
        minimum=1,
        maximum=1000,
        relion="--sgd_write_iter",
    )
    seed: int = _setting(
        1, "Compute", "Seed of every random choice.", minimum=0, relion="--random_seed"
    )
    threads: int = _setting(
        0, "Compute", "Threads; 0 takes all cores.", minimum=0, maximum=1024, relion="--j"
    )
    device: str = _setting(
        "auto",
        "Compute",
        "auto, cpu, gpu (all cards of this machine), gpu:1 for a certain card, or gpu:0,1.",
        relion="--gpu",
    )
    precision: str = _setting(
        "float32",
        "Compute",
        "Precision to which the matrix products of a GPU round what they multiply; sums are "
        "float32. CPUs compute in float32.",
        words=("float32", "tf32", "fp16", "bf16"),
    )
    deterministic: bool = _setting(
        True,
        "Compute",
        "Add on a GPU in a way that gives the same bits every time; without it maps are filled "
        "by atomic additions of floats. On a CPU a run always gives the same bits.",
    )
    tile_size: int | None = _setting(
        None,
        "Compute",
        "Images compared at once by a thread or a card; left out, what memory allows.",
        minimum=1,
        maximum=4096,
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_field(field.name, getattr(self, field.name), field.metadata["info"])
        if self.device == "cpu" and self.precision != "float32":
            raise SettingsError(
                f"precision is {self.precision}, but a CPU computes in float32; take device gpu, "
                "or precision float32"
            )
        if self.max_resolution is not None and self.max_resolution > self.initial_resolution:
            raise SettingsError(
                f"max_resolution is {self.max_resolution:g} Å, coarser than initial_resolution "
                f"({self.initial_resolution:g} Å); give a smaller number, or a coarser start"
            )

    def with_changes(self, **changes: Any) -> Self:
        """Return a copy with some fields changed, checked again."""
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True, slots=True)
class SettingType:
    """What a setting holds: values of a plain type, and None where it may be left out."""

    plain: type
    optional: bool


def setting_types() -> dict[str, SettingType]:
    """Return the type of each setting by its name, in the order of the fields."""
    hints = get_type_hints(InitialModelSettings)
    fields = dataclasses.fields(InitialModelSettings)
    return {field.name: _setting_type(hints[field.name]) for field in fields}


def _setting_type(hint: Any) -> SettingType:
    if get_origin(hint) is not types.UnionType:
        return SettingType(hint, optional=False)
    (plain,) = (argument for argument in get_args(hint) if argument is not types.NoneType)
    return SettingType(plain, optional=True)


def _check_field(name: str, value: Any, info: FieldInfo) -> None:
    if info.choices and value not in info.choices:
        listed = ", ".join(f"{choice:g}" for choice in info.choices)
        raise SettingsError(f"{name} is {value!r}; choose one of {listed}")
    if info.words and value not in info.words:
        raise SettingsError(f"{name} is {value!r}; choose one of {', '.join(info.words)}")
    if value is None or isinstance(value, (str, bool)):
        return
    low, high = info.minimum, info.maximum
    if value != value or (low is not None and value < low) or (high is not None and value > high):
        unit = f" {info.unit}" if info.unit else ""
        bounds = f"at least {low:g}" if high is None else f"between {low:g} and {high:g}"
        raise SettingsError(f"{name} is {value:g}{unit}; it must be {bounds}{unit}")
