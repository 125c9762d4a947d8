"""The empty dock leads to particles, a sample, a run or a map."""

import pytest

pytest.importorskip("napari")

from dock_driver import press, until
from fake_runs import make_volume
from npe2 import PluginManager
from qtpy.QtWidgets import QFileDialog

from napari_ini3d.io.mrc.maps import write_map
from napari_ini3d.plugin.initial_model import first_steps as module


@pytest.fixture
def chosen(monkeypatch):
    """The path that a file dialog returns."""
    found = []
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (found[-1], ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: found[-1])
    return found


def test_the_first_steps_are_shown_until_there_are_particles(widget, few_particles, qtbot, chosen):
    steps = widget.first_steps
    assert steps.isVisibleTo(widget)
    chosen.append("")  # the dialog is cancelled
    press(qtbot, steps.particles)
    assert steps.isVisibleTo(widget)
    chosen.append(str(few_particles))
    press(qtbot, steps.particles)
    assert widget.form.particles.text == str(few_particles)
    assert not steps.isVisibleTo(widget)
    until(qtbot, lambda: widget.summary.preview is not None and widget.summary.preview.complete)


def test_the_sample_fills_in_the_form(widget, viewer, few_particles, qtbot, monkeypatch):
    def open_sample(plugin, sample):
        assert (plugin, sample) == ("napari-ini3d", "d2_particles")
        viewer.open(str(few_particles), plugin=plugin)

    monkeypatch.setattr(type(viewer.__wrapped__), "open_sample", lambda _, *a: open_sample(*a))
    press(qtbot, widget.first_steps.sample)
    assert widget.form.particles.text == str(few_particles)
    until(qtbot, lambda: widget.summary.preview is not None and widget.summary.preview.complete)


def test_a_map_and_the_maps_of_a_run_are_opened(widget, viewer, tmp_path, qtbot, chosen):
    run = tmp_path / "job"
    run.mkdir()
    for iteration in (1, 2):
        write_map(run / f"run_it{iteration:03d}_class001.mrc", make_volume(seed=iteration), 4.0)
    chosen.append(str(run / "run_it001_class001.mrc"))
    press(qtbot, widget.first_steps.map)
    chosen.append(str(run))
    press(qtbot, widget.first_steps.run)
    assert [layer.data.shape for layer in viewer.layers] == [(32,) * 3, (3, *(32,) * 3)]


def test_a_folder_without_a_run_is_reported(widget, tmp_path, qtbot, chosen, monkeypatch):
    shown = []
    monkeypatch.setattr(module, "show_error", shown.append)
    (tmp_path / "empty").mkdir()
    chosen.append(str(tmp_path / "empty"))
    press(qtbot, widget.first_steps.run)
    assert len(shown) == 1


def test_the_dialog_offers_every_kind_of_map_that_the_reader_takes():
    manifest = PluginManager.instance().get_manifest("napari-ini3d")
    (reader,) = manifest.contributions.readers
    others = {"*.mrcs", "*.star", "*.cs"}
    maps = set(reader.filename_patterns) - others
    assert maps == set(module._MAPS.partition("(")[2].rstrip(")").split())
