"""Commands and options of `ini3d`; each is implemented in a module of `cli`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_ini3d._version import __version__
from napari_ini3d.cli.batch import batch
from napari_ini3d.cli.cluster import cluster_app
from napari_ini3d.cli.convert import convert
from napari_ini3d.cli.display import choose_mode
from napari_ini3d.cli.fetch import fetch
from napari_ini3d.cli.movie import movie
from napari_ini3d.cli.options import with_settings
from napari_ini3d.cli.particle_options import with_particles
from napari_ini3d.cli.relion_job import CONTEXT, relion_job
from napari_ini3d.cli.session import exit_codes
from napari_ini3d.cli.shared_options import (
    ClusterOption,
    EstimateOption,
    FolderArgument,
    FromIterationOption,
    IterationsOption,
    JsonOption,
    OutputOption,
    OverwriteOption,
    QuietOption,
    StrictOption,
    ThreadsOption,
    VerboseOption,
    VoxelSizeOption,
)
from napari_ini3d.cli.simulate_options import (
    BfactorOption,
    BoxSizeOption,
    DefocusErrorOption,
    HotPixelsOption,
    InvertOption,
    JunkKindChoice,
    JunkKindsOption,
    JunkOption,
    MapOption,
    MicelleOption,
    NeighboursOption,
    OffsetOption,
    OtherOption,
    OtherShareOption,
    PinkNoiseOption,
    PixelSizeOption,
    PreferredOption,
    ScaleOption,
    SnrDiameterOption,
    ViewsChoice,
    ViewShareOption,
    ViewsOption,
    ViewSpreadOption,
)
from napari_ini3d.cli.symmetry.app import symmetry_app
from napari_ini3d.settings import InitialModelSettings

if TYPE_CHECKING:
    from napari_ini3d.io import ParticleFiles

app = typer.Typer(
    name="ini3d",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="De novo cryo-EM initial models: from particles.star to a 3D map, without a reference.",
    epilog="Exit codes: 0 success; 1 error; 2 wrong usage; 3 `check` or `batch` found problems; 4 "
    "the map does not have the point group; 130 stopped by Ctrl-C.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(symmetry_app, name="symmetry")
app.add_typer(cluster_app, name="cluster")
app.command("relion-job", context_settings=CONTEXT)(relion_job)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Handle the options in front of the command."""


@app.command()
@with_settings
@with_particles
def run(
    *,
    files: ParticleFiles,
    settings: InitialModelSettings,
    output: OutputOption,
    overwrite: OverwriteOption = False,
    strict: StrictOption = False,
    cluster: ClusterOption = None,
    estimate: EstimateOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Reconstruct an initial model from particles, OUTPUT/initial_model.mrc."""
    mode = choose_mode(as_json=as_json, quiet=quiet)
    with exit_codes(verbose=verbose, quiet=quiet, as_json=as_json):
        if estimate:
            from napari_ini3d.cli.estimate import print_estimate

            print_estimate(files, settings, mode)
            return
        from napari_ini3d.cli.run import run_job

        run_job(files, output, settings, mode, overwrite, strict, cluster)


@app.command()
def resume(
    folder: Annotated[Path, typer.Argument(help="Folder of the run.", show_default=False)],
    from_iteration: FromIterationOption = None,
    iterations: IterationsOption = None,
    cluster: ClusterOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Continue a stopped run from its last checkpoint, or complete a finished one."""
    mode = choose_mode(as_json=as_json, quiet=quiet)
    with exit_codes(verbose=verbose, quiet=quiet, as_json=as_json):
        from napari_ini3d.cli.run import resume_job

        resume_job(folder, mode, from_iteration, iterations, cluster)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Folder of the run.", show_default=False)],
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Write the report page of a run again, RUN/report.html."""
    with exit_codes(verbose=verbose):
        from napari_ini3d.cli.report import report_run

        report_run(folder, as_json=as_json)


@app.command()
def demo(
    output: OutputOption = Path("ini3d_demo"),
    threads: ThreadsOption = 0,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Simulate particles, reconstruct them, and compare the result with the true map."""
    mode = choose_mode(as_json=as_json, quiet=quiet)
    with exit_codes(verbose=verbose, quiet=quiet):
        from napari_ini3d.cli.demo import run_demo

        run_demo(output, threads, mode)


@app.command()
def simulate(
    output: OutputOption,
    symmetry: Annotated[str, typer.Option(help="Point group of the phantom.")] = "C1",
    diameter: Annotated[float, typer.Option(min=30, help="Diameter of the phantom [Å].")] = 120.0,
    map_path: MapOption = None,
    number: Annotated[int, typer.Option(min=1, help="Number of particles.")] = 1000,
    box_size: BoxSizeOption = None,
    pixel_size: PixelSizeOption = None,
    snr: Annotated[float, typer.Option(min=1e-4, help="Signal-to-noise ratio.")] = 0.1,
    snr_diameter: SnrDiameterOption = None,
    offset: OffsetOption = 6.0,
    groups: Annotated[int, typer.Option(min=1, max=100, help="Number of optics groups.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 1,
    junk: JunkOption = 0.0,
    junk_kinds: JunkKindsOption = list(JunkKindChoice),  # noqa: B006 - Typer copies it
    neighbours: NeighboursOption = 0.0,
    preferred: PreferredOption = 0.0,
    views: ViewsOption = ViewsChoice.TOP_SIDE,
    view_share: ViewShareOption = 0.5,
    view_spread: ViewSpreadOption = 6.0,
    micelle: MicelleOption = False,
    pink_noise: PinkNoiseOption = 0.0,
    bfactor: BfactorOption = 0.0,
    defocus_error: DefocusErrorOption = 0.0,
    scale: ScaleOption = 0.0,
    other: OtherOption = None,
    other_share: OtherShareOption = 0.4,
    hot_pixels: HotPixelsOption = 0.0,
    invert: InvertOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Simulate noisy particles of a phantom or a map; write them with the true map and poses.

    With a fault of real particles, other than preferred views, the background of every image is
    normalised to mean 0 and standard deviation 1, as RELION does when it extracts particles.
    """
    with exit_codes(verbose=verbose):
        from napari_ini3d.cli.simulate import read_molecules, simulate_files
        from napari_ini3d.simulation import SimulationSettings, make_phantom

        phantom = None if map_path else make_phantom(symmetry, diameter=diameter, seed=seed)
        molecules = read_molecules(
            phantom, map_path, other, grid=(box_size, pixel_size), micelle=micelle
        )
        settings = SimulationSettings(
            number=number,
            box_size=molecules.box_size,
            pixel_size=molecules.pixel_size,
            snr=snr,
            snr_diameter=snr_diameter,
            offset_sigma=offset,
            groups=groups,
            seed=seed,
            junk=junk,
            junk_kinds=tuple(kind.value for kind in junk_kinds),
            neighbours=neighbours,
            preferred=preferred,
            views=views.value,
            view_share=view_share,
            view_spread=view_spread,
            pink_noise=pink_noise,
            bfactor=bfactor,
            defocus_error=defocus_error,
            scale_spread=scale,
            other_share=other_share if other else 0.0,
            hot_pixels=hot_pixels,
            invert=invert,
        )
        simulate_files(output, molecules, settings.normalised_with_faults(), as_json=as_json)


@app.command()
def compare(
    first: Annotated[
        Path, typer.Argument(help="Map; with --poses, STAR or .cs file.", show_default=False)
    ],
    second: Annotated[
        Path, typer.Argument(help="Map, STAR or .cs file to compare it with.", show_default=False)
    ],
    mask_diameter: Annotated[
        float | None, typer.Option(min=1.0, help="Diameter of the spherical mask [Å].")
    ] = None,
    align: Annotated[
        bool, typer.Option("--align/--no-align", help="Align the second map to the first.")
    ] = True,
    poses: Annotated[
        bool,
        typer.Option("--poses", help="Compare the poses in two STAR or .cs files."),
    ] = False,
    symmetry: Annotated[
        str | None,
        typer.Option(help="With --poses: point group modulo which poses are the same."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="PNG file for the FSC curve.")
    ] = None,
    pixel_size: VoxelSizeOption = None,
    threads: ThreadsOption = 0,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Compare two maps by FSC and correlation, or the poses of particles by their angles.

    With --poses, angles and shifts are those left after the best common rotation, shift and hand.
    """
    of_maps = (mask_diameter, output, pixel_size)
    if poses and (not align or any(value is not None for value in of_maps)):
        raise typer.BadParameter(
            "--mask-diameter, --no-align, --pixel-size and --output are for maps only; leave "
            "them out"
        )
    if symmetry is not None and not poses:
        raise typer.BadParameter("--symmetry is for --poses only; leave it out")
    if {first.suffix, second.suffix} <= {".star", ".cs"} and not poses:
        raise typer.BadParameter("these are particles; add --poses to compare their poses")
    with exit_codes(verbose=verbose):
        from napari_ini3d.cli.compare import compare_files, compare_pose_files

        if poses:
            compare_pose_files((first, second), symmetry=symmetry or "C1", as_json=as_json)
            return
        compare_files(
            (first, second),
            mask_diameter=mask_diameter,
            align=align,
            picture=output,
            threads=threads,
            as_json=as_json,
            pixel_size=pixel_size,
        )


@app.command()
@with_settings
@with_particles
def check(
    *,
    files: ParticleFiles,
    settings: InitialModelSettings,
    strict: StrictOption = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Check particles before a run, with its options; exit code 3 if there are errors."""
    with exit_codes(verbose=verbose):
        from napari_ini3d.cli.check import check_files

        check_files(files, settings, strict=strict, as_json=as_json)


@app.command()
def select(
    folder: FolderArgument,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="STAR or .cs file to write: those that stay."),
    ],
    max_junk: Annotated[
        float, typer.Option(min=0, max=1, help="Highest probability of junk that stays.")
    ] = 0.5,
    rejected: Annotated[
        Path | None, typer.Option(help="STAR or .cs file to write: those that leave.")
    ] = None,
    iteration: Annotated[
        int | None, typer.Option(min=1, help="Written iteration. Default: the last.")
    ] = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Write the particles of a run without the junk, with their poses."""
    with exit_codes(verbose=verbose):
        from napari_ini3d.cli.select import select_files

        select_files(
            folder, output, rejected, max_junk=max_junk, iteration=iteration, as_json=as_json
        )


@app.command()
def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Use a small data set.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, gpu, or gpu:1 for one GPU.")] = "auto",
    threads: ThreadsOption = 0,
    output: Annotated[
        Path | None,
        typer.Option("--json", help="Write the results to this file.", metavar="FILE"),
    ] = None,
    verbose: VerboseOption = False,
) -> None:
    """Benchmark this machine with simulated particles, and print a table to share."""
    with exit_codes(verbose=verbose, quiet=True):
        from napari_ini3d.cli.bench import run_bench

        run_bench(quick=quick, device=device, threads=threads, output=output)


# after the commands above, in the order of the help
for command in (batch, convert, movie, fetch):
    app.command()(command)
