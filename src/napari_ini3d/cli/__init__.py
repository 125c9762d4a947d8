"""Command line of `ini3d`.

Only Typer and the settings are imported at start; each command imports what it needs.
"""

import contextlib
import io
import os
import sys


def main() -> None:
    """Run the command line; `ini3d --help` lists the exit codes."""
    from napari_ini3d._address_space import fit_into_address_space
    from napari_ini3d.errors import AddressSpaceError, explain

    try:
        fit_into_address_space()
        _run()
    except (AddressSpaceError, MemoryError) as error:  # too early, or too little to print it nicely
        sys.exit(f"error: {explain(error)}")


def _run() -> None:
    from napari_ini3d.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without Å prints ? instead
            stream.reconfigure(errors="replace")
    try:
        app(prog_name="ini3d")
    finally:
        _flush()


def _flush() -> None:
    """Print what is left; say nothing if nobody reads it, as behind `| head`."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
