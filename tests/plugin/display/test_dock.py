"""The dock *Map display* in a real window."""

import numpy as np
import pytest

from napari_ini3d.plugin.display import dock
from napari_ini3d.plugin.display.dock import MapDisplayWidget
from napari_ini3d.plugin.viewer import COLOURINGS, MapAxes, map_layers, record_axes
from napari_ini3d.plugin.viewer.map_meshes import MapMeshes
from napari_ini3d.symmetry import Subunit

N, VOXEL = 32, 2.0
RADIUS, SPECK = 7.2, 1.6  # voxels; no voxel lies on the surfaces


def ball(radius, x=0):
    grid = np.mgrid[:N, :N, :N] - N // 2
    distance = np.sqrt(grid[0] ** 2 + grid[1] ** 2 + (grid[2] - x) ** 2)
    return np.maximum(1 - distance / (2 * radius), 0).astype(np.float32)


@pytest.fixture
def layer(viewer):
    volume = np.maximum(ball(RADIUS), ball(SPECK, x=12))
    layer = map_layers.show_map(viewer, volume, VOXEL, "map").__wrapped__
    layer.iso_threshold = 0.5
    return layer


@pytest.fixture
def widget(viewer, layer):
    widget = MapDisplayWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Map display")
    return widget


def volume_shown(widget):
    return float(widget.enclosed.text().split()[1].replace(",", ""))


def test_the_enclosed_volume_and_its_mass_are_shown(widget):
    volume = 4 / 3 * np.pi * VOXEL**3 * (RADIUS**3 + SPECK**3)
    assert volume_shown(widget) == pytest.approx(volume, rel=0.03)
    assert f"{volume_shown(widget) / 1210:.0f} kDa" in widget.enclosed.text()


def test_the_slider_sets_the_level_in_sigma_and_follows_it(widget, layer):
    before = volume_shown(widget)
    widget.level.setValue(3.3)
    assert map_layers.level_in_sigma(layer) == pytest.approx(3.3)
    assert volume_shown(widget) != before
    map_layers.set_level_in_sigma(layer, 4.0)
    assert widget.level.value() == pytest.approx(4.0, abs=0.01)


def test_dust_is_only_for_meshes(widget):
    assert not widget.dust.isEnabled()


@pytest.mark.meshes
def test_dust_is_hidden_and_not_counted(viewer, widget, layer, qtbot):
    meshes = MapMeshes.of(viewer)
    qtbot.waitUntil(lambda: not meshes.find(layer).busy, timeout=60_000)
    before = volume_shown(widget)
    widget.dust.setValue(1000)
    qtbot.waitUntil(lambda: not meshes.find(layer).busy, timeout=60_000)
    ball_only = 4 / 3 * np.pi * (RADIUS * VOXEL) ** 3
    assert volume_shown(widget) < before
    assert volume_shown(widget) == pytest.approx(ball_only, rel=0.03)
    vertices = meshes.find(layer).mesh.data[0]
    assert vertices[:, 2].max() < N // 2 + 8


def test_without_a_map_it_says_so(viewer, widget, layer):
    viewer.layers.remove(layer)
    assert "No map" in widget.enclosed.text()
    assert not widget.level.isEnabled()


@pytest.mark.meshes
def test_the_colouring_is_that_of_the_chosen_map_and_survives_a_new_level(
    viewer, widget, layer, qtbot
):
    meshes = MapMeshes.of(viewer)
    mesh = meshes.find(layer)
    qtbot.waitUntil(lambda: not mesh.busy, timeout=60_000)
    assert mesh.mesh.vertex_colors is None
    widget.colouring.setCurrentIndex(2)
    widget.colouring.activated.emit(2)
    assert mesh.colouring == "radius"
    before = mesh.mesh.vertex_colors.shape
    widget.level.setValue(widget.level.value() + 1)
    qtbot.waitUntil(lambda: not mesh.busy, timeout=60_000)
    colours = mesh.mesh.vertex_colors
    assert colours.shape == (len(mesh.mesh.data[0]), 4) != before
    other = map_layers.show_map(viewer, ball(RADIUS), VOXEL, "other").__wrapped__
    widget.map.setCurrentText("other")
    assert widget.colouring.currentIndex() == 0
    assert meshes.find(other).colouring == "plain"
    widget.colouring.setCurrentIndex(0)


@pytest.mark.meshes
def test_the_agreement_of_the_halves_is_shown_until_the_map_changes(
    viewer, widget, layer, qtbot, monkeypatch
):
    agreement = np.where(np.mgrid[:N, :N, :N][2] > N // 2, 1, 0).astype(np.float32)
    monkeypatch.setattr(dock, "half_maps_of", lambda *_: None)
    monkeypatch.setattr(dock, "read_agreement", lambda *_: agreement)
    mesh = MapMeshes.of(viewer).find(layer)
    qtbot.waitUntil(lambda: not mesh.busy, timeout=60_000)
    number = COLOURINGS.index("agreement")
    widget.colouring.setCurrentIndex(number)
    widget.colouring.activated.emit(number)
    qtbot.waitUntil(lambda: mesh.colouring == "agreement", timeout=60_000)
    assert "Local correlation" in widget.note.text()
    vertices, colours = np.array(mesh.mesh.data[0]), np.array(mesh.mesh.vertex_colors)
    good, bad = vertices[:, 2] > N // 2 + 1, vertices[:, 2] < N // 2 - 1
    assert (colours[good, 2] > colours[good, 0]).all()
    assert (colours[bad, 0] > colours[bad, 2]).all()
    layer.data = layer.data.copy()
    qtbot.waitUntil(lambda: not mesh.busy, timeout=60_000)
    assert mesh.mesh.vertex_colors is None
    assert widget.colouring.currentIndex() == 0
    assert widget.note.text() == ""


@pytest.mark.meshes
def test_a_map_without_halves_keeps_its_colours_and_says_why(
    viewer, widget, layer, qtbot, monkeypatch
):
    messages = []
    monkeypatch.setattr(dock, "show_error", messages.append)
    mesh = MapMeshes.of(viewer).find(layer)
    qtbot.waitUntil(lambda: not mesh.busy, timeout=60_000)
    widget.colouring.setCurrentIndex(COLOURINGS.index("agreement"))
    widget.colouring.activated.emit(COLOURINGS.index("agreement"))
    assert "has no half-maps" in messages[0]
    assert widget.colouring.currentIndex() == 0


@pytest.mark.meshes
def test_copies_are_coloured_once_a_pseudo_symmetry_was_found(
    viewer, widget, layer, qtbot, monkeypatch
):
    messages = []
    monkeypatch.setattr(dock, "show_error", messages.append)
    mesh = MapMeshes.of(viewer).find(layer)
    qtbot.waitUntil(lambda: not mesh.busy, timeout=60_000)
    number = COLOURINGS.index("copies")
    widget.colouring.setCurrentIndex(number)
    widget.colouring.activated.emit(number)
    assert "no pseudo-symmetry was found" in messages[0]
    assert widget.colouring.currentIndex() == 0
    subunits = (Subunit((5.0, 0.0, 0.0), -0.2), Subunit((-5.0, 0.0, 0.0), 0.2))
    record_axes(viewer, layer, MapAxes("C2", (), status="rejected", subunits=subunits))
    widget.colouring.setCurrentIndex(number)
    widget.colouring.activated.emit(number)
    assert mesh.colouring == "copies"
    assert "Density of the copies" in widget.note.text()


def test_the_dock_is_about_a_map_that_is_shown(viewer, widget, layer, qtbot):
    other = map_layers.show_map(viewer, ball(RADIUS), VOXEL, "other").__wrapped__
    qtbot.waitUntil(lambda: widget.map.layer is other)
    other.visible = False
    qtbot.waitUntil(lambda: widget.map.layer is layer)
    assert "hidden" not in widget.enclosed.text()
    other.visible = True
    viewer.layers.selection.active = other
    qtbot.waitUntil(lambda: widget.map.layer is other)
    layer.visible = False
    qtbot.wait(50)  # the list has followed
    widget.map.choose(layer)  # by hand
    qtbot.wait(50)
    assert widget.map.layer is layer
    assert widget.enclosed.text().startswith("This map is hidden.")
