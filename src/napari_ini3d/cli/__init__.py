"""Command line of `ini3d`.

Only Typer and the settings are imported at start; each command imports what it needs.
"""


def main() -> None:
    """Run the command line; `ini3d --help` lists the exit codes."""
    from napari_ini3d.cli.app import app

    app(prog_name="ini3d")
