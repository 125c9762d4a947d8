"""The button *Export* of the dock *Initial model*."""

from types import SimpleNamespace

import pytest

pytest.importorskip("napari")

from napari_ini3d.io import read_poses
from napari_ini3d.plugin.initial_model import export_menu as module
from napari_ini3d.plugin.initial_model.export_menu import ExportMenu
from napari_ini3d.runs import RunFolder
from napari_ini3d.settings import InitialModelSettings


@pytest.fixture
def messages(monkeypatch):
    said = []
    for name in ("show_info", "show_warning", "show_error"):
        monkeypatch.setattr(module, name, said.append)
    return said


def test_the_run_of_the_window_is_exported_to_the_chosen_file(
    few_particles, quick_engine, tmp_path, qtbot, messages, monkeypatch
):
    from napari_ini3d.jobs import start_run

    settings = InitialModelSettings(
        mask_diameter=100.0, iterations=2, independent_half_sets=False, threads=1
    )
    for _ in start_run(few_particles, tmp_path / "run", settings):
        pass
    button = ExportMenu(SimpleNamespace(run_folder=tmp_path / "run"))
    qtbot.addWidget(button)
    names = {"RELION …": "a.star", "cryoSPARC …": "b"}  # the ending is added
    assert [action.text() for action in button.menu().actions()] == list(names)
    for action in button.menu().actions():
        chosen = str(tmp_path / names[action.text()])
        monkeypatch.setattr(module.QFileDialog, "getSaveFileName", lambda *_, c=chosen: (c, ""))
        action.trigger()
        qtbot.waitUntil(lambda: not button.runner.busy, timeout=30_000)
    assert [text.split(":")[0] for text in messages] == ["12 particles"] * 2
    for name in ("a.star", "b.cs", "b.csg", "a.mrc", "b.mrc"):
        assert (tmp_path / name).is_file()
    assert len(read_poses(RunFolder(tmp_path / "run").path.with_name("a.star"))) == 12


def test_without_a_run_nothing_is_asked(qtbot, messages):
    button = ExportMenu(SimpleNamespace(run_folder=None))
    qtbot.addWidget(button)
    button.menu().actions()[0].trigger()
    assert messages == ["There is no run to export. Start one, or open its folder."]
