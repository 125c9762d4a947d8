"""`ini3d fetch`: real maps of the EMDB, to try the commands on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from napari_ini3d.cli.display import choose_mode, emit, say
from napari_ini3d.cli.session import errors, exit_codes
from napari_ini3d.cli.shared_options import JsonOption, QuietOption, VerboseOption


def fetch(
    name: Annotated[
        str | None, typer.Argument(help="Name of the map. Default: a list of all.")
    ] = None,
    folder: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to write.", show_default="this folder")
    ] = Path(),
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Download a real map of the EMDB and verify its hash; no other command needs a network."""
    mode = choose_mode(as_json=as_json, quiet=quiet)
    with exit_codes(verbose=verbose, quiet=quiet, as_json=as_json):
        from napari_ini3d.io import LICENCE, REMOTE_MAPS, fetch_map, find_remote_map

        if name is None:
            for found in REMOTE_MAPS:
                if as_json:
                    emit("listed", {"name": found.name, "url": found.url})
                entry = f"EMD-{found.entry}, {found.symmetry}"
                say(f"{found.name:20s} {found.title} ({entry})", mode)
            return
        wanted = find_remote_map(name)
        with _bar(shown=mode == "lines") as progress:
            path, downloaded = fetch_map(wanted, folder, progress)
        if as_json:
            values = {"map": str(path), "downloaded": downloaded, "sha256": wanted.sha256}
            emit("fetched", {**values, "symmetry": wanted.symmetry, "licence": LICENCE})
        done = "downloaded" if downloaded else "is there already"
        say(f"{path} {done}; its SHA-256 is the published one", mode)
        say(f"EMD-{wanted.entry}: {wanted.title}; {wanted.symmetry}; {LICENCE}", mode)


@contextmanager
def _bar(*, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """Show a bar of the bytes on a terminal."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn())
    disable = not (shown and errors.is_terminal)
    with Progress(*columns, console=errors, transient=True, disable=disable) as bar:
        task = bar.add_task("download", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
