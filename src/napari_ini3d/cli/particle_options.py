"""Arguments and options of the commands of `ini3d` that read particles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ParticlesArgument = Annotated[
    Path,
    typer.Argument(
        help="STAR file of the particles (RELION 3.0 to 5), or .cs file (cryoSPARC).",
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
