"""The script in examples/ that opens a window."""

import runpy
import sys
from pathlib import Path

import pytest

from napari_ini3d import InitialModelSettings, start_run

napari = pytest.importorskip("napari")

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_finished_run_is_opened_with_its_docks_from_a_script(
    viewer, few_particles, own_config, tmp_path, monkeypatch
):
    settings = InitialModelSettings(
        mask_diameter=100.0, iterations=3, independent_half_sets=False, threads=1
    )
    list(start_run(few_particles, tmp_path / "run", settings))
    monkeypatch.setattr(napari, "Viewer", lambda **_: viewer)
    monkeypatch.setattr(sys, "argv", ["follow_in_napari.py", str(tmp_path / "run")])
    runpy.run_path(str(EXAMPLES / "follow_in_napari.py"), run_name="example")
    assert len(viewer.layers) == 1
    docks = viewer.window.dock_widgets
    assert [name for name in docks if "Initial model" in name]
    assert [name for name in docks if "Convergence" in name]
