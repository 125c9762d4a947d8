"""Tab *Particles* of the dock *Symmetry*: relax a run, expand and fold a STAR file."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from fake_symmetry import make_alignment
from symmetry_driver import POSES_STAR, press

from napari_ini3d.errors import SettingsError
from napari_ini3d.io import read_map, write_map
from napari_ini3d.io.star.poses import read_poses
from napari_ini3d.jobs import RelaxationFiles, RelaxedRun
from napari_ini3d.plugin.symmetry import particles
from napari_ini3d.plugin.viewer.metadata import set_metadata
from napari_ini3d.runs import RunFolder


@pytest.fixture
def star(tmp_path, monkeypatch):
    source = tmp_path / "run_it010_data.star"
    source.write_text(POSES_STAR)
    monkeypatch.setattr(particles, "ask_open", lambda *_: source)
    monkeypatch.setattr(particles, "ask_save", lambda *_: tmp_path / "written.star")
    return source


@pytest.fixture
def panel(widget):
    widget.tabs.setCurrentIndex(2)
    return widget.particles


@pytest.fixture
def run(tmp_path, widget, layer, monkeypatch):
    """The run of the chosen map, and the map that a relaxation writes."""
    folder = RunFolder.create(tmp_path / "run")
    folder.settings_path.write_text("{}")
    set_metadata(layer, path=str(folder.path))
    widget.controller.map_changed.emit(layer)
    monkeypatch.setattr(particles, "ask_save", lambda *_: folder.path / "relaxed_D2.mrc")
    return folder


def relaxed(files):
    for path in (files.map_path, files.difference_path):
        write_map(path, np.random.default_rng(1).random((32, 32, 32), np.float32), 4.0)
    return RelaxedRun("D2", "C2", make_alignment(), 100, 40, 0.9, 3.0, True, False)


def test_the_group_chosen_for_the_map_is_proposed(widget):
    widget.align.choose_group("D7")
    widget.tabs.setCurrentIndex(2)
    assert widget.particles.chosen_group == "D7"


@pytest.mark.parametrize(("button", "rows"), [("expand", 8), ("fold", 2)])
def test_a_star_file_is_expanded_and_folded(widget, panel, star, qtbot, button, rows):
    panel.group.setCurrentText("D2")
    press(widget, qtbot, getattr(panel, button))
    assert len(read_poses(star.with_name("written.star")).angles) == rows
    assert f"{rows} poses" in panel.written.text()


def test_the_star_file_itself_is_not_overwritten(
    widget, panel, star, qtbot, monkeypatch, notifications
):
    monkeypatch.setattr(particles, "ask_save", lambda *_: star)
    press(widget, qtbot, panel.expand)
    assert star.read_text() == POSES_STAR
    assert "choose another file" in notifications[-1]


def test_the_run_of_the_map_is_relaxed_and_the_map_opened(
    viewer, widget, panel, run, qtbot, monkeypatch
):
    asked = SimpleNamespace()

    def relax_run(folder, group, files, *, impose_subgroup, stop):
        asked.folder, asked.group, asked.impose = folder, group, impose_subgroup
        assert not stop()
        return relaxed(files)

    monkeypatch.setattr(particles, "relax_run", relax_run)
    panel.impose_subgroup.setChecked(True)
    assert str(run.path) in panel.run.text()
    press(widget, qtbot, panel.relax)
    assert (asked.folder, asked.group, asked.impose) == (run.path, "D2", True)
    assert "40 of 100 particles are in another unit of D2." in panel.result.text()
    assert "relaxed_D2_difference.mrc" in panel.result.text()
    qtbot.waitUntil(lambda: "relaxed_D2_difference" in viewer.layers, timeout=60_000)
    assert len(read_map(run.path / "relaxed_D2.mrc").data) == 32


def test_a_cancelled_relaxation_is_told_to_stop(widget, panel, run, qtbot, monkeypatch):
    seen = []

    def relax_run(*_, stop, **__):
        while not stop():
            seen.append(widget.tasks.text)
            time.sleep(0.01)  # leaves the window its share of the interpreter
        seen.append("stopped")

    monkeypatch.setattr(particles, "relax_run", relax_run)
    panel.relax.click()
    qtbot.waitUntil(lambda: any("iteration" in text for text in seen), timeout=20_000)
    qtbot.waitUntil(widget.cancel.isEnabled, timeout=20_000)
    widget.cancel.click()
    qtbot.waitUntil(lambda: seen[-1] == "stopped", timeout=20_000)
    assert panel.result.text() == ""


def test_files_that_were_not_asked_for_are_not_overwritten(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    target = tmp_path / "relaxed.mrc"
    assert particles.relaxation_files(target, folder) == RelaxationFiles(
        target, tmp_path / "relaxed.star", tmp_path / "relaxed_difference.mrc"
    )
    (tmp_path / "relaxed.star").write_text("mine")
    with pytest.raises(SettingsError, match=r"relaxed\.star is there already; choose another"):
        particles.relaxation_files(target, folder)
