"""The dock *Symmetry* with a map."""

import pytest
from fake_symmetry import ROTATION, VOXEL, make_alignment, make_report
from symmetry_phantoms import known_map


@pytest.fixture(scope="session")
def d2():
    return known_map("D2", box_size=32, resolution=12.0)


@pytest.fixture
def notifications(monkeypatch):
    """Notifications of the dock."""
    from napari_ini3d.plugin.symmetry import controller, impose, particles

    messages = []
    for module in (controller, impose, particles):
        for name in ("show_error", "show_warning", "show_info"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, messages.append)
    monkeypatch.setattr("napari_ini3d.plugin.viewer.task_runner.show_error", messages.append)
    monkeypatch.setattr("napari_ini3d.plugin.symmetry.align.show_info", messages.append)
    return messages


@pytest.fixture
def layer(viewer, d2):
    from napari_ini3d.plugin.viewer import map_layers

    return map_layers.show_map(viewer, d2.volume, VOXEL, "map").__wrapped__


@pytest.fixture
def widget(viewer, layer, qtbot):
    from napari_ini3d.plugin.symmetry.dock import SymmetryWidget

    widget = SymmetryWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Symmetry")
    return widget


@pytest.fixture
def quick(monkeypatch):
    """Fake results of detection and alignment."""
    from napari_ini3d.plugin.symmetry import tasks

    monkeypatch.setattr(tasks, "detect_symmetry", lambda *_, **__: make_report("D2"))
    shift = (4.0, -8.0, 2.0)
    monkeypatch.setattr(
        tasks,
        "align_symmetry",
        lambda *_, **__: make_alignment("D2", rotation=ROTATION, shift=shift),
    )
