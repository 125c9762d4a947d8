"""Argument and options of the commands of `ini3d` that read particles."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_ini3d.errors import SettingsError

ParticlesArgument = Annotated[
    Path,
    typer.Argument(
        help="STAR file of the particles (RELION 3.0 to 5, cisTEM), or .cs file (cryoSPARC).",
        show_default=False,
        readable=False,
    ),
]
PassthroughOption = Annotated[
    list[Path] | None,
    typer.Option(
        help="Passthrough .cs file of the same job, joined by uid; may be repeated. Default: those "
        "beside the particles, if fields are missing.",
        show_default=False,
        readable=False,
    ),
]
ProjectOption = Annotated[
    Path | None,
    typer.Option(
        help="Project folder, to which the paths of stacks are relative. Default: search.",
        show_default=False,
    ),
]
ClassesOption = Annotated[
    str | None,
    typer.Option(
        "--classes-2d",
        metavar="1,4,7",
        help="Use only the particles of these classes of a 2D classification, numbered as in the "
        "file; a range is written 3-6. Default: all.",
        show_default=False,
    ),
]
ClassAveragesOption = Annotated[
    bool,
    typer.Option(
        "--from-class-averages",
        help="PARTICLES is a stack of 2D class averages (run_it025_classes.mrcs), each of which is "
        "used as a particle: a quick look, without the CTF and without a validation.",
    ),
]


def with_particles(command: Callable[..., None]) -> Callable[..., None]:
    """Replace the parameter `files` of a command by the argument and options of particle files."""
    command.__annotations__.pop("files")  # a type whose import at start would take long
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.name != "files"]
    new = inspect.signature(_particle_files, eval_str=True).parameters
    argument, *options = (p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in new.values())

    @functools.wraps(command)
    def wrapper(**values: Any) -> None:
        chosen = {name: values.pop(name) for name in new}
        try:
            files = _particle_files(**chosen)
        except SettingsError as error:
            raise typer.BadParameter(str(error)) from error
        command(files=files, **values)

    wrapper.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[argument, *own, *options]
    )
    wrapper.__annotations__ = {}
    return wrapper


def _particle_files(
    particles: ParticlesArgument,
    passthrough: PassthroughOption = None,
    project: ProjectOption = None,
    classes_2d: ClassesOption = None,
    from_class_averages: ClassAveragesOption = False,
) -> Any:
    """Return the `ParticleFiles`, a type that is not imported at start."""
    from napari_ini3d.io import ParticleFiles, parse_classes

    return ParticleFiles(
        particles,
        tuple(passthrough or ()),
        project,
        classes_2d=parse_classes(classes_2d) if classes_2d is not None else (),
        class_averages=from_class_averages,
    )
