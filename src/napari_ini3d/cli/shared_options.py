"""Options that the commands of `ini3d` and of `ini3d symmetry` share."""

from __future__ import annotations

from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", help="Print all log messages, and tracebacks of errors.")
]
ThreadsOption = Annotated[int, typer.Option(min=0, help="Number of threads; 0 uses all cores.")]
