"""The button *Export* of the dock *Initial model*."""

from pathlib import Path
from weakref import ref

import pytest

pytest.importorskip("napari")

from fake_runs import make_record, make_report

from napari_ini3d.io import read_poses, write_map
from napari_ini3d.plugin.initial_model import export_menu as module
from napari_ini3d.plugin.initial_model.export_menu import ExportMenu
from napari_ini3d.plugin.reader import read_run_layers
from napari_ini3d.plugin.session import RunSession, run_of_window
from napari_ini3d.plugin.viewer import add_layers, unwrap_proxy
from napari_ini3d.runs import IterationSummary, RunFolder, write_history
from napari_ini3d.settings import InitialModelSettings


@pytest.fixture
def messages(monkeypatch):
    said = []
    for name in ("show_info", "show_warning", "show_error"):
        monkeypatch.setattr(module, name, said.append)
    return said


def test_the_run_of_the_window_is_exported_to_the_chosen_file(
    few_particles, quick_engine, tmp_path, qtbot, messages, monkeypatch, viewer
):
    from napari_ini3d.jobs import start_run

    settings = InitialModelSettings(
        mask_diameter=100.0, iterations=2, independent_half_sets=False, threads=1
    )
    for _ in start_run(few_particles, tmp_path / "run", settings):
        pass
    add_layers(viewer, read_run_layers(tmp_path / "run"))
    button = ExportMenu(ref(unwrap_proxy(viewer)))
    qtbot.addWidget(button)
    names = {"RELION …": "a.star", "cryoSPARC …": "b"}  # the ending is added
    actions = button.menu().actions()[:2]
    assert [action.text() for action in actions] == list(names)
    for action in actions:
        chosen = str(tmp_path / names[action.text()])
        monkeypatch.setattr(module.QFileDialog, "getSaveFileName", lambda *_, c=chosen: (c, ""))
        action.trigger()
        qtbot.waitUntil(lambda: not button.runner.busy, timeout=30_000)
    assert [text.split(":")[0] for text in messages] == ["12 particles"] * 2
    for name in ("a.star", "b.cs", "b.csg", "a.mrc", "b.mrc"):
        assert (tmp_path / name).is_file()
    assert len(read_poses(RunFolder(tmp_path / "run").path.with_name("a.star"))) == 12


def test_without_a_run_nothing_is_asked(qtbot, messages, viewer):
    button = ExportMenu(ref(unwrap_proxy(viewer)))
    qtbot.addWidget(button)
    button.menu().aboutToShow.emit()
    *of_run, _, dock = button.menu().actions()
    assert [action.isEnabled() for action in of_run] == [False, False]
    assert dock.isEnabled()
    button.export(Path("a.star"))
    assert messages == ["There is no run to export. Start one, or open its folder."]


def test_the_run_that_is_shown_is_exported_not_that_of_the_session(model, tmp_path):
    RunSession.of(model).run_folder = tmp_path / "session"
    assert run_of_window(model) == tmp_path / "session"
    folder = RunFolder.create(tmp_path / "shown")
    folder.write_record(make_record())
    report = make_report(1, 4)
    write_history(folder, 1, report.volumes, report.voxel_size)
    write_map(folder.class_map_path(1, 0), report.volumes[0], report.voxel_size)
    folder.append_progress(IterationSummary.from_report(report).to_json())
    (layer,) = add_layers(model, read_run_layers(folder.path))
    assert run_of_window(model) == folder.path
    layer.visible = False
    assert run_of_window(model) == tmp_path / "session"


def test_the_menu_opens_the_dock_export(qtbot, viewer):
    button = ExportMenu(ref(unwrap_proxy(viewer)))
    qtbot.addWidget(button)
    button.menu().actions()[-1].trigger()
    assert "Export (napari-ini3d)" in viewer.window.dock_widgets
