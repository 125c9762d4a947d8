import numpy as np
import pytest

pytest.importorskip("napari")

from napari_ini3d.errors import InputError, SettingsError, StarError
from napari_ini3d.io.images.reader import StackReader
from napari_ini3d.io.star.particles import read_particles
from napari_ini3d.optics.ctf import electron_wavelength
from napari_ini3d.plugin.layers import map_layer
from napari_ini3d.plugin.reader import read_layers
from napari_ini3d.plugin.viewer import particle_layers as shown
from napari_ini3d.plugin.viewer.map_layers import add_layers
from napari_ini3d.preflight.measure import estimate_mask_diameter
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
from napari_ini3d.simulation.dataset import write_dataset

N, BOX, PIXEL, DIAMETER = 60, 48, 4.0, 90.0


@pytest.fixture(scope="module")
def star(tmp_path_factory):
    phantom = make_phantom("D2", diameter=DIAMETER, seed=3)
    settings = SimulationSettings(number=N, box_size=BOX, pixel_size=PIXEL, snr=1.0, seed=3)
    folder = tmp_path_factory.mktemp("data")
    return write_dataset(folder, simulate_particles(phantom, settings), phantom)


@pytest.fixture
def layer(model, star):
    (layer,) = add_layers(model, read_layers(str(star)))
    return layer


def ctf_at(particles, number, column, row):
    """The CTF at a pixel from the zero frequency, from its textbook formula."""
    optics = particles.optics[0]
    wavelength = electron_wavelength(optics.voltage)
    angle = np.arctan2(row, column) - np.deg2rad(particles.defocus_angle[number])
    u, v = float(particles.defocus_u[number]), float(particles.defocus_v[number])
    defocus = (u + v) / 2 + (u - v) / 2 * np.cos(2 * angle)
    s2 = (column**2 + row**2) / (BOX * PIXEL) ** 2
    chi = np.pi * wavelength * defocus * s2
    chi -= np.pi / 2 * optics.spherical_aberration * 1e7 * wavelength**3 * s2**2
    return np.sin(chi + np.arcsin(optics.amplitude_contrast))


def test_the_ctf_is_that_of_the_particle_at_the_slider(model, layer, star):
    ctf = shown.show_ctf(model, layer)
    particles, _ = read_particles(star)
    assert ctf.data.shape == (N, 1, 1, BOX, BOX)
    for number in (0, 17, N - 1):
        model.dims.set_point(0, float(number))
        image = ctf._slice.image.raw
        for column, row in ((0, 0), (5, -3), (-20, 11)):
            found = image[BOX // 2 + row, BOX // 2 + column]
            assert found == pytest.approx(ctf_at(particles, number, column, row), abs=1e-3)


def test_the_ctf_is_beside_the_image_in_the_same_units(model, layer):
    ctf = shown.show_ctf(model, layer)
    (_, right), (left, _) = layer.extent.world[:, -1], ctf.extent.world[:, -1]
    assert 0 < left - right < 0.1 * BOX * PIXEL
    np.testing.assert_allclose(ctf.extent.world[:, -2], layer.extent.world[:, -2])
    assert ctf.units == layer.units
    assert ctf.axis_labels == layer.axis_labels
    assert ctf.name == "CTF to 8.0 Å"
    assert model.dims.ndisplay == 2
    assert model.layers.selection.active is layer


def test_the_ctf_is_shown_once(model, layer):
    first = shown.show_ctf(model, layer)
    first.visible = False
    assert shown.show_ctf(model, layer) is first
    assert first.visible
    assert len(model.layers) == 2


def test_the_circle_is_the_estimated_mask_about_the_rotation_centre(model, layer, star):
    circle = shown.show_mask_circle(model, layer)
    corners = circle.data[0]
    np.testing.assert_allclose(corners.mean(axis=0), 0, atol=1e-9)
    particles, _ = read_particles(star)
    expected = round(estimate_mask_diameter(StackReader(particles), np.arange(N)))
    np.testing.assert_allclose(np.ptp(corners, axis=0), [expected] * 2)
    assert DIAMETER < expected < BOX * PIXEL
    assert [str(unit) for unit in circle.units] == ["angstrom"] * 2
    assert circle.name == f"mask of {np.ptp(corners[:, 0]):.0f} Å"


def test_the_circle_is_resized_in_place(model, layer):
    first = shown.show_mask_circle(model, layer, 100.0)
    again = shown.show_mask_circle(model, layer, 60.0)
    assert again is first
    np.testing.assert_allclose(np.ptp(again.data[0], axis=0), [60, 60])
    assert len(model.layers) == 2


@pytest.mark.parametrize("diameter", [0.0, -5.0, np.nan, np.inf])
def test_a_circle_without_size_is_refused(model, layer, diameter):
    with pytest.raises(SettingsError, match="must be positive"):
        shown.show_mask_circle(model, layer, diameter)


def test_a_map_has_no_ctf_and_no_circle(model):
    (layer,) = add_layers(model, [map_layer(np.eye(8)[None].repeat(8, 0), 4.0, "map")])
    for show in (shown.show_ctf, shown.show_mask_circle):
        with pytest.raises(InputError, match="the layer map shows no particles"):
            show(model, layer)


def test_a_stack_without_star_file_has_a_circle_but_no_ctf(model, star):
    (layer,) = add_layers(model, read_layers(str(star.with_name("particles.mrcs"))))
    with pytest.raises(InputError, match="open the STAR file"):
        shown.show_ctf(model, layer)
    shown.show_mask_circle(model, layer, 50.0)
    assert len(model.layers) == 2


def test_a_star_file_without_defocus_says_what_is_missing(model, star, tmp_path):
    path = tmp_path / "particles.star"
    lines = star.read_text().splitlines(keepends=True)
    path.write_text("".join(line.replace("_rlnDefocusU ", "_rlnFoo ") for line in lines))
    (tmp_path / "particles.mrcs").symlink_to(star.with_name("particles.mrcs"))
    (layer,) = add_layers(model, read_layers(str(path)))
    with pytest.raises(StarError, match="rlnDefocusU"):
        shown.show_ctf(model, layer)


def test_a_changed_star_file_is_reported(model, star, tmp_path):
    path = tmp_path / "particles.star"
    path.write_text(star.read_text())
    (tmp_path / "particles.mrcs").symlink_to(star.with_name("particles.mrcs"))
    (layer,) = add_layers(model, read_layers(str(path)))
    rows = star.read_text().rstrip().splitlines()
    path.write_text("\n".join(rows[:-5]) + "\n")
    with pytest.raises(InputError, match="open it again"):
        shown.show_ctf(model, layer)


def test_the_selected_particles_or_the_only_ones_are_used(model, layer, star):
    assert shown.particles_to_show(model) is layer
    model.layers.selection.clear()
    assert shown.particles_to_show(model) is layer
    (other,) = add_layers(model, read_layers(str(star)))
    model.layers.selection.active = other
    assert shown.particles_to_show(model) is other
    model.layers.selection.active = None
    with pytest.raises(InputError, match="2 layers show particles"):
        shown.particles_to_show(model)


def test_the_commands_of_the_menu_show_both(viewer, star):
    from napari._app_model import get_app_model

    viewer.open(str(star), plugin="napari-ini3d")
    for command in ("show_ctf", "show_mask_circle"):
        get_app_model().commands.execute_command(f"napari-ini3d.{command}").result()
    kinds = {layer.metadata["ini3d"]["kind"] for layer in viewer.layers}
    assert kinds == {"particles", "ctf", "particle mask"}


def test_without_particles_the_commands_say_what_to_do(model, monkeypatch):
    notifications = []
    monkeypatch.setattr(shown, "show_error", notifications.append)
    shown.show_ctf_of_selected(model)
    shown.show_mask_circle_on_selected(model)
    assert len(notifications) == 2
    assert all("open a particles.star or a .cs file first" in text for text in notifications)
