"""Runs that are going on elsewhere: dropped, chosen from the list, left and stopped."""

import pytest

pytest.importorskip("napari")

from dock_driver import press, show_runs, until
from threaded_runs import start_in_thread

from napari_ini3d.plugin.initial_model.user_config import known_runs, remember_run
from napari_ini3d.plugin.opening import get_reader
from napari_ini3d.runs import RunFolder, RunRequests, is_locked
from napari_ini3d.settings import InitialModelSettings

SETTINGS = InitialModelSettings(mask_diameter=100.0, iterations=300, write_every=200, threads=1)

pytestmark = pytest.mark.usefixtures("slow_engine")


@pytest.fixture
def elsewhere(few_particles, tmp_path, qtbot, slow_engine):
    """The folder of a run that no window has started."""
    folder = tmp_path / "elsewhere"
    process = start_in_thread(few_particles, folder, SETTINGS)
    process.start()
    until(qtbot, lambda: RunFolder(folder).has_begun)
    yield folder
    if is_locked(folder):
        RunRequests(folder).stop()
    until(qtbot, lambda: process.poll() is not None)


def test_a_folder_that_is_dropped_is_followed_before_it_has_maps(widget, viewer, elsewhere, qtbot):
    assert not list(elsewhere.glob("run_it*.mrc"))
    viewer.open(str(elsewhere), plugin="napari-ini3d")
    session = widget.session
    until(qtbot, lambda: session.latest is not None)
    assert session.run_folder == elsewhere
    assert [layer.name for layer in viewer.layers] == ["elsewhere"]
    done = len(session.summaries)
    until(qtbot, lambda: len(session.summaries) > done)
    assert f"Iteration {len(session.summaries)} of at most 300" in widget.panel.status.text()
    assert known_runs() == [elsewhere]
    widget.tabs.setCurrentWidget(widget.log)
    widget.log.refresh()
    assert "12 particles from" in widget.log.text.toPlainText()
    viewer.open(str(elsewhere), plugin="napari-ini3d")  # again: it is followed already
    assert len(viewer.layers) == 1
    press(qtbot, widget.panel.stop)
    until(qtbot, lambda: not session.busy)
    assert session.error is None
    assert RunFolder(elsewhere).outcome() == "ABORTED"
    assert "can be resumed" in widget.panel.status.text()


def test_a_run_is_followed_from_the_list_and_left(widget, elsewhere, qtbot, notifications):
    remember_run(elsewhere)
    show_runs(widget)
    history = widget.history
    assert history.table.text(0, "State").startswith("running (")
    assert history.open.text() == "Follow"
    assert not history.resume.isEnabled()
    done = history.table.text(0, "State")
    press(qtbot, history.open)
    until(qtbot, lambda: widget.session.summaries)
    assert history.table.text(0, "State") != done  # the list is read again
    assert not widget.panel.run.isEnabled()
    press(qtbot, widget.panel.leave)
    until(qtbot, lambda: not widget.session.busy)
    assert "the run continues without this window" in widget.panel.status.text()
    assert widget.panel.run.isEnabled()
    assert not widget.panel.resume.isEnabled()
    assert RunFolder(elsewhere).outcome() is None
    until(qtbot, widget.running.isVisible)
    press(qtbot, widget.running.follow)
    until(qtbot, lambda: widget.session.state == "running")
    assert notifications == []


def test_a_run_whose_folder_cannot_be_written_has_no_stop(widget, elsewhere, qtbot, monkeypatch):
    monkeypatch.setattr("napari_ini3d.plugin.session.session.os.access", lambda *_: False)
    widget.session.follow(elsewhere)
    until(qtbot, lambda: widget.session.summaries)
    assert not widget.panel.stop.isEnabled()
    assert not widget.panel.pause.isEnabled()
    assert widget.panel.leave.isEnabled()
    press(qtbot, widget.panel.leave)
    until(qtbot, lambda: not widget.session.busy)


def test_a_run_that_has_ended_is_read_by_the_file_reader(few_particles, tmp_path, qtbot):
    process = start_in_thread(
        few_particles, tmp_path / "run", SETTINGS.with_changes(iterations=2, write_every=1)
    )
    process.start()
    until(qtbot, lambda: process.poll() is not None)
    ((data, _, _),) = get_reader(str(tmp_path / "run"))(str(tmp_path / "run"))
    assert data.shape == (3, 32, 32, 32)  # by iteration, from 0
