"""Runs that are going on elsewhere: dropped, chosen from the list, left and stopped."""

import pytest

pytest.importorskip("napari")

from dock_driver import press, show_runs, until
from fake_runs import make_volume, write_fake_run
from qtpy.QtCore import QTimer
from threaded_runs import start_in_thread

from napari_ini3d.io.mrc.maps import write_map
from napari_ini3d.plugin.initial_model.dock import InitialModelWidget
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


def dropped(viewer, folder, qtbot):
    """Open a folder as a drop does, in the event loop of the window."""
    done = []
    QTimer.singleShot(0, lambda: done.append(viewer.open(str(folder), plugin="napari-ini3d")))
    until(qtbot, lambda: done)


@pytest.mark.parametrize("is_open", [True, False])
def test_a_finished_run_that_is_dropped_is_that_of_the_window(
    viewer, own_config, tmp_path, qtbot, is_open
):
    """Whether the dock is open already, or is opened afterwards."""
    if is_open:
        widget = InitialModelWidget(viewer)
    folder = write_fake_run(tmp_path / "run", 3)
    folder.mark("SUCCESS")
    write_map(folder.map_path, make_volume(), 2.0)
    folder.report_path.write_text("<html>")
    dropped(viewer, folder.path, qtbot)
    assert [layer.name for layer in viewer.layers] == ["run, iterations"]
    if not is_open:
        widget = InitialModelWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Initial model")
    assert widget.panel.status.text().startswith("Finished after 3 iterations")
    assert widget.panel.iterations.isEnabled()
    assert not widget.first_steps.isVisible()
    until(qtbot, widget.isVisible)
    offered = (widget.verdict.map, widget.verdict.symmetry, widget.verdict.report)
    assert all(button.isVisible() for button in offered)
    assert not widget.verdict.compare.isVisible()
    for _ in range(2):  # the second time it is open already
        press(qtbot, widget.verdict.map)
        assert [layer.name for layer in viewer.layers if layer.visible] == ["initial_model"]


def test_a_finished_run_that_is_dropped_during_another_run_is_read_as_layers(
    widget, viewer, elsewhere, tmp_path, qtbot
):
    session = widget.session
    session.follow(elsewhere)
    until(qtbot, lambda: session.latest is not None)
    dropped(viewer, write_fake_run(tmp_path / "run", 3).path, qtbot)
    assert session.run_folder == elsewhere
    assert "run" in [layer.name for layer in viewer.layers]


def test_a_run_that_has_ended_is_read_by_the_file_reader(few_particles, tmp_path, qtbot):
    process = start_in_thread(
        few_particles, tmp_path / "run", SETTINGS.with_changes(iterations=2, write_every=1)
    )
    process.start()
    until(qtbot, lambda: process.poll() is not None)
    ((data, _, _),) = get_reader(str(tmp_path / "run"))(str(tmp_path / "run"))
    assert data.shape == (3, 32, 32, 32)  # by iteration, from 0
