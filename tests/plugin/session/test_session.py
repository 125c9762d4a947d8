"""Runs of a real viewer with a fake engine: followed, paused, stopped and failed."""

import re
import time

import numpy as np
import pytest

pytest.importorskip("napari")

from fake_runs import fake_reconstruct, use_fake_engine
from napari import current_viewer
from napari._qt.widgets.qt_progress_bar import QtLabeledProgressBar
from qtpy.QtWidgets import QApplication
from threaded_runs import use_threaded_runs

from napari_ini3d.errors import RunFolderError
from napari_ini3d.jobs import run as run_module
from napari_ini3d.plugin.layers import density_scale_of
from napari_ini3d.plugin.session import pace, session as session_module
from napari_ini3d.plugin.session.session import RunSession
from napari_ini3d.plugin.session.status import expected_end
from napari_ini3d.preflight import selection
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.settings import InitialModelSettings

SETTINGS = InitialModelSettings(mask_diameter=100.0, iterations=6, write_every=2, threads=1)
LONG = SETTINGS.with_changes(iterations=60, write_every=50)  # long enough to be paused or stopped


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    use_fake_engine(monkeypatch, seconds=0.05)
    use_threaded_runs(monkeypatch)
    monkeypatch.setattr(pace, "REST", 0.0)  # drawing may be slow here


@pytest.fixture
def notifications(monkeypatch):
    """Error notifications of the session."""
    messages = []
    monkeypatch.setattr(session_module, "show_error", messages.append)
    return messages


@pytest.fixture
def viewer(make_napari_viewer):
    return make_napari_viewer(show=False)  # drawn in test_initial_model


@pytest.fixture
def session(viewer):
    return RunSession.of(viewer)


def until(qtbot, condition):
    qtbot.waitUntil(lambda: bool(condition()), timeout=30_000)


def until_idle(qtbot, session):
    until(qtbot, lambda: session.state == "idle")


def test_a_viewer_has_one_session(viewer, make_napari_viewer):
    from napari.utils._proxies import PublicOnlyProxy

    assert RunSession.of(viewer) is RunSession.of(PublicOnlyProxy(viewer))
    assert RunSession.of(make_napari_viewer()) is not RunSession.of(viewer)


def test_a_run_shows_its_map_and_ends_with_its_folder(
    session, viewer, few_particles, tmp_path, qtbot
):
    states = []
    session.state_changed.connect(states.append)
    with qtbot.waitSignal(session.finished, timeout=10_000) as ended:
        session.start(few_particles, tmp_path / "run", SETTINGS)
    assert ended.args == [tmp_path / "run"]
    assert states == ["running", "idle"]
    assert [s.iteration for s in session.summaries] == [1, 2, 3, 4, 5, 6]
    (layer,) = viewer.layers
    assert layer.name == "run"
    shown = layer.data / density_scale_of(layer.metadata)
    np.testing.assert_array_equal(shown, session.latest.volumes[0])
    assert tuple(str(unit) for unit in layer.units) == ("angstrom",) * 3
    assert layer.metadata["ini3d"]["iteration"] == 6
    assert "ini3d run" in RunFolder.open(tmp_path / "run").read_record().command


def test_each_class_has_one_layer_throughout_the_run(
    session, viewer, few_particles, tmp_path, qtbot
):
    made = []
    viewer.layers.events.inserted.connect(lambda event: made.append(event.value.name))
    session.start(few_particles, tmp_path / "run", SETTINGS.with_changes(classes=3))
    until_idle(qtbot, session)
    assert [name for name in made if name.startswith("run")] == [
        "run class 1",
        "run class 2",
        "run class 3",
    ]
    assert len(made) == 6, "each has a caption beside it, once"


def test_an_update_keeps_camera_and_contrast(session, viewer, few_particles, tmp_path, qtbot):
    session.start(few_particles, tmp_path / "run", SETTINGS)
    until(qtbot, lambda: len(viewer.layers) == 1)
    viewer.scene.camera.angles = (10, 20, 30)
    viewer.scene.camera.zoom = 1.7
    before = viewer.layers[0].contrast_limits
    until_idle(qtbot, session)
    np.testing.assert_allclose(viewer.scene.camera.angles, (10, 20, 30))
    assert viewer.scene.camera.zoom == 1.7
    np.testing.assert_allclose(viewer.layers[0].contrast_limits, before)


def test_a_slow_window_drops_maps_but_no_summaries(
    session, viewer, few_particles, tmp_path, qtbot, monkeypatch
):
    shown = []
    monkeypatch.setattr(run_module, "reconstruct", fake_reconstruct)  # iterations of a few ms
    session.progressed.connect(lambda progress: shown.append(progress.summary.iteration))
    session.start(
        few_particles, tmp_path / "run", SETTINGS.with_changes(iterations=15, write_every=50)
    )
    until_idle(qtbot, session)
    assert shown[-1] == 15
    assert len(shown) + session.dropped == 15
    assert session.dropped > 0
    assert len(session.summaries) == 15


def test_the_window_rests_between_maps_if_drawing_is_slow(
    session, few_particles, tmp_path, qtbot, monkeypatch
):
    monkeypatch.setattr(pace, "REST", 4.0)
    shown = []

    def draw_slowly(progress):
        time.sleep(0.2)
        shown.append(time.monotonic())

    session.progressed.connect(draw_slowly)
    settings = SETTINGS.with_changes(iterations=2000, write_every=1000)
    session.start(few_particles, tmp_path / "run", settings)
    until(qtbot, lambda: len(shown) >= 4)
    session.stop()
    until_idle(qtbot, session)
    first, *between = np.diff(shown[:4])  # the last map is shown without delay
    assert (np.array(between) > 0.2 * 4).all(), between
    assert first < min(between), "the first map is always slow: it makes no pause"
    assert len(session.summaries) == session.latest.summary.iteration


def test_a_paused_run_waits_and_continues(session, few_particles, tmp_path, qtbot):
    session.start(few_particles, tmp_path / "run", LONG)
    until(qtbot, lambda: session.summaries)
    session.pause()
    assert session.state == "paused"
    counts = [0]
    while counts[-1] != len(session.summaries):  # the current iteration is finished first
        counts.append(len(session.summaries))
        qtbot.wait(1000)
    assert counts[-1] < 60
    session.unpause()
    assert session.state == "running"
    until_idle(qtbot, session)
    assert len(session.summaries) == 60


def test_a_stopped_run_keeps_its_results_and_is_resumed(session, few_particles, tmp_path, qtbot):
    states = []
    session.state_changed.connect(states.append)
    session.start(few_particles, tmp_path / "run", LONG)
    until(qtbot, lambda: session.summaries)
    session.stop()
    until_idle(qtbot, session)
    assert states == ["running", "stopping", "idle"]
    folder = RunFolder.open(tmp_path / "run")
    assert folder.outcome() == "ABORTED"
    done = len(session.summaries)
    assert folder.class_map_path(done, 0).is_file()
    session.resume(tmp_path / "run")
    until_idle(qtbot, session)
    assert folder.outcome() == "SUCCESS"
    assert [s.iteration for s in session.summaries] == list(range(1, 61))


def test_a_run_that_is_stopped_during_the_checks_ends_at_once(
    session, few_particles, tmp_path, qtbot, monkeypatch
):
    """Without the stop, the checks of 12 images at 50 ms would be completed."""
    checked = []

    def look_slowly(source, images, shapes):
        time.sleep(0.05)
        checked.extend(images)
        return iter(())

    monkeypatch.setattr(selection, "_IMAGES_AT_ONCE", 1)
    monkeypatch.setattr(selection, "bad_images", look_slowly)
    session.start(few_particles, tmp_path / "run", SETTINGS)
    until(qtbot, lambda: len(checked) >= 2)
    session.stop()
    until_idle(qtbot, session)
    assert len(checked) < 12
    assert session.error is None
    assert not (tmp_path / "run").exists()
    session.start(few_particles, tmp_path / "run", SETTINGS)  # the folder is still free
    session.stop()
    until_idle(qtbot, session)


def test_a_resumed_run_updates_the_same_layer(session, viewer, few_particles, tmp_path, qtbot):
    session.start(few_particles, tmp_path / "run", SETTINGS)
    until(qtbot, lambda: session.summaries)
    session.stop()
    until_idle(qtbot, session)
    session.resume(tmp_path / "run")
    until_idle(qtbot, session)
    assert len(viewer.layers) == 1


@pytest.mark.parametrize("error", [RuntimeError("CUDA error 700"), MemoryError(), OSError(28, "x")])
def test_a_failing_engine_is_reported_and_the_run_can_be_resumed(
    session, few_particles, tmp_path, qtbot, monkeypatch, notifications, error
):
    def broken(*args, **kwargs):
        yield next(fake_reconstruct(*args, **kwargs))
        raise error

    monkeypatch.setattr(run_module, "reconstruct", broken)
    with qtbot.waitSignal(session.failed, timeout=10_000) as failed:
        session.start(few_particles, tmp_path / "run", SETTINGS)
    assert failed.args == [error]
    assert session.state == "idle"
    assert f"resume the run in {tmp_path / 'run'}" in notifications[0]
    assert RunFolder.open(tmp_path / "run").outcome() == "FAILURE"
    monkeypatch.setattr(run_module, "reconstruct", fake_reconstruct)
    session.resume(tmp_path / "run")
    until_idle(qtbot, session)
    assert len(session.summaries) == 6


def test_a_missing_star_file_is_reported(session, tmp_path, qtbot, notifications):
    with qtbot.waitSignal(session.failed, timeout=10_000):
        session.start(tmp_path / "nowhere.star", tmp_path / "run", SETTINGS)
    assert "nowhere.star" in notifications[0]
    assert "resume" not in notifications[0]


def test_a_second_run_is_refused_and_the_first_continues(session, few_particles, tmp_path, qtbot):
    session.start(few_particles, tmp_path / "run", SETTINGS)
    with pytest.raises(RunFolderError, match="a run is in progress in"):
        session.start(few_particles, tmp_path / "other", SETTINGS)
    assert session.run_folder == tmp_path / "run"
    until_idle(qtbot, session)
    assert not (tmp_path / "other").exists()
    assert len(session.summaries) == 6


def test_a_layer_removed_during_the_run_is_not_added_again(
    session, viewer, few_particles, tmp_path, qtbot
):
    session.start(few_particles, tmp_path / "run", SETTINGS.with_changes(classes=2))
    until(qtbot, lambda: {"run class 1", "run class 2"} <= {x.name for x in viewer.layers})
    viewer.layers.remove("run class 1")
    until_idle(qtbot, session)
    until(qtbot, lambda: [layer.name for layer in viewer.layers] == ["run class 2"])
    assert viewer.layers[0].metadata["ini3d"]["iteration"] == 6
    session.start(few_particles, tmp_path / "next", SETTINGS)
    until_idle(qtbot, session)
    assert "next" in viewer.layers


def test_closing_the_viewer_stops_the_run_and_leaves_a_marker(
    make_napari_viewer, few_particles, tmp_path, qtbot
):
    viewer = make_napari_viewer(show=True)
    session = RunSession.of(viewer)
    session.start(few_particles, tmp_path / "run", SETTINGS.with_changes(iterations=100))
    until(qtbot, lambda: session.summaries)
    viewer.close()
    until(qtbot, lambda: RunFolder.open(tmp_path / "run").outcome() is not None)
    folder = RunFolder.open(tmp_path / "run")
    assert folder.outcome() == "ABORTED"
    assert folder.written_iterations()
    until_idle(qtbot, session)


def activity_bars():
    """The bars in the Activity docks of all windows: description, value, end, time left."""
    bars = [
        bar
        for window in QApplication.topLevelWidgets()
        for bar in window.findChildren(QtLabeledProgressBar)
    ]
    inner = [bar.qt_progress_bar for bar in bars]
    return [
        (bar.description_label.text(), line.value(), line.maximum(), bar.eta_label.text())
        for bar, line in zip(bars, inner, strict=True)
    ]


def test_the_activity_dock_shows_progress_and_remaining_time(
    session, few_particles, tmp_path, qtbot
):
    session.start(few_particles, tmp_path / "run", SETTINGS.with_changes(iterations=30))
    ((name, _, end, left),) = activity_bars()
    assert (name, end, left) == ("Initial model run: ", 0, "")
    until(qtbot, lambda: session.latest is not None and session.latest.summary.iteration > 8)
    ((_, value, end, left),) = activity_bars()
    assert value == session.latest.summary.iteration
    # the validation follows as a further step
    assert end == expected_end(session.summaries, SETTINGS.with_changes(iterations=30)) + 1
    assert re.search(r"<00:0\d,", left), left
    session.stop()
    until_idle(qtbot, session)
    until(qtbot, lambda: not activity_bars())


def test_a_run_that_fails_leaves_no_bar(session, tmp_path, qtbot, notifications):
    session.start(tmp_path / "nowhere.star", tmp_path / "run", SETTINGS)
    assert len(activity_bars()) == 1
    until_idle(qtbot, session)
    until(qtbot, lambda: not activity_bars())


def test_closing_another_window_does_not_stop_the_run(
    session, viewer, make_napari_viewer, few_particles, tmp_path, qtbot
):
    other = make_napari_viewer(show=False)
    assert current_viewer() is other
    session.start(few_particles, tmp_path / "run", SETTINGS.with_changes(iterations=40))
    until(qtbot, lambda: session.summaries)
    other.close()
    qtbot.wait(300)
    assert session.state == "running"
    assert len(activity_bars()) == 1
    viewer.close()
    until_idle(qtbot, session)
    until(qtbot, lambda: RunFolder.open(tmp_path / "run").outcome() == "ABORTED")
    assert session.error is None


def test_the_log_is_kept_for_the_window(session, few_particles, tmp_path, qtbot):
    session.start(few_particles, tmp_path / "run", SETTINGS)
    until_idle(qtbot, session)
    text = "\n".join(line.text for line in session.log.lines_after(0))
    assert "12 particles from" in text
    assert "6/6" in text


def test_the_log_of_a_reopened_run_is_that_of_its_file(session, few_particles, tmp_path, qtbot):
    for name in ("first", "second"):
        session.start(few_particles, tmp_path / name, SETTINGS)
        until_idle(qtbot, session)
    session.reopen(tmp_path / "first")
    text = "\n".join(line.text for line in session.log.lines_after(0))
    assert text + "\n" == (tmp_path / "first" / "log.txt").read_text()


def test_a_resumed_run_appends_to_its_log(session, few_particles, tmp_path, qtbot):
    session.start(few_particles, tmp_path / "run", LONG)
    until(qtbot, lambda: session.summaries)
    session.stop()
    until_idle(qtbot, session)
    session.resume(tmp_path / "run")
    until_idle(qtbot, session)
    text = "\n".join(line.text for line in session.log.lines_after(0))
    assert all(f" {i}/60 " in text for i in range(1, 61))
    assert text.index("stopped; continue with") < text.index(", resumed")


def test_the_history_follows_the_newest_iteration_unless_an_earlier_one_is_shown(
    session, viewer, few_particles, tmp_path, qtbot
):
    session.start(few_particles, tmp_path / "run", SETTINGS.with_changes(iterations=12))
    until(qtbot, lambda: len(session.summaries) >= 2)
    session.layers.show_history()
    newest, history = viewer.layers
    assert (newest.visible, history.visible) == (False, True)
    before = history.data.shape[0]
    assert session.layers.shown_iteration() == history.metadata["ini3d"]["iterations"][-1]
    until(qtbot, lambda: history.data.shape[0] > before)
    assert session.layers.shown_iteration() == history.metadata["ini3d"]["iterations"][-1]
    assert session.layers.show_iteration(1) == 1
    until_idle(qtbot, session)
    assert session.layers.shown_iteration() == 1  # an earlier iteration stays
    assert history.data.shape == (13, 32, 32, 32)  # at the numbers of the iterations, to 12
    assert newest.metadata["ini3d"]["iteration"] == 12
    session.layers.show_newest()
    assert (newest.visible, history.visible) == (True, False)


def test_a_history_without_maps_is_refused(session, tmp_path):
    with pytest.raises(RunFolderError, match="has no maps yet"):
        session.layers.show_history(tmp_path)


def test_iterations_are_counted_while_a_map_is_being_drawn(
    session, few_particles, tmp_path, qtbot, monkeypatch
):
    monkeypatch.setattr(session._pace, "is_resting", lambda: True)
    counted = []
    session.counted.connect(lambda: counted.append(len(session.summaries)))
    session.start(few_particles, tmp_path / "run", LONG)
    until(qtbot, lambda: len(session.summaries) >= 5)
    assert session.latest is None, "no map was shown"
    assert counted
    session.stop()
    monkeypatch.undo()
    until_idle(qtbot, session)
