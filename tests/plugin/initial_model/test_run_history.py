"""The list of runs in the dock: show, reuse settings, compare, delete."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("napari")

from dock_driver import choose, densities, do_runs, press, show_runs, until
from fake_runs import make_record
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLineEdit, QMessageBox

from napari_ini3d.comparison.compare import compare_maps
from napari_ini3d.io.mrc.maps import read_map
from napari_ini3d.plugin.compare import dock as dock_module
from napari_ini3d.plugin.compare.side_by_side import SideBySide
from napari_ini3d.plugin.initial_model import run_history
from napari_ini3d.runs import RunEntry
from napari_ini3d.settings import InitialModelSettings


def test_runs_are_listed_shown_and_their_settings_reused(
    widget, viewer, dataset, tmp_path, qtbot, quick_engine
):
    choose(widget, qtbot, dataset)
    widget.form.output.text = str(tmp_path / "run")
    widget.form.fields["iterations"].value = 4
    press(qtbot, widget.panel.run)
    until(qtbot, lambda: not widget.session.busy)
    widget.form.set_settings(InitialModelSettings())
    show_runs(widget)
    table = widget.history.table
    assert [table.text(0, heading) for heading in ("Run", "State")] == ["run", "finished (4)"]
    viewer.layers.clear()
    press(qtbot, widget.history.open)
    # one frame per number of an iteration, from 0
    assert viewer.layers[0].data.shape == (5, 32, 32, 32)
    assert len(widget.session.summaries) == 4
    press(qtbot, widget.history.clone)
    assert widget.form.fields["iterations"].value == 4
    assert widget.form.fields["mask_diameter"].value is None
    assert widget.form.output.text == str(dataset.parent / "ini3d_001")
    show_runs(widget)
    press(qtbot, widget.history.remove)
    assert table.n_shown == 0
    assert (tmp_path / "run").is_dir()


def test_two_runs_are_compared_in_the_dock_compare_maps(
    widget, viewer, dataset, tmp_path, qtbot, quick_engine, monkeypatch
):
    def compare_without_alignment(*volumes, align, **options):
        assert align
        return compare_maps(*volumes, **options)  # without the slow alignment

    monkeypatch.setattr(dock_module, "compare_maps", compare_without_alignment)
    folders = (tmp_path / "first", tmp_path / "second")
    do_runs(widget, qtbot, dataset, *folders)
    history = widget.history
    assert not history.compare.isEnabled()
    history.choose(*folders)
    assert [entry.folder.name for entry in history.selected_runs] == ["second", "first"]
    assert not history.open.isEnabled()
    press(qtbot, history.compare)
    _, dock = viewer.window.add_plugin_dock_widget("napari-ini3d", "Compare maps")
    for choice, folder in zip((dock.first, dock.second), folders, strict=True):
        result = read_map(folder / "initial_model.mrc").data
        np.testing.assert_array_equal(densities(choice.layer), result)
    until(qtbot, lambda: "Correlation" in dock.numbers.text())
    assert SideBySide.of(viewer).active


def test_a_run_without_a_map_cannot_be_compared(
    widget, dataset, tmp_path, qtbot, quick_engine, notifications
):
    folders = (tmp_path / "first", tmp_path / "second")
    do_runs(widget, qtbot, dataset, *folders)
    for path in (folders[0] / "initial_model.mrc", *folders[0].glob("run_it*")):
        path.unlink()
    widget.history.choose(*folders)
    press(qtbot, widget.history.compare)
    assert "no written iteration" in notifications[0]


def test_a_run_is_deleted_after_confirmation(
    widget, viewer, dataset, tmp_path, qtbot, quick_engine, monkeypatch
):
    asked, answer = [], QMessageBox.StandardButton.No
    monkeypatch.setattr(
        run_history.QMessageBox, "question", lambda _, __, text, *___: asked.append(text) or answer
    )
    folder = tmp_path / "run"
    do_runs(widget, qtbot, dataset, folder)
    (folder / "notes.txt").write_text("mine")
    widget.session.layers.show_history()
    press(qtbot, widget.history.delete)
    assert "Delete the run run" in asked[0]
    assert str(folder) in asked[0]
    assert (folder / "initial_model.mrc").is_file()
    answer = QMessageBox.StandardButton.Yes
    press(qtbot, widget.history.delete)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert widget.history.table.n_shown == 0
    assert [layer.name for layer in viewer.layers] == ["run"]  # no layer that reads deleted files
    assert widget.panel.status.text() == "No run yet"
    assert widget.panel.run.isEnabled()


def test_a_run_in_progress_is_not_deleted(
    widget, dataset, tmp_path, qtbot, quick_engine, monkeypatch, notifications
):
    yes = QMessageBox.StandardButton.Yes
    monkeypatch.setattr(run_history.QMessageBox, "question", lambda *_: yes)
    choose(widget, qtbot, dataset)
    widget.form.output.text = str(tmp_path / "run")
    press(qtbot, widget.panel.run)
    until(qtbot, lambda: widget.session.summaries)
    press(qtbot, widget.panel.pause)
    show_runs(widget)
    press(qtbot, widget.history.delete)
    assert "is in progress; stop it first" in notifications[0]
    assert (tmp_path / "run" / "settings.json").is_file()
    press(qtbot, widget.panel.stop)
    until(qtbot, lambda: not widget.session.busy)


def test_the_folder_of_a_run_is_opened(widget, dataset, tmp_path, qtbot, quick_engine, monkeypatch):
    opened = []
    monkeypatch.setattr(run_history.QDesktopServices, "openUrl", opened.append)
    do_runs(widget, qtbot, dataset, tmp_path / "run")
    press(qtbot, widget.history.browse)
    assert opened[0].toLocalFile() == str(tmp_path / "run")


def test_a_note_is_edited_in_the_table_and_kept_with_the_run(
    widget, dataset, tmp_path, qtbot, quick_engine
):
    folder = tmp_path / "run"
    do_runs(widget, qtbot, dataset, folder)
    table = widget.history.table
    press(qtbot, widget.history.note)
    editor = table.view.findChild(QLineEdit)
    qtbot.keyClicks(editor, "best so far")
    widget.history.refresh()  # as after a run that ends meanwhile: the text is not lost
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    until(qtbot, lambda: table.text(0, "Note") == "best so far")
    assert (folder / "run_note.txt").read_text() == "best so far\n"


def test_a_note_that_cannot_be_kept_is_reported(
    widget, dataset, tmp_path, qtbot, quick_engine, monkeypatch
):
    messages = []
    monkeypatch.setattr(run_history, "show_error", messages.append)
    folder = tmp_path / "run"
    do_runs(widget, qtbot, dataset, folder)
    (folder / "outputs.txt").unlink()
    (folder / "outputs.txt").mkdir()
    widget.history.table.note_edited.emit(widget.history.selected, "lost")
    assert "The note was not saved" in messages[0]
    assert widget.history.table.text(0, "Note") == ""


def test_the_older_of_two_runs_is_compared_first_whatever_their_order_in_the_list(qtbot):
    def entry(name, day):
        record = make_record(started=f"2026-01-{day:02d}T08:00:00+00:00")
        return RunEntry(Path("/runs") / name, record, "finished", 20, 12.0)

    history = run_history.RunHistory()
    qtbot.addWidget(history)
    history.table.fill([entry("old", 1), entry("new", 2)])
    history.choose(Path("/runs/old"), Path("/runs/new"))
    with qtbot.waitSignal(history.compare_clicked) as signal:
        history.compare.click()
    assert [folder.name for folder in signal.args[0]] == ["old", "new"]
