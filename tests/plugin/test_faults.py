"""Faults during a run: they are reported, and the dock can be used again."""

import errno
import os

import numpy as np
import pytest

pytest.importorskip("napari")

from dock_driver import choose, fill_in, press, show_runs, until
from fake_runs import fake_reconstruct

from napari_ini3d.jobs import run as run_module
from napari_ini3d.plugin.initial_model.dock import InitialModelWidget
from napari_ini3d.plugin.session import pace
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
from napari_ini3d.simulation.dataset import write_dataset

pytestmark = pytest.mark.usefixtures("quick_engine")


@pytest.fixture(autouse=True)
def no_rest(monkeypatch):
    """Show every map at once, even if drawing is slow here."""
    monkeypatch.setattr(pace, "REST", 0.0)


@pytest.fixture
def own_dataset(tmp_path):
    """Particles that a test may delete."""
    phantom = make_phantom(diameter=80.0)
    settings = SimulationSettings(number=12, box_size=32, pixel_size=4.0)
    return write_dataset(tmp_path / "own", simulate_particles(phantom, settings), phantom)


def assert_usable(widget, viewer, qtbot, dataset, folder):
    """Another run finishes, and its map is shown."""
    fill_in(widget, qtbot, dataset, folder, iterations=3)
    press(qtbot, widget.panel.run)
    until(qtbot, lambda: not widget.session.busy)
    assert RunFolder(folder).outcome() == "SUCCESS"
    assert widget.session.error is None
    assert folder.name in [layer.name for layer in viewer.layers]


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("an illegal memory access was encountered"), "illegal memory access"),
        (MemoryError(), "out of memory"),
    ],
)
def test_a_failing_engine_is_reported_and_the_next_run_succeeds(
    widget, viewer, dataset, tmp_path, qtbot, monkeypatch, notifications, error, words, before
):
    def broken(*args, **kwargs):
        reports = fake_reconstruct(*args, **kwargs)
        yield from (next(reports) for _ in range(before))
        raise error

    monkeypatch.setattr(run_module, "reconstruct", broken)
    fill_in(widget, qtbot, dataset, tmp_path / "run")
    press(qtbot, widget.panel.run)
    until(qtbot, lambda: not widget.session.busy)
    assert words in notifications[0]
    assert words in widget.panel.status.text()
    assert "failed" in widget.panel.status.text()
    assert widget.panel.resume.isEnabled() == bool(before)
    assert RunFolder(tmp_path / "run").outcome() == "FAILURE"
    monkeypatch.setattr(run_module, "reconstruct", fake_reconstruct)
    assert_usable(widget, viewer, qtbot, dataset, tmp_path / "next")


def test_after_a_full_disk_the_run_is_resumed(
    widget, viewer, dataset, tmp_path, qtbot, monkeypatch, notifications
):
    """The disk is full from the third iteration on; the run is resumed when there is space."""
    folder, flush = tmp_path / "run", os.fsync

    def fail(descriptor):
        if len(RunFolder(folder).read_progress()) >= 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    fill_in(widget, qtbot, dataset, folder, iterations=5)
    press(qtbot, widget.panel.run)
    until(qtbot, lambda: not widget.session.busy)
    assert "no space is left on the disk; free some" in notifications[0]
    assert f"resume the run in {folder}" in notifications[0]
    assert "no space is left" in widget.panel.status.text()
    assert "no space is left" in widget.form.output.problem.text()
    assert widget.panel.run.isEnabled()
    monkeypatch.setattr(os, "fsync", flush)
    press(qtbot, widget.panel.resume)
    until(qtbot, lambda: not widget.session.busy)
    assert RunFolder(folder).outcome() == "SUCCESS"
    assert [summary.iteration for summary in widget.session.summaries] == [1, 2, 3, 4, 5]


def test_a_full_disk_before_the_first_iteration_is_reported(
    widget, viewer, dataset, tmp_path, qtbot, monkeypatch, notifications
):
    def fail(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    fill_in(widget, qtbot, dataset, tmp_path / "run")
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fail)
        press(qtbot, widget.panel.run)
        until(qtbot, lambda: not widget.session.busy)
    assert "no space is left on the disk" in notifications[0]
    assert "resume" not in notifications[0]
    assert_usable(widget, viewer, qtbot, dataset, tmp_path / "next")


def test_deleted_stacks_are_reported(
    widget, viewer, dataset, own_dataset, tmp_path, qtbot, monkeypatch, notifications
):
    """Few of many stacks are open at a time: a deleted one is noticed when it is read."""

    def reading(source, *args, **kwargs):
        for report in fake_reconstruct(source, *args, **kwargs):
            source.close()
            next(source.batches([np.arange(4)]))
            yield report
            own_dataset.with_suffix(".mrcs").unlink()

    monkeypatch.setattr(
        run_module, "bytes_to_keep", lambda: 0
    )  # images are read in every iteration
    monkeypatch.setattr(run_module, "reconstruct", reading)
    assert own_dataset.with_suffix(".mrcs").is_file()
    fill_in(widget, qtbot, own_dataset, tmp_path / "run")
    press(qtbot, widget.panel.run)
    until(qtbot, lambda: not widget.session.busy)
    assert "was it moved during the run?" in notifications[0]
    assert "particles.mrcs" in widget.panel.status.text()
    assert "particles.mrcs" in widget.form.particles.problem.text()
    monkeypatch.setattr(run_module, "reconstruct", fake_reconstruct)
    press(qtbot, widget.panel.resume)
    until(qtbot, lambda: not widget.session.busy)
    assert "particles.mrcs" in notifications[-1]  # still missing
    assert_usable(widget, viewer, qtbot, dataset, tmp_path / "next")


def test_a_deleted_star_file_is_reported_when_the_run_is_resumed(
    widget, own_dataset, tmp_path, qtbot, notifications, slow_engine
):
    fill_in(widget, qtbot, own_dataset, tmp_path / "run", iterations=50)
    press(qtbot, widget.panel.run)
    until(qtbot, lambda: widget.session.summaries)
    own_dataset.unlink()
    qtbot.wait(300)
    assert widget.session.busy  # the particles are in memory
    press(qtbot, widget.panel.stop)
    until(qtbot, lambda: not widget.session.busy)
    assert notifications == []
    press(qtbot, widget.panel.resume)
    until(qtbot, lambda: not widget.session.busy)
    assert "particles.star" in notifications[0]
    assert widget.panel.run.isEnabled()


@pytest.mark.parametrize("paused", [False, True])
def test_closing_the_viewer_stops_the_run(
    make_napari_viewer, own_config, dataset, tmp_path, qtbot, slow_engine, paused
):
    viewer = make_napari_viewer(show=True)
    widget = InitialModelWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Initial model")
    run = widget.session
    fill_in(widget, qtbot, dataset, tmp_path / "run", iterations=100)
    press(qtbot, widget.panel.run)
    until(qtbot, lambda: run.summaries)
    if paused:
        press(qtbot, widget.panel.pause)
    viewer.close()
    until(qtbot, lambda: RunFolder(tmp_path / "run").outcome() is not None)
    until(qtbot, lambda: not run.busy)
    assert RunFolder(tmp_path / "run").outcome() == "ABORTED"
    assert RunFolder(tmp_path / "run").written_iterations()
    assert run.error is None


def test_deleting_layers_does_not_end_the_run(
    widget, viewer, dataset, tmp_path, qtbot, notifications, slow_engine
):
    fill_in(widget, qtbot, dataset, tmp_path / "run", iterations=100)
    press(qtbot, widget.panel.run)
    until(qtbot, lambda: len(widget.session.summaries) > 1)
    press(qtbot, widget.panel.iterations)
    newest, history = viewer.layers
    assert not newest.visible
    viewer.layers.remove(history)
    until(qtbot, lambda: newest.visible)  # the newest map is shown again
    assert widget.panel.iterations.text() == "Show iterations"
    viewer.layers.clear()
    done = len(widget.session.summaries)
    until(qtbot, lambda: len(widget.session.summaries) > done + 1)
    assert len(viewer.layers) == 0
    press(qtbot, widget.panel.iterations)
    assert [layer.name for layer in viewer.layers] == ["run, iterations"]
    press(qtbot, widget.panel.stop)
    until(qtbot, lambda: not widget.session.busy)
    assert notifications == []
    assert_usable(widget, viewer, qtbot, dataset, tmp_path / "next")


def test_a_map_that_cannot_be_drawn_does_not_end_the_run(
    widget, viewer, dataset, tmp_path, qtbot, monkeypatch, notifications
):
    def fail(*_):
        raise ValueError("no texture")

    with monkeypatch.context() as broken:
        broken.setattr(widget.session.layers, "show", fail)
        fill_in(widget, qtbot, dataset, tmp_path / "run", iterations=5)
        press(qtbot, widget.panel.run)
        until(qtbot, lambda: not widget.session.busy)
    assert len(notifications) == 1
    assert "no texture" in notifications[0]
    assert RunFolder(tmp_path / "run").outcome() == "SUCCESS"
    assert "Finished after 5" in widget.panel.status.text()
    assert_usable(widget, viewer, qtbot, dataset, tmp_path / "next")


def test_a_second_run_is_refused_by_every_button(
    widget, viewer, dataset, tmp_path, qtbot, notifications, slow_engine
):
    fill_in(widget, qtbot, dataset, tmp_path / "first", iterations=100)
    press(qtbot, widget.panel.run)
    until(qtbot, lambda: widget.session.summaries)
    press(qtbot, widget.panel.stop)
    until(qtbot, lambda: not widget.session.busy)
    fill_in(widget, qtbot, dataset, tmp_path / "second", iterations=100)
    press(qtbot, widget.panel.run)
    assert not widget.panel.run.isEnabled()
    assert not widget.panel.resume.isEnabled()
    until(qtbot, lambda: widget.session.summaries)
    show_runs(widget)
    widget.history.choose(tmp_path / "first")
    press(qtbot, widget.history.resume)
    assert "a run is in progress" in notifications[0]
    press(qtbot, widget.history.open)
    assert "A run is in progress" in notifications[1]
    assert widget.session.run_folder == tmp_path / "second"
    press(qtbot, widget.panel.stop)
    until(qtbot, lambda: not widget.session.busy)
    assert RunFolder(tmp_path / "second").outcome() == "ABORTED"
    assert_usable(widget, viewer, qtbot, dataset, tmp_path / "next")


def test_the_output_folder_of_another_window_is_refused(
    widget, make_napari_viewer_proxy, dataset, tmp_path, qtbot, notifications, slow_engine
):
    fill_in(widget, qtbot, dataset, tmp_path / "run", iterations=100)
    press(qtbot, widget.panel.run)
    until(qtbot, lambda: widget.session.summaries)
    second = make_napari_viewer_proxy(show=True)
    other = InitialModelWidget(second)
    second.window.add_dock_widget(other, name="Initial model")
    choose(other, qtbot, dataset)
    other.form.output.text = str(tmp_path / "run")
    press(qtbot, other.panel.run)
    assert not other.session.busy
    assert "Output folder" in notifications[0]
    assert widget.session.state == "running"
    press(qtbot, widget.panel.stop)
    until(qtbot, lambda: not widget.session.busy)
