"""The dock *Convergence* in a real window: live runs, runs from folders, clicks and files."""

import csv
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("napari")

from dock_driver import longest_text, room_for_text
from fake_runs import VOXEL, make_report, use_fake_engine
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QImage
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from threaded_runs import use_threaded_runs

from napari_ini3d.io.mrc.maps import write_map
from napari_ini3d.plugin.convergence import dock as dock_module
from napari_ini3d.plugin.convergence.dock import ConvergenceWidget
from napari_ini3d.plugin.convergence.shell_plots import MOST_CURVES
from napari_ini3d.plugin.session.run_view import ALL_CLASSES, NO_RUN, RunView
from napari_ini3d.plugin.session.session import RunSession
from napari_ini3d.plugin.viewer.plot_style import PlotStyle
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.history import write_history
from napari_ini3d.runs.summary import IterationSummary, make_pictures
from napari_ini3d.settings import InitialModelSettings

SETTINGS = InitialModelSettings(mask_diameter=100.0, iterations=6, write_every=2, threads=1)


@pytest.fixture
def engine(monkeypatch):
    """A fake engine."""
    use_fake_engine(monkeypatch, seconds=0.05)
    use_threaded_runs(monkeypatch)


@pytest.fixture
def notifications(monkeypatch):
    messages = []
    monkeypatch.setattr(dock_module, "show_error", messages.append)
    return messages


def open_dock(viewer, qtbot):
    widget = ConvergenceWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Convergence")
    qtbot.waitUntil(widget.isVisible)
    return widget


@pytest.fixture
def dock(viewer, qtbot):
    """The dock in napari's window."""
    return open_dock(viewer, qtbot)


@pytest.fixture
def widget(model, qtbot):
    """The dock in its own window, with a viewer model that draws nothing (faster)."""
    widget = ConvergenceWidget(model)
    qtbot.addWidget(widget)
    widget.resize(400, 700)
    widget.show()
    qtbot.waitUntil(widget.isVisible)
    return widget


def write_run(path, iterations=8, *, n_iterations=None, classes=1, outcome="SUCCESS", maps=True):
    """Write a run folder with maps of every other iteration."""
    path.mkdir(parents=True, exist_ok=True)
    folder = RunFolder(path)
    folder.pictures_path.mkdir(exist_ok=True)
    for i in range(1, iterations + 1):
        report = make_report(i, n_iterations or iterations, classes=classes)
        append(folder, report, maps=maps and i % 2 == 0)
    if outcome:
        folder.mark(outcome)
    return path


def append(folder, report, *, maps):
    folder.write_pictures(report.iteration, make_pictures(report))
    folder.append_progress(IterationSummary.from_report(report).to_json())
    for k, volume in enumerate(report.volumes if maps else ()):
        write_map(folder.class_map_path(report.iteration, k), volume, VOXEL)


def until(qtbot, condition):
    qtbot.waitUntil(lambda: bool(condition()), timeout=30_000)


def click_on(panel, plot, iteration):
    """Click in a plot at an iteration."""
    panel.graphics.grab()  # painting the numbers of an axis widens it, which moves the plot
    QApplication.processEvents()
    box = plot.getViewBox()
    middle = box.viewRect().center().y()
    scene = box.mapViewToScene(QPointF(iteration, middle))
    place = panel.graphics.mapFromScene(scene)
    QTest.mouseMove(panel.graphics.viewport(), place + QPoint(1, 0))
    QTest.mouseMove(panel.graphics.viewport(), place)
    QTest.mouseClick(panel.graphics.viewport(), Qt.MouseButton.LeftButton, pos=place)


def shown_numbers(widget):
    return [s.iteration for s in widget.view.summaries]


def test_without_a_run_there_is_a_message_instead_of_empty_plots(widget):
    assert widget.sentence.text() == NO_RUN
    assert widget.empty.isVisible()
    assert not widget.tabs.isVisible()
    assert widget.minimumSizeHint().width() <= 480


def test_a_live_run_is_followed_to_its_end(dock, few_particles, tmp_path, qtbot, engine):
    dock.session.start(few_particles, tmp_path / "run", SETTINGS)
    until(qtbot, lambda: len(dock.view.summaries) > 1)
    assert dock.folder == tmp_path / "run"
    assert dock.iterations.draws > 0
    until(qtbot, lambda: dock.session.state == "idle")
    assert shown_numbers(dock) == [1, 2, 3, 4, 5, 6]
    assert dock.sentence.text().startswith("Converged at iteration 6: ")
    (line,) = dock.iterations.lines[0]
    x, y = line.getData()
    assert list(x) == [1, 2, 3, 4, 5, 6]
    resolution = [s.resolution[0] for s in dock.session.summaries]
    np.testing.assert_allclose(10**y, resolution, rtol=1e-5)


def test_a_dock_opened_late_shows_all_iterations(viewer, few_particles, tmp_path, qtbot, engine):
    session = RunSession.of(viewer)
    session.start(few_particles, tmp_path / "run", SETTINGS)
    until(qtbot, lambda: len(session.summaries) >= 3)
    widget = open_dock(viewer, qtbot)
    assert shown_numbers(widget)[:3] == [1, 2, 3]
    until(qtbot, lambda: session.state == "idle")
    assert len(open_dock(viewer, qtbot).view.summaries) == 6


def test_a_click_shows_the_iteration_of_a_live_run(
    dock, viewer, few_particles, tmp_path, qtbot, engine
):
    dock.session.start(few_particles, tmp_path / "run", SETTINGS)
    until(qtbot, lambda: dock.session.state == "idle" and len(dock.view.summaries) == 6)
    qtbot.wait(50)
    click_on(dock.iterations, dock.iterations.plots[3], 3)
    until(qtbot, lambda: dock.session.layers.shown_iteration() == 3)
    assert dock.view.chosen == 3
    assert dock.iterations.marks[0].isVisible()
    assert dock.iterations.marks[0].value() == 3
    assert dock.number.text() == "Iteration 3"


def test_the_slider_of_the_viewer_moves_the_mark(widget, tmp_path):
    path = write_run(tmp_path / "run")
    RunFolder(path).settings_path.write_text("{}")
    widget.session.reopen(path)
    assert (widget.folder, widget.view.chosen) == (path, None)
    widget.session.layers.show_iteration(2)
    assert widget.view.chosen == 2
    assert widget.slider.value() == 2
    widget.session.layers.show_iteration(8)
    assert widget.view.chosen is None  # the newest is followed


def test_the_plots_show_another_iteration_than_the_viewer(widget, model, tmp_path):
    path = write_run(tmp_path / "run")
    RunFolder(path).settings_path.write_text("{}")
    widget.session.reopen(path)
    model.layers[0].visible = False
    widget.choose_iteration(3)
    model.dims.set_point(0, 0.0)
    assert widget.view.chosen == 3


def test_hidden_tabs_are_not_drawn(widget, tmp_path, qtbot):
    widget.show_folder(write_run(tmp_path / "run"))
    assert widget.iterations.draws == 1
    assert (widget.shells.draws, widget.sphere.draws, widget.pictures.draws) == (0, 0, 0)
    widget.refresh()
    widget.refresh()
    assert widget.shells.draws == 0
    widget.tabs.setCurrentWidget(widget.shells)
    assert widget.shells.draws == 1
    before = widget.iterations.draws
    widget.refresh()
    assert (widget.iterations.draws, widget.shells.draws) == (before, 2)


def test_a_finished_run_is_opened_from_its_folder_and_clicked(dock, viewer, tmp_path, qtbot):
    dock.show_folder(write_run(tmp_path / "run"))
    assert dock.sentence.text() == "All 8 iterations done: 15.0 Å (FSC 0.5)."
    qtbot.wait(50)
    assert len(viewer.layers) == 0
    click_on(dock.iterations, dock.iterations.plots[0], 4)
    until(qtbot, lambda: len(viewer.layers) == 1)
    layer = viewer.layers[0]
    assert layer.metadata["ini3d"]["iterations"] == [2, 4, 6, 8]
    assert viewer.dims.point[0] == 4
    dock.show_in_viewer(7)
    assert viewer.dims.point[0] == 6
    assert len(viewer.layers) == 1
    assert dock.reading.text() == "Iteration 7 has no map; the viewer shows iteration 6."
    assert dock.view.chosen == 6


def test_a_run_opened_as_layers_is_shown(widget, model, tmp_path):
    model.open(str(write_run(tmp_path / "run", classes=2)), plugin="napari-ini3d")
    assert widget.folder == tmp_path / "run"
    assert widget.view.n_classes == 2
    model.dims.set_point(0, 0.0)
    assert widget.view.chosen == 2


def test_runs_are_chosen_from_the_list(widget, tmp_path):
    for name, iterations in (("one", 3), ("two", 5)):
        widget.show_folder(write_run(tmp_path / name, iterations))
    assert len(widget.view.summaries) == 5
    widget.choose_iteration(4)
    widget.runs.setCurrentIndex(0)
    assert widget.folder == tmp_path / "one"
    assert (len(widget.view.summaries), widget.view.chosen) == (3, None)


def test_a_run_without_maps_is_reported(widget, notifications, tmp_path):
    widget.show_folder(write_run(tmp_path / "run", maps=False))
    widget.show_in_viewer(3)
    assert len(notifications) == 1
    assert "no map" in notifications[0]


def test_a_folder_without_a_run_is_reported(widget, tmp_path):
    widget.show_folder(tmp_path)
    assert "has no progress.jsonl" in widget.sentence.text()
    assert widget.empty.isVisible()


def test_a_progress_file_of_another_version_is_reported(widget, tmp_path):
    (tmp_path / "progress.jsonl").write_text('{"iteration": 1}\n')
    widget.show_folder(tmp_path)
    assert "progress.jsonl cannot be used" in widget.sentence.text()


def test_a_run_started_elsewhere_is_followed(widget, tmp_path, qtbot, monkeypatch):
    folder = RunFolder(write_run(tmp_path / "run", 3, n_iterations=20, outcome=None))
    widget.show_folder(folder.path)
    assert "Running elsewhere" in widget.sentence.text()
    widget._poll_timer.setInterval(20)
    append(folder, make_report(4, 20), maps=False)
    until(qtbot, lambda: len(widget.view.summaries) == 4)
    folder.mark("ABORTED")
    until(qtbot, lambda: widget.sentence.text().startswith("Stopped at iteration 4"))
    assert not widget._poll_timer.isActive()


def test_all_classes_or_one_class_are_shown(widget, tmp_path):
    widget.show_folder(write_run(tmp_path / "run", classes=3))
    assert widget.classes.isVisible()
    assert len(widget.iterations.lines[0]) == 3
    widget.tabs.setCurrentWidget(widget.shells)
    assert [k for _, k, _ in widget.shells.curves] == [0, 1, 2]
    widget.classes.setCurrentIndex(2)
    assert {k for _, k, _ in widget.shells.curves} == {1}
    assert [s.iteration for s, _, _ in widget.shells.curves][:8] == [1, 2, 3, 4, 5, 6, 7, 8]
    widget.tabs.setCurrentWidget(widget.pictures)
    assert len(widget.pictures.arrange().pictures) == 6
    widget.classes.setCurrentIndex(0)
    assert widget.view.class_index == ALL_CLASSES
    assert len(widget.pictures.arrange().pictures) == 18


def test_one_class_has_no_list_of_classes_and_no_shares(widget, tmp_path):
    widget.show_folder(write_run(tmp_path / "run"))
    assert not widget.classes.isVisible()
    assert widget.iterations.plots[3].titleLabel.text == "Angular step / °"
    widget.show_folder(write_run(tmp_path / "more", classes=2))
    assert widget.iterations.plots[3].titleLabel.text == "Class shares"


def test_of_many_iterations_a_few_curves_are_drawn(widget, tmp_path):
    widget.show_folder(write_run(tmp_path / "run", 40, maps=False))
    widget.tabs.setCurrentWidget(widget.shells)
    drawn = [s.iteration for s, _, _ in widget.shells.curves]
    assert len(set(drawn)) == MOST_CURVES
    assert (min(drawn), max(drawn)) == (1, 40)
    widget.choose_iteration(17)
    assert widget.shells.curves[-1][0].iteration == 17


def test_hovering_reads_the_values_of_an_iteration(widget, tmp_path, qtbot):
    widget.show_folder(write_run(tmp_path / "run"))
    qtbot.wait(50)
    box = widget.iterations.plots[1].getViewBox()
    scene = box.mapViewToScene(QPointF(5.2, box.viewRect().center().y()))
    widget.iterations.on_moved(scene)
    assert widget.reading.text().startswith("Iteration 5, search · 24.4 Å")
    widget.iterations._show_cursor(None)
    assert widget.reading.text().startswith("Iteration 8")


def test_hovering_reads_fsc_and_resolution_of_a_shell(widget, tmp_path, qtbot):
    widget.show_folder(write_run(tmp_path / "run"))
    widget.tabs.setCurrentWidget(widget.shells)
    qtbot.wait(50)
    summary = widget.view.summaries[2]
    shell = 6
    width = summary.box_size * summary.voxel_size
    box = widget.shells.fsc.getViewBox()
    scene = box.mapViewToScene(QPointF(shell / width, summary.fsc[0][shell]))
    widget.shells.on_moved(scene)
    expected = f"{width / shell:.1f} Å: FSC {summary.fsc[0][shell]:.2f}"
    assert widget.reading.text().startswith(expected)
    assert widget.reading.text().endswith("at iteration 3")


def test_the_keyboard_moves_through_the_iterations(widget, tmp_path, qtbot):
    widget.show_folder(write_run(tmp_path / "run"))
    widget.slider.setFocus()
    qtbot.keyClick(widget.slider, Qt.Key.Key_Left)
    assert widget.view.chosen == 7
    qtbot.keyClick(widget.slider, Qt.Key.Key_Home)
    assert widget.view.chosen == 1
    qtbot.keyClick(widget.slider, Qt.Key.Key_End)
    assert widget.view.chosen is None
    for control in (widget.runs, widget.open, widget.viewer_button):
        assert control.focusPolicy() & Qt.FocusPolicy.TabFocus
        assert control.accessibleName()


def test_slices_are_drawn_with_y_upwards(widget, tmp_path):
    path = write_run(tmp_path / "run", 2, maps=False)
    slices = np.zeros((1, 3, 8, 8))
    slices[0, 0, 6, 1] = 1  # y = 6, x = 1
    views = np.zeros((1, 48), np.float32)
    pictures = {"slices": slices, "projections": slices, "view_counts": views}
    RunFolder(path).write_pictures(2, pictures)
    widget.show_folder(path)
    widget.tabs.setCurrentWidget(widget.pictures)
    image = widget.pictures._images[0, "slice", "z"]
    bright = [(x, y) for x in range(8) for y in range(8) if image.pixelColor(x, y).lightness()]
    assert bright == [(1, 1)]
    (_, place), *_ = widget.pictures.arrange().pictures
    text = widget.pictures.text_at(place.center())
    assert text == "Central slice perpendicular to z: x to the right, y upwards; 128 Å wide"


@pytest.mark.parametrize("tab", range(4))
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_each_tab_is_saved_as_an_image_in_the_colours_of_the_theme(
    widget, model, tmp_path, tab, theme
):
    model.theme = theme
    widget.show_folder(write_run(tmp_path / "run"))
    widget.tabs.setCurrentIndex(tab)
    widget.export.save_picture(tmp_path / "tab.png")
    image = QImage(str(tmp_path / "tab.png"))
    background = PlotStyle.of_theme(theme).background
    assert image.pixelColor(2, image.height() // 2).name() == background
    colours = {image.pixel(x, y) for x in range(0, image.width(), 3)
               for y in range(0, image.height(), 3)}  # fmt: skip
    assert len(colours) > 20, "something is drawn"


def test_tables_are_saved(widget, tmp_path, monkeypatch):
    widget.show_folder(write_run(tmp_path / "run"))
    asked = tmp_path / "numbers"
    monkeypatch.setattr(
        "napari_ini3d.plugin.convergence.export.QFileDialog.getSaveFileName",
        lambda *_: (str(asked), ""),
    )
    widget.export.menu().actions()[1].trigger()
    rows = list(csv.DictReader((tmp_path / "numbers.csv").open()))
    assert [int(row["iteration"]) for row in rows] == list(range(1, 9))
    widget.export.save_shells(tmp_path / "shells.csv")
    assert (tmp_path / "shells.csv").stat().st_size > 1000


def test_a_folder_that_cannot_be_written_is_reported(widget, tmp_path, monkeypatch):
    messages = []
    monkeypatch.setattr("napari_ini3d.plugin.convergence.export.show_error", messages.append)
    monkeypatch.setattr(
        "napari_ini3d.plugin.convergence.export.QFileDialog.getSaveFileName",
        lambda *_: (str(tmp_path / "no" / "a.png"), ""),
    )
    widget.show_folder(write_run(tmp_path / "run"))
    widget.export.menu().actions()[0].trigger()
    assert len(messages) == 1
    assert "the folder does not exist" in messages[0]


def test_every_iteration_in_the_history_can_be_shown(widget, model, tmp_path):
    path = write_run(tmp_path / "run", 4)
    for i in range(1, 5):
        write_history(RunFolder(path), i, make_report(i, 4).volumes, VOXEL)
    widget.show_folder(path)
    widget.show_in_viewer(3)
    assert model.dims.point[0] == 3
    assert widget.view.chosen == 3


def test_a_long_run_is_redrawn_in_less_than_50_ms(widget):
    first = IterationSummary.from_report(make_report(1, 200, classes=3))
    summaries = tuple(replace(first, iteration=i) for i in range(1, 201))
    took = []
    for n in range(195, 201):
        start = time.perf_counter()
        widget._show(RunView(folder=Path("/runs/one"), summaries=summaries[:n], state="running"))
        took.append(time.perf_counter() - start)
    assert min(took) < 0.05


def test_the_names_of_the_run_and_of_the_classes_are_not_cut(widget, tmp_path, qtbot):
    widget.show_folder(write_run(tmp_path / "D2-1" / "ini3d_001", classes=2))
    for combo in (widget.runs, widget.classes):
        qtbot.waitUntil(combo.isVisible)
        assert room_for_text(combo) >= longest_text(combo)
