"""`ini3d convert`: particles between RELION and cryoSPARC."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_ini3d.cli.display import emit, say
from napari_ini3d.cli.outputs import refuse_overwriting
from napari_ini3d.cli.particle_options import PassthroughOption, ProjectOption
from napari_ini3d.cli.session import exit_codes
from napari_ini3d.cli.shared_options import JsonOption, VerboseOption
from napari_ini3d.errors import SettingsError

if TYPE_CHECKING:
    from napari_ini3d.io import Conversion


def convert(
    source: Annotated[
        Path, typer.Argument(metavar="FROM", help="STAR file, or .cs file.", show_default=False)
    ],
    target: Annotated[
        Path,
        typer.Argument(metavar="TO", help=".cs file, or STAR file, to write.", show_default=False),
    ],
    passthrough: PassthroughOption = None,
    project: ProjectOption = None,
    template: Annotated[
        Path | None,
        typer.Option(
            help=".cs file of the same particles, to .cs only: poses are from FROM, and all "
            "else from here, by uid; --passthrough belongs to it.",
            readable=False,
        ),
    ] = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Convert particles between RELION's STAR files and cryoSPARC's .cs files.

    A .csg file, which cryoSPARC's job Import Result Group takes, is written beside a .cs file.
    """
    with exit_codes(verbose=verbose):
        _convert(
            source,
            target,
            passthrough=tuple(passthrough or ()),
            project=project,
            template=template,
            as_json=as_json,
        )


def _convert(
    source: Path,
    target: Path,
    *,
    passthrough: tuple[Path, ...],
    project: Path | None,
    template: Path | None,
    as_json: bool,
) -> None:
    """Convert particles, and report what was written."""
    from napari_ini3d.io import convert_to_cryosparc, convert_to_star, is_cryosparc

    to_cryosparc = is_cryosparc(target)
    if to_cryosparc == is_cryosparc(source):
        raise SettingsError(
            f"{source} and {target}; expected a .cs file and a STAR file, in either order"
        )
    if not to_cryosparc and template is not None:
        raise SettingsError("--template is for .cs files that are written; leave it out")
    if to_cryosparc and passthrough and template is None:
        raise SettingsError(f"--passthrough belongs to a .cs file; {source} is a STAR file")
    targets = [target, target.with_suffix(".csg")] if to_cryosparc else [target]
    refuse_overwriting(targets, [source, template, *passthrough])
    if to_cryosparc:
        done = convert_to_cryosparc(
            source, target, project=project, template=template, passthrough=passthrough
        )
    else:
        done = convert_to_star(source, target, passthrough=passthrough, project=project)
    _report(source, done, as_json=as_json)


def _report(source: Path, done: Conversion, *, as_json: bool) -> None:
    if as_json:
        values = {
            "particles": str(source),
            "files": [str(path) for path in done.files],
            "number": done.n_particles,
            "results": list(done.results),
            "notes": list(done.notes),
        }
        emit("converted", values)
        return
    say(f"{done.n_particles} particles: {', '.join(done.results)}")
    for note in done.notes:
        say(f"Note: {note}")
    for path in done.files:
        say(f"Written: {path}")
