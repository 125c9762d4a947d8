"""What all commands share: exit codes, messages on the error stream, and Ctrl-C."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer
from rich.console import Console
from rich.logging import RichHandler

from napari_ini3d.errors import explain

EXIT_ERROR = 1
EXIT_PROBLEMS = 3
EXIT_INTERRUPTED = 130

errors = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def exit_codes(*, verbose: bool = False, quiet: bool = False) -> Iterator[None]:
    """Turn what goes wrong into a message in plain words and the right exit code."""
    with _messages(verbose=verbose, quiet=quiet):
        try:
            yield
        except KeyboardInterrupt as error:
            raise typer.Exit(EXIT_INTERRUPTED) from error
        except (typer.Exit, typer.BadParameter):
            raise
        except Exception as error:
            _explain(error, verbose=verbose)
            raise typer.Exit(EXIT_ERROR) from error


class StopRequest:
    """Becomes true at the first Ctrl-C (or SIGTERM); the second one interrupts at once."""

    def __init__(self) -> None:
        self.signal_number: int | None = None

    def __call__(self) -> bool:
        """Tell whether the run should end after the iteration in hand."""
        return self.signal_number is not None

    @property
    def exit_code(self) -> int:
        """128 plus the number of the signal, as shells have it."""
        return 128 + (self.signal_number or signal.SIGINT)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self():
            raise KeyboardInterrupt
        self.signal_number = number
        errors.print("Ending after the iteration in hand; press Ctrl-C again to stop at once.")

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals over, as long as the context lasts."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, self._handle) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)


@contextmanager
def _messages(*, verbose: bool, quiet: bool) -> Iterator[None]:
    """Show the package's warnings on the error stream; with `verbose`, everything."""
    package = logging.getLogger(__name__.partition(".")[0])
    handler = RichHandler(console=errors, show_time=verbose, show_path=verbose)
    level = logging.DEBUG if verbose else logging.ERROR + 1 if quiet else logging.WARNING
    handler.setLevel(level)
    if not verbose:  # errors are raised as well, and said once
        handler.addFilter(lambda record: record.levelno < logging.ERROR)
    before = package.level
    package.addHandler(handler)
    package.setLevel(min(level, package.getEffectiveLevel()))
    try:
        yield
    finally:
        package.removeHandler(handler)
        package.setLevel(before)


def _explain(error: Exception, *, verbose: bool) -> None:
    """Print what went wrong, and below it the notes of the error, such as how to resume."""
    if verbose:
        errors.print_exception()
    errors.print(f"[bold red]error:[/] {_escaped(explain(error))}")
    for note in getattr(error, "__notes__", ()):
        errors.print(note, markup=False)


def _escaped(message: str) -> str:
    from rich.markup import escape

    return escape(message)
