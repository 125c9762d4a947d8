"""Viewers and data for the tests of the plugin; tests are skipped if there is no display."""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
WINDOW_FIXTURES = {"qapp", "qtbot", "viewer", "make_napari_viewer", "make_napari_viewer_proxy"}
_tests = 0  # begun in this process


def missing_package() -> str | None:
    """Return why the modules here cannot be imported; None if they can."""
    if importlib.util.find_spec("napari") is None:
        return "napari is not installed: pip install 'napari-ini3d[napari]'"
    if all(importlib.util.find_spec(name) is None for name in ("PyQt6", "PySide6")):
        return "there is no Qt: pip install 'napari-ini3d[napari]'"
    return None


def missing_display() -> str | None:
    """Return why no window can be opened (Qt would abort the process); None if it can."""
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        return "there is no display: run the tests under xvfb-run, as scripts/test.sh does"
    if os.environ.get("QT_QPA_PLATFORM", "xcb") in ("offscreen", "minimal"):
        return f"QT_QPA_PLATFORM={os.environ['QT_QPA_PLATFORM']} cannot draw volumes; unset it"
    return None


class SkippedModule(pytest.Module):
    """A module that is skipped, because it cannot be imported."""

    def collect(self):
        pytest.skip(str(missing_package()), allow_module_level=True)


def pytest_pycollect_makemodule(module_path, parent):
    if missing_package():
        return SkippedModule.from_parent(parent, path=module_path)
    return None


def pytest_collection_modifyitems(items):
    reason = missing_display()
    for item in items:
        if HERE in item.path.parents and WINDOW_FIXTURES & set(item.fixturenames):
            item.add_marker(pytest.mark.gui)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path_factory):
    """Keep samples of the tests out of the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def rendering(request, monkeypatch):
    """Draw maps as volumes, as with a GPU; a test with the mark `meshes` draws meshes."""
    if missing_package() is None:
        from napari_ini3d.plugin.viewer import map_layers

        wanted = "mesh" if request.node.get_closest_marker("meshes") else "volume"
        monkeypatch.setattr(map_layers, "map_rendering", lambda: wanted)


@pytest.fixture(autouse=True)
def quick_collection():
    """Keep what lives for the whole session out of the garbage collections of each viewer."""
    global _tests
    _tests += 1
    if _tests & (_tests - 1) == 0:  # after the first tests, and then ever more rarely
        gc.collect()
        gc.freeze()


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    """A viewer in a real window, as plugins get it; napari checks for leaks."""
    viewer = make_napari_viewer_proxy(show=True)
    viewer.window.resize(500, 400)  # few pixels are drawn faster
    return viewer


@pytest.fixture
def own_config(monkeypatch, tmp_path):
    """Give each test its own user configuration."""
    from napari_ini3d.plugin.initial_model import user_config

    monkeypatch.setattr(user_config, "config_folder", lambda: tmp_path / "config")


@pytest.fixture
def quick_engine(monkeypatch):
    """A fake engine whose iterations take no time, in a thread instead of a process."""
    from fake_runs import use_fake_engine
    from threaded_runs import use_threaded_runs

    use_fake_engine(monkeypatch)
    use_threaded_runs(monkeypatch)


@pytest.fixture
def slow_engine(monkeypatch, quick_engine):
    """A fake engine whose iterations take 0.1 s."""
    from fake_runs import use_fake_engine

    use_fake_engine(monkeypatch, seconds=0.1)


@pytest.fixture
def notifications(monkeypatch):
    """Error notifications of the dock *Initial model*."""
    messages = []
    for module in (
        "initial_model.dock",
        "session.session",
        "initial_model.run_panel",
        "initial_model.run_verdict",
    ):
        monkeypatch.setattr(f"napari_ini3d.plugin.{module}.show_error", messages.append)
    return messages


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """Particles with D2 symmetry, and their map beside them."""
    from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
    from napari_ini3d.simulation.dataset import write_dataset

    phantom = make_phantom("D2", diameter=90.0, seed=3)
    settings = SimulationSettings(number=300, box_size=32, pixel_size=5.0, snr=0.5, seed=3)
    folder = tmp_path_factory.mktemp("data")
    return write_dataset(folder, simulate_particles(phantom, settings), phantom)


@pytest.fixture(scope="session")
def few_particles(tmp_path_factory):
    """Particles for runs with the fake engine, which does not read them."""
    from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
    from napari_ini3d.simulation.dataset import write_dataset

    phantom = make_phantom(diameter=80.0)
    settings = SimulationSettings(number=12, box_size=32, pixel_size=4.0)
    folder = tmp_path_factory.mktemp("few")
    return write_dataset(folder, simulate_particles(phantom, settings), phantom)


@pytest.fixture
def widget(viewer, own_config):
    """The dock *Initial model* in a window."""
    from napari_ini3d.plugin.initial_model.dock import InitialModelWidget

    widget = InitialModelWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Initial model")
    return widget


@pytest.fixture
def model():
    """A viewer without window, for what needs no drawing."""
    from napari.components import ViewerModel

    return ViewerModel()
