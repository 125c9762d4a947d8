"""Closing of a window whose run is going on, with a stand-in for the question and the real one."""

import pytest

pytest.importorskip("napari")

from dock_driver import fill_in, press, until
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QMessageBox
from window_system import ask_to_close

from napari_ini3d.plugin.initial_model.dock import InitialModelWidget
from napari_ini3d.plugin.session import closing
from napari_ini3d.plugin.session.closing import ask_before_closing
from napari_ini3d.plugin.viewer.docking import main_window_of
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.lock import is_locked
from napari_ini3d.runs.requests import RunRequests


@pytest.fixture
def asked(monkeypatch):
    """What was asked; the answer is its attribute."""

    class Asked(list):
        answer = "stay"

    found = Asked()

    def ask(_, text):
        found.append(text)
        return found.answer

    monkeypatch.setattr(closing, "ask_before_closing", ask)
    return found


@pytest.fixture
def running(make_napari_viewer, own_config, few_particles, tmp_path, qtbot, slow_engine):
    """The dock of a window with a run that takes seconds."""
    viewer = make_napari_viewer(show=True)
    widget = InitialModelWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Initial model")
    fill_in(widget, qtbot, few_particles, tmp_path / "run", iterations=200)
    press(qtbot, widget.panel.run)
    until(qtbot, lambda: widget.session.summaries)
    yield viewer, widget
    if is_locked(tmp_path / "run"):
        RunRequests(tmp_path / "run").unpause()
        RunRequests(tmp_path / "run").stop()
        until(qtbot, lambda: not is_locked(tmp_path / "run"))


def test_who_stays_keeps_window_and_run(running, asked, qtbot, tmp_path):
    _, widget = running
    window = main_window_of(widget)
    ask_to_close(main_window_of(widget))
    until(qtbot, lambda: asked)
    assert "A run is going on in this window: run, iteration" in asked[0]
    assert window.isVisible()
    assert widget.session.state == "running"
    assert RunFolder(tmp_path / "run").outcome() is None


def test_a_run_that_is_stopped_writes_its_results_after_the_window_is_gone(
    running, asked, qtbot, tmp_path
):
    _, widget = running
    session, gone = widget.session, []
    main_window_of(widget).destroyed.connect(lambda: gone.append(True))
    asked.answer = "stop"
    ask_to_close(main_window_of(widget))
    until(qtbot, lambda: gone)
    until(qtbot, lambda: RunFolder(tmp_path / "run").outcome() == "ABORTED")
    until(qtbot, lambda: not session.busy)
    assert RunFolder(tmp_path / "run").written_iterations()
    assert len(asked) == 1, "napari does not ask again"


def test_a_run_that_is_kept_goes_on_after_the_window_is_gone(running, asked, qtbot, tmp_path):
    _, widget = running
    session, gone = widget.session, []
    main_window_of(widget).destroyed.connect(lambda: gone.append(True))
    asked.answer = "keep"
    ask_to_close(main_window_of(widget))
    until(qtbot, lambda: gone)
    until(qtbot, lambda: not session.busy)
    done = len(RunFolder(tmp_path / "run").read_progress())
    until(qtbot, lambda: len(RunFolder(tmp_path / "run").read_progress()) > done + 2)
    assert RunFolder(tmp_path / "run").outcome() is None


def test_a_run_that_is_kept_is_offered_by_the_next_window_and_followed(
    running, asked, qtbot, tmp_path, make_napari_viewer
):
    _, widget = running
    session = widget.session
    session.pause()
    asked.answer = "keep"
    until(qtbot, RunRequests(tmp_path / "run").pause_path.exists)
    ask_to_close(main_window_of(widget))
    until(qtbot, lambda: not session.busy)
    assert "It is paused" in asked[0]
    viewer = make_napari_viewer(show=True)
    again = InitialModelWidget(viewer)
    viewer.window.add_dock_widget(again, name="Initial model")
    until(qtbot, again.running.isVisible)
    assert again.running.choice.currentText().startswith("run, iteration ")
    press(qtbot, again.running.follow)
    until(qtbot, lambda: again.session.state == "paused")
    assert not again.running.isVisible()
    assert not again.session.is_own_run
    press(qtbot, again.panel.pause)  # Continue
    done = len(again.session.summaries)
    until(qtbot, lambda: len(again.session.summaries) > done)
    assert [layer.name for layer in viewer.layers] == ["run"]
    viewer.close()
    until(qtbot, lambda: not again.session.busy)
    assert len(asked) == 1, "a run that is only followed goes on without a question"
    assert is_locked(tmp_path / "run")


def test_a_window_that_a_program_closes_asks_nothing_and_stops_its_run(
    running, asked, qtbot, tmp_path
):
    viewer, widget = running
    session = widget.session
    viewer.close()
    until(qtbot, lambda: RunFolder(tmp_path / "run").outcome() == "ABORTED")
    until(qtbot, lambda: not session.busy)
    assert asked == []


@pytest.mark.parametrize(
    ("button", "answer"),
    [("Stop", "stop"), ("Keep running", "keep"), ("Stay", "stay"), ("", "stay")],
)
def test_the_question_has_three_answers_and_escape_stays(viewer, qtbot, button, answer):
    seen = []

    def press_it():
        box = next(w for w in QApplication.topLevelWidgets() if isinstance(w, QMessageBox))
        seen.append((box.text(), box.defaultButton().text()))
        named = {each.text().replace("&", ""): each for each in box.buttons()}
        if button:
            named[button].click()
        else:
            box.reject()

    QTimer.singleShot(200, press_it)
    window = QApplication.activeWindow() or QApplication.topLevelWidgets()[0]
    assert ask_before_closing(window, "A run is going on.") == answer
    assert seen == [("A run is going on.", "Keep running")]
