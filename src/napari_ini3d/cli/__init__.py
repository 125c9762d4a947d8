"""The `ini3d` command.

Only Typer and the settings are loaded at start; what a command needs is imported by the command.
"""


def main() -> None:
    """Run the command line; exit codes are listed in `ini3d --help`."""
    from napari_ini3d.cli.app import app

    app(prog_name="ini3d")
