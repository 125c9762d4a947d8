"""Options that the commands of `ini3d` and of `ini3d symmetry` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FolderArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of the run.", show_default=False)
]
OutputOption = Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Delete the files of an earlier run in the folder.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to standard output.")]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", help="Print all log messages, and tracebacks of errors.")
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Treat warnings about the particles as errors.")
]
VoxelSizeOption = Annotated[
    float | None,
    typer.Option("--pixel-size", min=0.01, help="Voxel size [Å], instead of that in the header."),
]
ThreadsOption = Annotated[int, typer.Option(min=0, help="Number of threads; 0 uses all cores.")]
FromIterationOption = Annotated[
    int | None, typer.Option(min=1, help="Continue from this earlier written iteration.")
]
IterationsOption = Annotated[
    int | None, typer.Option(min=1, help="New maximum number of iterations.")
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        help="Compare the images on a cluster of Dask: local:4 (processes of this machine), "
        "tcp://host:8786, its scheduler file, or slurm:FILE.yaml. The result has the same bits.",
        show_default=False,
    ),
]
EstimateOption = Annotated[
    bool,
    typer.Option(
        "--estimate",
        help="Run nothing: estimate time and memory by phase, also on a cluster, from a short run "
        "with some of the particles.",
    ),
]
