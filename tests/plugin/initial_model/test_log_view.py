"""The log in the dock: filter, and change to the log of another run."""

import pytest

pytest.importorskip("napari")

from napari_ini3d.plugin.initial_model.log_view import LogView
from napari_ini3d.plugin.session.log_buffer import LogTail


@pytest.fixture
def tail():
    return LogTail()


def log(tail, level, message):
    tail.add([f"2026-11-22 10:00:00 {level:7s} {message}"])


@pytest.fixture
def view(tail, qtbot):
    view = LogView(tail)
    qtbot.addWidget(view)
    return view


def shown(view):
    view.refresh()
    return [line.split(maxsplit=3)[3] for line in view.text.toPlainText().splitlines()]


def test_the_log_can_be_filtered_for_warnings_and_errors(view, tail):
    log(tail, "INFO", "started")
    log(tail, "WARNING", "dark particles")
    assert shown(view) == ["started", "dark particles"]
    view.level.setCurrentText("Warnings and errors")
    assert shown(view) == ["dark particles"]
    log(tail, "INFO", "iteration 1")
    log(tail, "ERROR", "no space")
    assert shown(view) == ["dark particles", "no space"]
    view.level.setCurrentText("All messages")
    assert shown(view) == ["started", "dark particles", "iteration 1", "no space"]


def test_an_empty_log_has_a_message(view):
    assert view.text.placeholderText() == "The log of the run appears here."
    view.level.setCurrentText("Warnings and errors")
    assert view.text.placeholderText() == "No warnings or errors."


def test_the_log_of_another_run_replaces_the_previous_one(view, tail, tmp_path):
    log(tail, "INFO", "old")
    assert shown(view) == ["old"]
    path = tmp_path / "log.txt"
    path.write_text("2026-11-22 10:00:00 INFO    x\n" * 3)
    tail.reset(path)
    assert shown(view) == ["x"] * 3
    log(tail, "INFO", "new")
    assert shown(view) == ["x"] * 3 + ["new"]
