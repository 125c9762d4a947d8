"""Exit codes, error messages and Ctrl-C, the same for all commands."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer
from rich.console import Console
from rich.logging import RichHandler

from napari_ini3d._logging import log_to
from napari_ini3d.errors import explain

EXIT_ERROR = 1
EXIT_PROBLEMS = 3
EXIT_PIPE = 141

errors = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def exit_codes(
    *, verbose: bool = False, quiet: bool = False, as_json: bool = False
) -> Iterator[None]:
    """Print an error as a message, or as a line of JSON, and end with its exit code."""
    with _messages(verbose=verbose, quiet=quiet):
        try:
            yield
        except KeyboardInterrupt as error:
            number = error.args[0] if error.args else signal.SIGINT
            raise typer.Exit(128 + int(number)) from error
        except BrokenPipeError as error:  # of `| head`
            raise typer.Exit(EXIT_PIPE) from error
        except (typer.Exit, typer.BadParameter):
            raise
        except Exception as error:
            if as_json:
                typer.echo(format_error(error), err=True)
            else:
                _explain(error, verbose=verbose)
            raise typer.Exit(EXIT_ERROR) from error


class StopRequest:
    """True after the first Ctrl-C (or SIGTERM); the second one stops the run immediately.

    Parameters
    ----------
    message : str
        Printed after the first.
    """

    def __init__(
        self,
        message: str = "Stopping after the current iteration; press Ctrl-C again to stop now.",
    ) -> None:
        self._message = message
        self.signal_number: int | None = None

    def __call__(self) -> bool:
        """Return whether the run should stop after the current iteration."""
        return self.signal_number is not None

    @property
    def exit_code(self) -> int:
        """128 plus the number of the signal, as in shells."""
        return 128 + (self.signal_number or signal.SIGINT)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self():
            raise KeyboardInterrupt(number)
        self.signal_number = number
        typer.echo(self._message, err=True)  # Rich may be in the middle of its own import

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM, and Ctrl-Break of Windows, while the context lasts."""
        names = ("SIGINT", "SIGTERM", "SIGBREAK")
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        before = [signal.signal(number, self._handle) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)


@contextmanager
def _messages(*, verbose: bool, quiet: bool) -> Iterator[None]:
    """Print warnings on the error stream; with `verbose`, all messages."""
    level = logging.DEBUG if verbose else logging.ERROR + 1 if quiet else logging.WARNING
    handler = RichHandler(level, console=errors, show_time=verbose, show_path=verbose)
    if not verbose:  # an error is raised as well as logged; print it once
        handler.addFilter(lambda record: record.levelno < logging.ERROR)
    with log_to(handler):
        yield


def format_error(error: BaseException) -> str:
    """Return an error as a line of JSON: its type, its message, and notes on what to do."""
    notes = list(getattr(error, "__notes__", ()))
    values = {"type": type(error).__name__, "message": explain(error), "notes": notes}
    return json.dumps({"event": "error", **values})


def _explain(error: Exception, *, verbose: bool) -> None:
    """Print an error, and below it its notes, such as how to resume."""
    if verbose:
        errors.print_exception()
    errors.print(f"[bold red]error:[/] {_escaped(explain(error))}")
    for note in getattr(error, "__notes__", ()):
        errors.print(note, markup=False)


def _escaped(message: str) -> str:
    from rich.markup import escape

    return escape(message)
