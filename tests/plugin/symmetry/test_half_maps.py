"""Half-maps of a run in the dock *Symmetry*: the window says what the commands say."""

import json

import numpy as np
import pytest
from run_with_halves import write_run
from symmetry_commands import invoke
from symmetry_driver import press

from napari_ini3d.fourier import mirror_map, rotate_map, soft_mask
from napari_ini3d.geometry import RigidTransform
from napari_ini3d.plugin.reader import read_layers, read_run_layers
from napari_ini3d.plugin.symmetry.dock import SymmetryWidget
from napari_ini3d.plugin.viewer import RunHalves, add_layers, find_halves, origin_of, show_iteration
from napari_ini3d.runs import ValidationFiles
from napari_ini3d.simulation import make_phantom

N = 48
VOXEL = 4.0


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a D2 map whose solvent is flat: only the half-maps tell its noise."""
    phantom = make_phantom("D2", seed=2, diameter=100, domains=3).density(N, VOXEL, 9.0)
    mask = soft_mask(N, 100 / VOXEL / 2 + 2, 3, 3)
    rng = np.random.default_rng(1)
    halves = [
        ((phantom + rng.normal(0, 2.0, phantom.shape)) * mask).astype(np.float32) for _ in range(2)
    ]
    return write_run(tmp_path_factory.mktemp("halves") / "run", halves, VOXEL)


@pytest.fixture
def shown(viewer, run):
    (layer,) = add_layers(viewer, read_layers(str(run.map_path)))
    return layer


@pytest.fixture
def dock(viewer, shown):
    widget = SymmetryWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Symmetry")
    return widget


def said(*words):
    return json.loads(invoke(*words, "--json").stdout.splitlines()[-1])


def test_detection_in_the_window_says_what_the_command_says_of_the_run(dock, qtbot, run):
    press(dock, qtbot, dock.detection.detect)
    detected = dock.detect_control._found.find(dock.controller.viewer, dock.layer)
    for path in (run.path, run.map_path):
        values = said("detect", path)
        assert detected.report.verdict == values["verdict"], path
        assert detected.report.group == values["group"]
    assert "measured from the half-maps of the run" in dock.detection.verdict.text()


@pytest.mark.thorough
def test_alignment_in_the_window_says_what_the_command_says_of_the_run(
    dock, qtbot, run, monkeypatch
):
    from napari_ini3d.plugin.symmetry import tasks

    kept, find = [], tasks.find_alignment
    monkeypatch.setattr(tasks, "find_alignment", lambda *a: kept.append(find(*a)) or kept[-1])
    dock.align.choose_group("D2")
    press(dock, qtbot, dock.align.align)
    output = run.path / "out.mrc"
    values = said("align", run.path, "--symmetry", "D2", "--output", output, "--force")
    assert kept[0].alignment.verdict == values["verdict"]
    values = said("impose", run.path, "--symmetry", "D2", "--align", "--output", output, "--force")
    assert kept[0].imposed.validation.verdict == values["verdict"]


def test_the_half_maps_of_an_aligned_map_are_aligned_and_an_imposed_map_has_none(
    viewer, dock, qtbot, shown
):
    dock.align.choose_group("D2")
    press(dock, qtbot, dock.align.align)
    press(dock, qtbot, dock.align.apply_new)
    press(dock, qtbot, dock.files.impose)
    aligned, imposed = (viewer.layers[f"initial_model {x}"] for x in ("aligned", "D2 imposed"))
    with pytest.raises(Exception, match="is not a map of a run"):
        find_halves(viewer, imposed)
    origin, halves = origin_of(viewer, aligned), find_halves(viewer, aligned)
    assert not origin.motion.is_identity
    found = halves.read(origin)
    mean = (found[0] + found[1]) / 2
    scale = float(np.vdot(mean, origin.result) / np.vdot(mean, mean))
    np.testing.assert_allclose(scale * mean, origin.result, atol=1e-3 * origin.result.max())


def test_halves_are_mirrored_and_then_moved_as_their_map(viewer, shown, run):
    still = origin_of(viewer, shown)
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    moved = still.mirrored().moved(type(still.motion)(turn, np.array([1.0, 2.0, 0.0])))
    halves = RunHalves(ValidationFiles(run))
    for found, half in zip(halves.read(moved), halves.read(still), strict=True):
        expected = rotate_map(mirror_map(half), turn, np.array([1.0, 2.0, 0.0]))
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.thorough
def test_the_aligned_map_of_the_last_iteration_of_a_run_has_half_maps(viewer, run, qtbot):
    (layer,) = add_layers(viewer, read_run_layers(run.path))
    widget = SymmetryWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Symmetry")
    show_iteration(viewer, layer, 1)
    assert widget.controller.halves is None
    show_iteration(viewer, layer, 2)
    expected = RunHalves(ValidationFiles(run))
    assert widget.controller.halves == expected
    widget.controller.place(layer, RigidTransform(np.eye(3), np.array([2.0, 0.0, 0.0])))
    press(widget, qtbot, widget.align.apply_new)
    assert widget.layer is not layer
    assert widget.controller.halves == expected
