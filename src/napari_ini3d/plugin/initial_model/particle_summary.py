"""Summary of the chosen particles, updated while they are checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_ini3d.errors import explain
from napari_ini3d.kernels import available_threads
from napari_ini3d.plugin.viewer import allow_threads
from napari_ini3d.preflight import (
    CheckReport,
    Preview,
    check_rows,
    describe_bad,
    describe_replaced,
    describe_time,
    estimate_resources,
    estimated_time,
    preview_particles,
)
from napari_ini3d.settings import InitialModelSettings

_CHECKED = ("ctf", "max_excluded", "invert_contrast")  # settings on which the checks depend
_WAIT_MS = 300  # without typing, before files are read


@dataclass(frozen=True, slots=True)
class _Finding:
    """Result of a worker: a preview with the estimated run time, or the text of an error."""

    number: int
    preview: Preview | None
    seconds: float | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Request:
    """Request to a worker, and whether its result is still needed."""

    number: int
    settings: InitialModelSettings
    newest: Callable[[], int]

    def is_current(self) -> bool:
        return self.number == self.newest()


class ParticleSummary(QWidget):
    """Checks particles in a worker and shows the result.

    Signals
    -------
    checked : Preview
        A new result on the chosen particles.
    """

    checked = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.preview: Preview | None = None
        self._text = QLabel()
        self._text.setWordWrap(True)
        self._text.setAccessibleName("Summary of the particles")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._text)
        self._path: Path | None = None
        self._settings = InitialModelSettings()
        self._number = 0  # of the newest request; results of older ones are not shown
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_WAIT_MS)
        self._timer.timeout.connect(self._check)
        self.hide()

    @property
    def report(self) -> CheckReport | None:
        """Report on the chosen particles; None before the first result."""
        return None if self.preview is None else self.preview.report

    @property
    def text(self) -> str:
        """The text that is shown."""
        text: str = self._text.text()
        return text

    def choose(self, path: Path | None, settings: InitialModelSettings) -> None:
        """Check other particles; None clears the summary."""
        self._number += 1
        self._path, self._settings, self.preview = path, settings, None
        self._set_text("Checking the particles …" if path else "")
        if path is None:
            self._timer.stop()
        else:
            self._timer.start()

    def estimate_again(self, settings: InitialModelSettings) -> None:
        """Estimate time and memory for other settings; check the images again if needed."""
        before, self._settings = self._settings, settings
        if self._path is None or settings == before:
            return
        if any(getattr(settings, name) != getattr(before, name) for name in _CHECKED):
            self.choose(self._path, settings)
        elif self.preview is not None and self.preview.complete:
            self._work(_estimate, self.preview)

    def _check(self) -> None:
        if self._path is not None:
            self._work(_check_particles, self._path)

    def _work(self, function: Any, subject: Any) -> None:
        self._number += 1
        request = _Request(self._number, self._settings, lambda: self._number)
        allow_threads()
        worker = create_worker(function, subject, request)
        worker.yielded.connect(self._on_found)
        worker.start()

    def _on_found(self, finding: _Finding) -> None:
        if finding.number == self._number:
            self._show(finding)

    def _show(self, finding: _Finding) -> None:
        if finding.preview is None:
            self._set_text(f"⚠ {finding.error}")
            return
        self.preview = finding.preview
        self._set_text(summary_text(finding.preview, finding.seconds, self._settings))
        rows = check_rows(finding.preview.report, finding.seconds)
        cells = "".join(f"<tr><td>{name}</td><td>&nbsp;{value}</td></tr>" for name, value in rows)
        self._text.setToolTip(f"<table>{cells}</table>")
        self.checked.emit(finding.preview)

    def _set_text(self, text: str) -> None:
        self._text.setText(text)
        self.setVisible(bool(text))


def summary_text(preview: Preview, seconds: float | None, settings: InitialModelSettings) -> str:
    """Return the summary of the particles, a few lines."""
    report = preview.report
    if not report.box_size:
        return ""
    width = report.box_size * report.pixel_size
    lines = [
        f"<b>{report.n_particles:,} particles</b>, {report.box_size} pixels of "
        f"{report.pixel_size:g} Å ({width:.0f} Å), {_count(len(report.optics), 'optics group')}"
    ]
    working = report.working_grid
    if working is not None and working.box_size < report.box_size:
        lines.append(f"Processed in a box of {working}; the result has the box of the particles")
    lines += _lines_of_images(preview)
    if seconds is not None:
        threads = available_threads(settings.threads)
        cores = _count(threads, "CPU thread")
        lines.append(f"A run takes about {describe_time(seconds)} on {cores}")
    if report.resources is not None:
        memory, disk = report.resources.memory_bytes / 1e9, report.resources.disk_bytes / 1e9
        lines.append(f"{memory:.1f} GB of memory, up to {disk:.2f} GB of disk")
    lines += [f"⚠ {note}" for note in report.notes]
    return "<br>".join(lines)


def _lines_of_images(preview: Preview) -> Iterator[str]:
    report = preview.report
    if not preview.n_checked:
        yield "Checking the images …"
        return
    yield f"Contrast: {report.contrast}" + (", to be inverted" if report.inverted else "")
    if preview.complete:
        yield f"Excluded: {describe_bad(report)}"
        if report.n_mended:
            yield f"Replaced: {describe_replaced(report.n_replaced_pixels, report.n_mended)}"
    else:
        done = preview.n_checked / report.n_particles
        yield f"Excluded so far: {len(report.bad_images)} ({done:.0%} checked)"


def _count(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _check_particles(path: Path, request: _Request) -> Iterator[_Finding]:
    """Check particles in a worker, until the request is out of date; errors are values."""
    settings, number = request.settings, request.number
    try:
        with closing(preview_particles(path, settings)) as previews:
            for preview in previews:
                if not request.is_current():
                    return
                seconds = estimated_time(preview.report, settings) if preview.complete else None
                yield _Finding(number, preview, seconds)
    except Exception as error:
        yield _Finding(number, None, None, explain(error))


def _estimate(preview: Preview, request: _Request) -> Iterator[_Finding]:
    """Estimate time and memory for other settings in a worker; errors are values."""
    report, settings = preview.report, request.settings
    try:
        resources = estimate_resources(
            report.n_particles, report.box_size, settings, pixel_size=report.pixel_size
        )
        again = replace(preview, report=replace(report, resources=resources))
        yield _Finding(request.number, again, estimated_time(report, settings))
    except Exception as error:
        yield _Finding(request.number, None, None, explain(error))
