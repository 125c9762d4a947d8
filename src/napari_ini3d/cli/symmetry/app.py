"""Commands of `ini3d symmetry` and their options."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_ini3d.cli.session import exit_codes
from napari_ini3d.cli.shared_options import (
    JsonOption,
    ThreadsOption,
    VerboseOption,
    VoxelSizeOption,
)

if TYPE_CHECKING:
    from napari_ini3d.runs import ClassChoice

symmetry_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Find the point group of a map, align its axes to RELION's, impose it, flip the hand; "
    "expand particles to all asymmetric units, fold them into one, and find the one of each.",
    epilog="Exit codes: as `ini3d`; and 4 where the point group does not hold for the map "
    "(nothing is written then, unless --force is given).",
    context_settings={"help_option_names": ["-h", "--help"]},
)


class ClassOption(StrEnum):
    """Class of a run to use."""

    largest = "largest"
    best_resolved = "best-resolved"
    most_symmetric = "most-symmetric"


MapArgument = Annotated[
    Path,
    typer.Argument(
        metavar="MAP", help="Map (MRC), or the folder of a run of `ini3d`.", show_default=False
    ),
]
RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of a run of `ini3d`.", show_default=False)
]
ClassArgument = Annotated[
    ClassOption | None,
    typer.Option("--class", help="Of a run folder: the class to use. Default: the largest."),
]
GroupOption = Annotated[
    str, typer.Option("--symmetry", "-s", help="Point group: C7, D2, T, O, I, I1 to I4.")
]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Map to write.")]
ParticlesOption = Annotated[
    Path | None,
    typer.Option(help="STAR or .cs file whose poses follow the map. Default for a run: its last."),
]
ParticlesOutputOption = Annotated[
    Path | None, typer.Option(help="STAR or .cs file to write with the new poses.")
]
ResolutionOption = Annotated[float | None, typer.Option(min=1.0, help="Ignore finer detail [Å].")]
StarArgument = Annotated[
    Path,
    typer.Argument(
        metavar="STAR",
        help="Particles with poses, of a map on RELION's axes of the group (align it first).",
        show_default=False,
    ),
]
StarOutputOption = Annotated[Path, typer.Option("--output", "-o", help="STAR file to write.")]
PictureOption = Annotated[Path | None, typer.Option(help="Write axes, slices and FSC as PNG.")]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Write even where the point group does not hold.")
]


@symmetry_app.command()
def detect(
    path: MapArgument,
    choice: ClassArgument = None,
    pixel_size: VoxelSizeOption = None,
    resolution: ResolutionOption = None,
    picture: PictureOption = None,
    likelihood: Annotated[
        bool,
        typer.Option(
            "--likelihood",
            help="Of a run: also ask the particles, by their likelihood under maps with each "
            "group, without it, and with it about random axes.",
        ),
    ] = False,
    threads: ThreadsOption = 0,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Find the point group of a map, and its axes."""
    with exit_codes(verbose=verbose):
        from napari_ini3d.cli.symmetry.files import MapChoice
        from napari_ini3d.cli.symmetry.maps import detect_file

        chosen = MapChoice(path, _value(choice), pixel_size)
        detect_file(
            chosen, resolution=resolution, picture=picture, likelihood=likelihood,
            threads=threads, as_json=as_json,
        )  # fmt: skip


@symmetry_app.command()
def align(
    path: MapArgument,
    symmetry: GroupOption,
    output: OutputOption,
    choice: ClassArgument = None,
    pixel_size: VoxelSizeOption = None,
    keep_centre: Annotated[
        bool,
        typer.Option(
            "--keep-centre", help="Do not shift: the axes already meet in the box centre."
        ),
    ] = False,
    only_rot: Annotated[
        bool,
        typer.Option("--only-rot", help="Rotate about Z only: the main axis already lies along Z."),
    ] = False,
    resolution: ResolutionOption = None,
    particles: ParticlesOption = None,
    particles_output: ParticlesOutputOption = None,
    picture: PictureOption = None,
    force: ForceOption = False,
    threads: ThreadsOption = 0,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Align the axes of a map to RELION's setting, and rotate the poses of its particles too."""
    with exit_codes(verbose=verbose):
        from napari_ini3d.cli.symmetry.files import AlignRequest, MapChoice, Outputs
        from napari_ini3d.cli.symmetry.maps import align_file

        request = AlignRequest(
            symmetry,
            keep_centre=keep_centre,
            only_rot=only_rot,
            resolution=resolution,
            threads=threads,
        )
        outputs = Outputs(output, particles, particles_output, picture, force=force)
        align_file(MapChoice(path, _value(choice), pixel_size), request, outputs, as_json=as_json)


@symmetry_app.command()
def impose(
    path: MapArgument,
    symmetry: GroupOption,
    output: OutputOption,
    choice: ClassArgument = None,
    pixel_size: VoxelSizeOption = None,
    mask: Annotated[
        Path | None, typer.Option(help="Map from 0 to 1 that multiplies the result.")
    ] = None,
    align: Annotated[
        bool, typer.Option("--align", help="Align the axes to RELION's setting first.")
    ] = False,
    difference: Annotated[
        Path | None,
        typer.Option(help="Map to write of what the imposed map lacks: where the symmetry breaks."),
    ] = None,
    resolution: ResolutionOption = None,
    picture: PictureOption = None,
    force: ForceOption = False,
    threads: ThreadsOption = 0,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Average a map over the operators of a point group, and report whether it holds."""
    with exit_codes(verbose=verbose):
        from napari_ini3d.cli.symmetry.files import AlignRequest, MapChoice, Outputs
        from napari_ini3d.cli.symmetry.impose import impose_file

        request = AlignRequest(symmetry, resolution=resolution, threads=threads)
        outputs = Outputs(output, picture=picture, difference=difference, force=force)
        impose_file(
            MapChoice(path, _value(choice), pixel_size),
            request,
            outputs,
            mask=mask,
            align=align,
            as_json=as_json,
        )


@symmetry_app.command("flip-hand")
def flip_hand(
    path: MapArgument,
    output: OutputOption,
    choice: ClassArgument = None,
    pixel_size: VoxelSizeOption = None,
    particles: ParticlesOption = None,
    particles_output: ParticlesOutputOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Write a map in the other hand (z becomes -z), and its particles to match."""
    with exit_codes(verbose=verbose):
        from napari_ini3d.cli.symmetry.files import MapChoice, Outputs
        from napari_ini3d.cli.symmetry.maps import flip_file

        outputs = Outputs(output, particles, particles_output)
        flip_file(MapChoice(path, _value(choice), pixel_size), outputs, as_json=as_json)


@symmetry_app.command()
def expand(
    particles: StarArgument,
    symmetry: GroupOption,
    output: StarOutputOption,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Write each particle once per operator of a point group: in each asymmetric unit.

    Like relion_particle_symmetry_expand. Refine the particles without symmetry, and locally.
    """
    with exit_codes(verbose=verbose):
        from napari_ini3d.cli.symmetry.particles import expand_file

        expand_file(particles, symmetry, output, as_json=as_json)


@symmetry_app.command()
def fold(
    particles: StarArgument,
    symmetry: GroupOption,
    output: StarOutputOption,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Write particles with their poses in one asymmetric unit of a point group.

    Equivalent poses become the same. Expanded particles keep their rows.
    """
    with exit_codes(verbose=verbose):
        from napari_ini3d.cli.symmetry.particles import fold_file

        fold_file(particles, symmetry, output, as_json=as_json)


@symmetry_app.command()
def relax(
    path: RunArgument,
    symmetry: GroupOption,
    output: OutputOption,
    choice: ClassArgument = None,
    particles_output: Annotated[
        Path | None, typer.Option(help="STAR file to write with the poses in the units found.")
    ] = None,
    difference: Annotated[
        Path | None,
        typer.Option(help="Map to write of what differs from the mean of all units."),
    ] = None,
    impose_subgroup: Annotated[
        bool,
        typer.Option(
            "--impose-subgroup",
            help="Impose the subgroup that is left, with map and poses on RELION's axes of it.",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Go on where the map is not close to the group.")
    ] = False,
    threads: ThreadsOption = 0,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Find the asymmetric unit of each particle of a pseudo-symmetric structure.

    Each particle of a run is tried in all asymmetric units of the group, and a map without symmetry
    is made from the units that fit best; its differences show where the symmetry breaks.
    """
    with exit_codes(verbose=verbose):
        from napari_ini3d.cli.symmetry.relax import relax_files
        from napari_ini3d.jobs import RelaxationFiles

        relax_files(
            path,
            symmetry,
            RelaxationFiles(output, particles_output, difference),
            choice=_value(choice) or "largest",
            impose_subgroup=impose_subgroup,
            force=force,
            threads=threads,
            as_json=as_json,
        )


def _value(choice: ClassOption | None) -> ClassChoice | None:
    return None if choice is None else choice.value
