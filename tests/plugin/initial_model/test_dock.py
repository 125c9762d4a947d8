"""The dock *Initial model* in a real window: filled in, pressed, closed, opened again."""

import contextlib
import json
import shlex
import threading
import time

import numpy as np
import pytest

pytest.importorskip("napari")

from dock_driver import choose, densities, press, show_runs, until
from fake_runs import fake_reconstruct
from napari.utils._proxies import PublicOnlyProxy
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QLabel, QScrollArea

from napari_ini3d.comparison.compare import compare_maps
from napari_ini3d.engine import LocalChunks
from napari_ini3d.io.mrc.maps import read_map
from napari_ini3d.jobs import run as run_module
from napari_ini3d.plugin.compare.side_by_side import SideBySide
from napari_ini3d.plugin.initial_model import dock as dock_module, menus as menus_module
from napari_ini3d.plugin.initial_model.dock import InitialModelWidget
from napari_ini3d.plugin.initial_model.form import FOLDED
from napari_ini3d.plugin.session.session import RunSession
from napari_ini3d.plugin.viewer import mask_circle
from napari_ini3d.plugin.viewer.docking import main_window_of
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.symmetry_files import SymmetryFiles
from napari_ini3d.settings import InitialModelSettings


def test_a_run_started_from_the_form_reconstructs_the_true_map(
    widget, viewer, dataset, tmp_path, qtbot
):
    choose(widget, qtbot, dataset)
    few = {"iterations": 16, "starts": 2, "threads": 1, "write_every": 50}
    for name, value in {**few, "symmetry": "D2"}.items():
        widget.form.fields[name].value = value
    widget.form.output.text = str(tmp_path / "run")
    press(qtbot, widget.panel.run)
    assert widget.session.state == "running"
    assert not widget.panel.run.isEnabled()
    until(qtbot, lambda: not widget.session.busy, 120_000)
    found, truth = (
        read_map(path)
        for path in (RunFolder(tmp_path / "run").map_path, dataset.with_name("truth.mrc"))
    )
    compared = compare_maps(
        truth.data, found.data, voxel_size=truth.voxel_size, mask_diameter=120.0
    )
    assert compared.resolution_half < 16  # Å
    assert compared.correlation > 0.9
    layer = viewer.layers["run"]
    np.testing.assert_array_equal(densities(layer), found.data)
    assert "Finished after 16 iterations" in widget.panel.status.text()
    assert widget.panel.bar.value() == widget.panel.bar.maximum()
    assert widget.panel.run.isEnabled()
    assert widget.form.output.text == str(tmp_path / "run_002")  # ready for the next run
    picture = viewer.screenshot(canvas_only=True, size=(200, 200), flash=False)
    drawn = picture[..., :3].max(-1) > 40
    assert 0.02 < drawn.mean() < 0.8
    assert_compared_with_symmetry(widget, viewer, tmp_path / "run", qtbot)


def assert_compared_with_symmetry(widget, viewer, folder, qtbot):
    """The verdict is that of the files, and its button shows their three maps."""
    files = SymmetryFiles(RunFolder(folder))
    assert files.read_facts()["verdict"] in widget.verdict.text.text()
    press(qtbot, widget.verdict.compare)
    found = [densities(layer) for layer in SideBySide.of(viewer).maps]
    paths = (files.folder.map_path, files.aligned_path, files.symmetrised_path)
    for shown, path in zip(found, paths, strict=True):
        np.testing.assert_array_equal(shown, read_map(path).data)
    assert viewer.canvas.grid.enabled


def test_an_unknown_symmetry_is_shown_beside_its_field_before_the_run(
    widget, dataset, qtbot, notifications
):
    choose(widget, qtbot, dataset)
    field = widget.form.fields["symmetry"]
    field.value = "Q7"
    until(qtbot, lambda: field.problem.isVisibleTo(widget))
    assert "Q7" in field.problem.text()
    press(qtbot, widget.panel.run)
    assert not widget.session.busy
    field.value = " auto "
    until(qtbot, lambda: not field.problem.isVisibleTo(widget))
    assert field.value == "auto"


def test_the_summary_has_number_size_contrast_and_estimates(widget, dataset, qtbot):
    choose(widget, qtbot, dataset)
    text = widget.summary.text
    assert "300 particles" in text
    assert "32 pixels of 5 Å (160 Å)" in text
    assert "white on black" in text
    assert "Excluded: none" in text
    assert "A run takes about" in text
    assert "GB of memory" in text
    assert widget.form.fields["mask_diameter"].value is None
    assert widget.form.fields["mask_diameter"].editor.text().startswith("auto: 1")
    assert widget.form.output.text == str(dataset.parent / "ini3d_001")


def test_other_settings_are_estimated_again(widget, dataset, qtbot):
    choose(widget, qtbot, dataset)
    before = widget.summary.text
    widget.form.fields["classes"].value = 30
    until(qtbot, lambda: widget.summary.text != before)
    assert "300 particles" in widget.summary.text


def test_an_unreadable_star_file_is_marked_beside_its_field(widget, tmp_path, qtbot, notifications):
    star = tmp_path / "broken.star"
    star.write_text("data_particles\n\nloop_\n_rlnMicrographName #1\na.mrc\n")
    choose(widget, qtbot, star)
    assert widget.form.particles.problem.isVisibleTo(widget)
    assert "rlnImageName" in widget.form.particles.problem.text()
    press(qtbot, widget.panel.run)
    assert not widget.session.busy
    assert "Particles:" in notifications[0]


def test_empty_fields_are_reported_only_after_run_is_pressed(widget, qtbot, notifications):
    assert widget.validate() == {}
    press(qtbot, widget.panel.run)
    assert "choose the particles: a STAR file" in widget.form.particles.problem.text()
    assert len(notifications) == 1
    assert not widget.session.busy


def test_a_mask_wider_than_the_box_is_reported_before_the_run(widget, dataset, qtbot):
    choose(widget, qtbot, dataset)
    field = widget.form.fields["mask_diameter"]
    field.value = 400.0
    until(qtbot, lambda: field.problem.isVisibleTo(widget))
    assert "160 Å wide" in field.problem.text()
    field.value = None
    until(qtbot, lambda: not field.problem.isVisibleTo(widget))


def test_a_problem_in_a_collapsed_group_expands_it(widget, dataset, qtbot):
    choose(widget, qtbot, dataset)
    section = widget.form.sections["Compute"]
    assert not section.button.isChecked()
    widget.form.fields["scratch"].value = "/dev/null/x"
    until(qtbot, section.button.isChecked)


def test_dragging_the_mask_circle_sets_the_mask_diameter(widget, viewer, dataset, qtbot):
    choose(widget, qtbot, dataset)
    press(qtbot, widget.circle_button)
    until(qtbot, lambda: widget.circle.shown)  # prepared in a thread
    average, circle = viewer.layers
    assert average.data.shape == (32, 32)
    assert viewer.dims.ndisplay == 2
    report = widget.summary.report
    sides = np.ptp(np.asarray(circle.data[0]), axis=0)
    np.testing.assert_allclose(sides, report.mask_diameter, rtol=1e-6)
    np.testing.assert_allclose(np.mean(circle.data[0], axis=0), 0, atol=1e-6)
    # drag one side; napari emits this event when the mouse is released
    corners = np.array(circle.data[0])
    corners[corners[:, 1] > 0, 1] += 15
    circle.data = [corners]
    circle.events.data(value=circle.data, action="changed", data_indices=(0,), vertex_indices=())
    wanted = round(report.mask_diameter + 15)
    assert widget.form.fields["mask_diameter"].value == wanted
    np.testing.assert_allclose(np.ptp(np.asarray(circle.data[0]), axis=0), wanted)
    widget.form.fields["mask_diameter"].value = 70.0
    until(qtbot, lambda: np.allclose(np.ptp(np.asarray(circle.data[0]), axis=0), 70))
    press(qtbot, widget.circle_button)
    assert len(viewer.layers) == 0
    assert not widget.circle_button.isChecked()


def test_the_mask_circle_can_be_hidden_and_shown_again(widget, viewer, dataset, qtbot):
    choose(widget, qtbot, dataset)
    for _ in range(2):
        press(qtbot, widget.circle_button)
        until(qtbot, lambda: widget.circle.shown)
        assert viewer.dims.ndisplay == 2
        press(qtbot, widget.circle_button)
        assert not widget.circle.shown
        assert viewer.dims.ndisplay == 3


def test_the_mask_circle_is_prepared_while_the_window_goes_on(
    widget, viewer, dataset, qtbot, monkeypatch
):
    go_on = threading.Event()
    monkeypatch.setattr(mask_circle, "compile_shapes", go_on.wait)
    choose(widget, qtbot, dataset)
    press(qtbot, widget.circle_button)  # comes back
    assert "Preparing" in widget.circle_button.text()
    assert not widget.circle.shown
    press(qtbot, widget.circle_button)  # cancelled
    go_on.set()
    qtbot.wait(200)
    assert not widget.circle.shown
    assert not widget.circle_button.isChecked()


def test_settings_go_through_the_form_unchanged(widget):
    unusual = InitialModelSettings(
        mask_diameter=123.456,
        classes=3,
        ctf=False,
        angular_step=7.5,
        scratch="/tmp",
        tile_size=8,
        max_excluded=0.125,
        offset_step=2.25,
        max_resolution=8.25,
        symmetry="D2",
        device="cpu",
    )
    widget.form.set_settings(unusual)
    assert widget.form.settings() == unusual
    widget.form.set_settings(InitialModelSettings())
    assert widget.form.settings() == InitialModelSettings()


def test_every_setting_has_a_control_with_a_tooltip_in_its_group(widget):
    for name, field in widget.form.fields.items():
        assert field.info.help[:20] in field.editor.toolTip(), name
        assert widget.form.sections[field.info.group].isAncestorOf(field.editor)
    shown = {g: s.button.isChecked() for g, s in widget.form.sections.items()}
    assert [group for group, is_shown in shown.items() if not is_shown] == list(FOLDED)


def test_the_mouse_wheel_changes_no_number(widget):
    field = widget.form.fields["classes"]
    event = QWheelEvent(
        QPointF(5, 5), QPointF(5, 5), QPoint(0, 120), QPoint(0, 120),
        Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    field.editor.clearFocus()
    QApplication.sendEvent(field.editor, event)
    assert field.value == 1


def test_the_dock_fits_a_small_screen_and_is_reached_by_keyboard(widget, viewer, qtbot):
    viewer.window.resize(1280, 800)
    window, usual = main_window_of(widget), widget.sizeHint().width()
    window.resizeDocks([widget.parentWidget()], [usual], Qt.Orientation.Horizontal)
    qtbot.wait(100)
    assert widget.minimumSizeHint().height() < 500  # of 768, less title, menus and status bar
    assert widget.sizeHint().width() < 420
    assert widget.form.horizontalScrollBar().maximum() == 0
    for button in (widget.panel.run, widget.panel.stop, widget.form.sections["Compute"].button):
        assert button.focusPolicy() & Qt.FocusPolicy.TabFocus
    area = widget.findChild(QScrollArea)
    assert area.widget().minimumSizeHint().width() <= widget.sizeHint().width()


def test_pause_stop_and_resume_from_the_buttons(
    widget, dataset, tmp_path, qtbot, monkeypatch, quick_engine
):
    def slow(*args, **kwargs):
        for report in fake_reconstruct(*args, **kwargs):
            time.sleep(0.1)
            yield report

    monkeypatch.setattr(run_module, "reconstruct", slow)
    choose(widget, qtbot, dataset)
    widget.form.fields["iterations"].value = 60  # so that it is still running when it is stopped
    widget.form.output.text = str(tmp_path / "run")
    press(qtbot, widget.panel.run)
    until(qtbot, lambda: widget.session.summaries)
    press(qtbot, widget.panel.pause)
    assert widget.panel.pause.text() == "Continue"
    assert "paused" in widget.panel.status.text()
    press(qtbot, widget.panel.pause)
    press(qtbot, widget.panel.stop)
    until(qtbot, lambda: not widget.session.busy)
    assert "can be resumed" in widget.panel.status.text()
    assert "resume it" in widget.form.output.problem.text()
    press(qtbot, widget.panel.resume)
    until(qtbot, lambda: not widget.session.busy)
    assert RunFolder(tmp_path / "run").outcome() == "SUCCESS"
    assert len(widget.session.summaries) == 60
    assert not widget.panel.resume.isEnabled()


def test_a_reopened_dock_shows_the_current_run(
    widget, viewer, dataset, tmp_path, qtbot, quick_engine
):
    choose(widget, qtbot, dataset)
    widget.form.output.text = str(tmp_path / "run")
    widget.form.fields["iterations"].value = 12
    press(qtbot, widget.panel.run)
    viewer.window.remove_dock_widget(widget)
    widget.deleteLater()
    until(qtbot, lambda: RunSession.of(viewer).summaries)
    again = InitialModelWidget(PublicOnlyProxy(viewer))
    viewer.window.add_dock_widget(again, name="Initial model")
    assert again.session is RunSession.of(viewer)
    assert "teration" in again.panel.status.text()
    until(qtbot, lambda: not again.session.busy)
    assert "Finished after 12" in again.panel.status.text()
    viewer.dims.set_point(0, 0)  # must not reach the closed dock
    viewer.add_points(np.zeros((1, 3)), metadata={"ini3d": {"kind": "particles", "path": "a.star"}})
    again.log.refresh()
    assert "12/12" in again.log.text.toPlainText()


def test_the_button_names_the_iteration_that_is_shown(
    widget, viewer, dataset, tmp_path, qtbot, quick_engine
):
    choose(widget, qtbot, dataset)
    widget.form.output.text = str(tmp_path / "run")
    widget.form.fields["iterations"].value = 5
    press(qtbot, widget.panel.run)
    until(qtbot, lambda: not widget.session.busy)
    press(qtbot, widget.panel.iterations)
    assert "Iteration 5" in widget.panel.iterations.text()
    viewer.dims.set_point(0, 2)
    assert "Iteration 2" in widget.panel.iterations.text()
    press(qtbot, widget.panel.iterations)
    assert widget.panel.iterations.text() == "Show iterations"


def test_the_form_is_copied_as_a_command_saved_and_loaded(
    widget, dataset, tmp_path, qtbot, monkeypatch
):
    choose(widget, qtbot, dataset)
    widget.form.fields["classes"].value = 2
    widget.form.output.text = str(tmp_path / "a run")
    buttons = (widget.menus.copy_as, widget.menus.settings)
    menus = {action.text(): action for button in buttons for action in button.menu().actions()}
    menus["Command"].trigger()
    words = shlex.split(QApplication.clipboard().text())
    assert words[:3] == ["ini3d", "run", str(dataset)]
    assert words[3:] == ["--output", str(tmp_path / "a run"), "--classes", "2"]
    menus["Python"].trigger()
    assert "classes=2" in QApplication.clipboard().text()
    path = tmp_path / "saved.json"
    dialogs = menus_module.QFileDialog
    monkeypatch.setattr(dialogs, "getSaveFileName", lambda *_: (str(path), ""))
    monkeypatch.setattr(dialogs, "getOpenFileName", lambda *_: (str(path), ""))
    menus["Save …"].trigger()
    assert json.loads(path.read_text())["settings"]["classes"] == 2
    menus["Reset to defaults"].trigger()
    assert widget.form.fields["classes"].value == 1
    menus["Load …"].trigger()
    assert widget.form.fields["classes"].value == 2


def test_the_cluster_is_kept_with_the_run_and_with_the_form(
    widget, viewer, dataset, tmp_path, qtbot, monkeypatch, quick_engine
):
    here = contextlib.nullcontext(LocalChunks())
    monkeypatch.setattr(run_module, "open_chunks", lambda *_: here)
    choose(widget, qtbot, dataset)
    widget.form.output.text = str(tmp_path / "run")
    widget.form.fields["iterations"].value = 3
    widget.form.set_cluster("local:2")
    press(qtbot, widget.panel.run)
    until(qtbot, lambda: not widget.session.busy)
    assert RunFolder(tmp_path / "run").read_record().cluster == "local:2"
    menus = {action.text(): action for action in widget.menus.copy_as.menu().actions()}
    menus["Command"].trigger()
    assert shlex.split(QApplication.clipboard().text())[-2:] == ["--cluster", "local:2"]
    again = InitialModelWidget(viewer)
    qtbot.addWidget(again)
    assert again.form.cluster.text == "local:2"
    assert again.form.sections["Compute"].button.isChecked()  # it is not hidden
    widget.form.set_cluster("")
    show_runs(widget)
    press(qtbot, widget.history.clone)
    assert widget.form.cluster.text == "local:2"


@pytest.mark.parametrize("typed", [None, ""])
def test_a_run_is_resumed_on_its_cluster_unless_the_user_has_typed_another(
    widget, dataset, tmp_path, qtbot, monkeypatch, quick_engine, typed
):
    resumed = []
    monkeypatch.setattr(widget.session, "resume", lambda *args: resumed.append(args))
    monkeypatch.setattr(dock_module, "recorded_cluster", lambda _: "local:2")
    if typed is not None:
        qtbot.keyClicks(widget.form.cluster.line, "x")
        qtbot.keyClick(widget.form.cluster.line, Qt.Key.Key_Backspace)
    widget.history.resume_clicked.emit(tmp_path / "run")
    cluster = "local:2" if typed is None else typed
    assert resumed == [(tmp_path / "run", cluster)]
    assert widget.form.cluster.text == cluster


def test_particles_that_are_open_fill_the_form(viewer, dataset, qtbot, own_config):
    viewer.open(str(dataset), plugin="napari-ini3d")
    widget = InitialModelWidget(viewer)
    qtbot.addWidget(widget)
    assert widget.form.particles.text == str(dataset)


def test_no_text_is_cut_off(widget, qtbot):
    for section in widget.form.sections.values():
        section.button.setChecked(True)
    qtbot.wait(50)
    labels = [label for label in widget.form.findChildren(QLabel) if label.isVisible()]
    assert {"Classes", "Max. iterations", "Scratch directory"} <= {x.text() for x in labels}
    for label in labels:
        assert label.width() >= label.minimumSizeHint().width(), label.text()


def test_a_reopened_dock_keeps_the_content_of_the_form(viewer, widget, dataset, qtbot):
    choose(widget, qtbot, dataset)
    widget.form.fields["classes"].value = 3
    until(
        qtbot, lambda: widget.session.form_state and widget.session.form_state.settings.classes == 3
    )
    again = InitialModelWidget(viewer)
    viewer.window.add_dock_widget(again, name="Initial model again")
    assert again.form.particles.text == str(dataset)
    assert again.form.output.text == widget.form.output.text
    assert again.form.fields["classes"].value == 3
