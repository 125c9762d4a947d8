"""The dock *Particles*: pages, class, region, junk per micrograph."""

from weakref import ref

import numpy as np
import pytest

pytest.importorskip("napari")

from dock_driver import press, until
from fake_runs import make_assignments, make_record
from qtpy.QtCore import QPoint, QPointF, Qt

from napari_ini3d.errors import RunFolderError
from napari_ini3d.geometry import euler_to_matrix
from napari_ini3d.plugin.convergence.angular_distribution import (
    AngularDistribution,
    circle_on_sphere,
)
from napari_ini3d.plugin.convergence.region import show_particles_on_click
from napari_ini3d.plugin.gallery import dock as dock_module
from napari_ini3d.plugin.gallery.dock import PAGE, GalleryWidget
from napari_ini3d.plugin.gallery.pairs import best_columns
from napari_ini3d.plugin.session import RunView
from napari_ini3d.plugin.viewer import PlotStyle, unwrap_proxy
from napari_ini3d.runs import GalleryImages, RunFolder, RunParticles
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles

N = 40
DOCK = "Particles (napari-ini3d)"


@pytest.fixture
def particles(tmp_path):
    """Forty particles of two classes on four micrographs."""
    settings = SimulationSettings(number=N, box_size=16, pixel_size=8.0)
    simulated = simulate_particles(make_phantom(diameter=60.0), settings)
    truth = simulated.truth
    junk = np.linspace(0, 0.78, N)
    assignments = make_assignments(N, classes=2, junk=junk)
    matrices = euler_to_matrix(truth.rot, truth.tilt, truth.psi)
    record = make_record(n_particles=N, settings=InitialModelSettings(classes=2))
    return RunParticles(
        folder=RunFolder(tmp_path),
        record=record,
        iteration=7,
        particles=simulated.particles,
        assignments=assignments,
        directions=matrices[:, 2],
        micrographs=("a.mrc", "b.mrc", "c.mrc", "empty.mrc"),
        micrograph_index=np.arange(N) % 3,
    )


@pytest.fixture
def asked(monkeypatch, particles):
    """The particles whose images were asked for, page by page."""
    pages = []

    def read(run, index, *, low_pass, step):
        pages.append(index)
        images = np.random.default_rng(0).normal(size=(2, len(index), 8, 8)).astype(np.float32)
        return GalleryImages(images[0], images[1], np.full(len(index), 0.25), 4.0, index)

    monkeypatch.setattr(dock_module, "read_run_particles", lambda _: particles)
    monkeypatch.setattr(dock_module.RunFolder, "open", lambda path: path)
    monkeypatch.setattr(dock_module, "read_gallery_images", read)
    return pages


@pytest.fixture
def gallery(viewer, asked, tmp_path, qtbot):
    viewer.window.resize(900, 700)
    widget = GalleryWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Particles")
    widget.show_folder(tmp_path)
    ready(widget, qtbot)
    return widget


def ready(widget, qtbot):
    until(qtbot, lambda: widget.run is not None and not widget.tasks.busy and widget.pairs.n_pairs)


@pytest.fixture
def folders(gallery, monkeypatch):
    """The folders that the dock shows from now on."""
    shown = []
    monkeypatch.setattr(gallery, "show_folder", shown.append)
    return shown


def test_a_run_that_finishes_replaces_that_of_the_window_but_not_one_that_was_opened(
    gallery, folders, monkeypatch, tmp_path
):
    gallery.session.run_folder = tmp_path / "new"
    gallery.session.finished.emit(tmp_path / "new")
    assert folders == [tmp_path / "new"]
    opened = str(tmp_path / "opened")
    monkeypatch.setattr(dock_module.QFileDialog, "getExistingDirectory", lambda *_: opened)
    gallery.open.click()
    gallery.session.finished.emit(tmp_path / "new")
    gallery.reload.click()
    assert folders[1:] == [tmp_path / "opened"] * 2


def test_a_hidden_dock_shows_the_run_that_has_finished_when_it_is_shown_again(
    gallery, folders, tmp_path
):
    gallery.session.run_folder = tmp_path / "new"
    gallery.hide()
    gallery.show()
    assert folders == []
    gallery.hide()
    gallery.session.finished.emit(tmp_path / "new")
    assert folders == []
    gallery.show()
    assert folders == [tmp_path / "new"]


def test_a_run_that_cannot_be_read_is_not_read_again_when_the_dock_is_shown(
    gallery, asked, qtbot, monkeypatch, tmp_path
):
    calls = []

    def fail(_):
        calls.append(1)
        raise RunFolderError("no particles")

    monkeypatch.setattr(dock_module, "read_run_particles", fail)
    gallery.session.run_folder = tmp_path
    gallery.show_folder(tmp_path)
    until(qtbot, lambda: "no particles" in gallery.pairs.message)
    gallery.hide()
    gallery.show()
    until(qtbot, lambda: not gallery.tasks.busy)
    assert len(calls) == 1
    assert "no particles" in gallery.pairs.message


def test_pages_hold_all_particles_once(gallery, asked, qtbot):
    assert gallery.page.text() == "1-12 of 40 particles"
    assert not gallery.back.isEnabled()
    while gallery.forward.isEnabled():
        press(qtbot, gallery.forward)
        ready(gallery, qtbot)
    assert gallery.page.text() == "37-40 of 40 particles"
    assert gallery.pairs.n_pairs == 4
    shown = np.unique(np.concatenate(asked))
    np.testing.assert_array_equal(shown, np.arange(N))
    assert max(map(len, asked)) == PAGE


def test_each_pair_says_which_particle_class_junk_and_correlation(gallery):
    assert gallery.pairs.texts[1] == "2 · class 2\njunk 2 % · cc 0.25"


def test_a_class_is_chosen(gallery, qtbot):
    assert [gallery.classes.itemText(i) for i in range(3)] == [
        "All classes",
        "Class 1 (20)",
        "Class 2 (20)",
    ]
    gallery.classes.setCurrentIndex(2)
    ready(gallery, qtbot)
    assert (gallery.index % 2 == 1).all()
    assert "of 20 particles" in gallery.page.text()


def test_a_click_on_the_sphere_shows_the_particles_around_it(gallery, qtbot, particles):
    sphere = gallery.sphere
    centre = sphere.rect().center()
    position = QPoint(centre.x() + 3, centre.y() - 9)
    expected = sphere.direction_at(QPointF(position))
    qtbot.mouseClick(sphere, Qt.MouseButton.LeftButton, pos=position)
    np.testing.assert_allclose(gallery.direction, expected)
    gallery.radius.setValue(60)
    expected = particles.select(None, gallery.direction, 60.0)
    np.testing.assert_array_equal(gallery.index, expected)
    assert "within 60°" in gallery.page.text()
    press(qtbot, gallery.everywhere)
    assert len(gallery.index) == N


def test_an_empty_region_says_so(gallery, particles):
    directions = np.random.default_rng(0).normal(size=(2000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    furthest = directions[np.argmin((particles.directions @ directions.T).max(axis=0))]
    gallery.radius.setValue(5)
    gallery.choose_direction(furthest)
    assert gallery.pairs.message == "No particles match this class and region."


def test_the_order_is_by_junk(gallery, qtbot):
    gallery.order.setCurrentText("junk first")
    np.testing.assert_array_equal(gallery.index, np.arange(N)[::-1])
    gallery.order.setCurrentText("junk last")
    np.testing.assert_array_equal(gallery.index, np.arange(N))


def test_the_junk_of_micrographs_is_listed_and_leads_to_their_particles(gallery, particles, qtbot):
    table = gallery.junk.table
    rows = [
        [table.item(row, column).text() for column in range(3)] for row in range(table.rowCount())
    ]
    _, means = particles.micrograph_table()
    by_name = {row[0]: row for row in rows}
    assert by_name["a.mrc"] == ["a.mrc", "14", f"{100 * means[0]:.1f}".rstrip("0").rstrip(".")]
    assert by_name["empty.mrc"] == ["empty.mrc", "0", ""]
    shares = [float(row[2]) for row in rows if row[2]]
    assert shares == sorted(shares, reverse=True)
    assert (
        "14 of 40 particles are probably junk (probability above 50 %)"
        in gallery.junk.summary.text()
    )
    item = next(table.item(r, 0) for r in range(4) if table.item(r, 0).text() == "b.mrc")
    table.itemDoubleClicked.emit(item)
    assert (gallery.index % 3 == 1).all()
    assert "of b.mrc" in gallery.page.text()


def test_an_error_is_shown_instead_of_the_images(gallery, asked, qtbot, monkeypatch):
    def fail(*_, **__):
        raise RunFolderError("no stack")

    monkeypatch.setattr(dock_module, "read_gallery_images", fail)
    gallery.show_page(0)
    until(qtbot, lambda: "no stack" in gallery.pairs.message)


def test_the_theme_changes_all_parts(gallery, viewer):
    directions = gallery.sphere.relative
    viewer.theme = "light"
    style = gallery.sphere.plot_style
    np.testing.assert_array_equal(gallery.sphere.relative, directions)
    assert directions.size
    assert not style.dark
    assert gallery.junk.plot_style == gallery.pairs.plot_style == style


@pytest.mark.parametrize(("width", "height"), [(400, 300), (400, 1200), (1200, 200), (100, 90)])
def test_pairs_fit_their_area(width, height):
    columns, side = best_columns(12, width, height)
    rows = -(-12 // columns)
    assert columns * (2 * side + 6) <= width + 12
    assert side == 1 or rows * (side + 28) <= height + 1e-6


@pytest.mark.parametrize("width", [90, 200, 390, 1200])
def test_the_text_below_a_pair_has_room(width):
    columns, side = best_columns(12, width, 240, longest=110)
    assert columns == 1 or width / columns >= 110 + 6
    assert columns * (2 * side + 6) <= width + 12
    assert columns >= best_columns(12, width, 240, longest=width)[0] == 1


def test_a_circle_on_the_sphere_is_at_its_angle():
    direction = np.array([0.6, 0.0, 0.8])
    circle = circle_on_sphere(direction, 25.0)
    np.testing.assert_allclose(circle @ direction, np.cos(np.radians(25)), atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(circle, axis=1), 1, atol=1e-9)


def test_a_click_on_the_sphere_of_a_run_shows_the_particles_of_that_region_and_class(
    viewer, asked, particles, tmp_path, qtbot
):
    sphere = AngularDistribution(PlotStyle.of_theme("dark"))
    qtbot.addWidget(sphere)
    sphere.view = RunView(folder=tmp_path, class_index=1)
    show_particles_on_click(sphere, ref(unwrap_proxy(viewer)))
    for direction in (particles.directions[1], particles.directions[3]):
        sphere.direction_clicked.emit(direction)
        widget = viewer.window.dock_widgets[DOCK]
        until(qtbot, lambda: not widget.tasks.busy and widget.run is not None)  # noqa: B023
        np.testing.assert_array_equal(widget.direction, direction)
        assert widget.classes.currentData() == 1
        wanted = particles.select(1, direction, widget.radius.value())
        np.testing.assert_array_equal(np.sort(widget.index), np.sort(wanted))
        assert 0 < len(wanted) < N
    assert len(viewer.window.dock_widgets) == 1
