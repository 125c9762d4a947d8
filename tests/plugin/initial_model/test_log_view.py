"""The log in the dock: filter, and change to the log of another run."""

import logging
from pathlib import Path

import pytest

pytest.importorskip("napari")

from napari_ini3d.plugin.initial_model.log_view import LogView
from napari_ini3d.plugin.session.log_buffer import LogTail

package = logging.getLogger("napari_ini3d")


@pytest.fixture
def tail():
    tail = LogTail()
    tail.listen(Path("none.txt"))
    yield tail
    tail.leave()


@pytest.fixture
def view(tail, qtbot):
    view = LogView(tail)
    qtbot.addWidget(view)
    return view


def shown(view):
    view.refresh()
    return [line.split(maxsplit=2)[2] for line in view.text.toPlainText().splitlines()]


def test_the_log_can_be_filtered_for_warnings_and_errors(view):
    package.info("started")
    package.warning("dark particles")
    assert shown(view) == ["started", "dark particles"]
    view.level.setCurrentText("Warnings and errors")
    assert shown(view) == ["dark particles"]
    package.info("iteration 1")
    package.error("no space")
    assert shown(view) == ["dark particles", "no space"]
    view.level.setCurrentText("All messages")
    assert shown(view) == ["started", "dark particles", "iteration 1", "no space"]


def test_an_empty_log_has_a_message(view):
    assert view.text.placeholderText() == "The log of the run appears here."
    view.level.setCurrentText("Warnings and errors")
    assert view.text.placeholderText() == "No warnings or errors."


def test_the_log_of_another_run_replaces_the_previous_one(view, tail, tmp_path):
    package.info("old")
    assert shown(view) == ["old"]
    path = tmp_path / "log.txt"
    path.write_text("2026-11-22 10:00:00 INFO    x\n" * 3)
    tail.reset(path)
    assert shown(view) == ["INFO    x"] * 3
    package.info("new")
    assert shown(view) == ["INFO    x"] * 3 + ["new"]
