"""Contents of the report page, which needs no other file."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from fake_runs import make_assignments, make_record, make_report, make_volume
from matplotlib.image import imread

from napari_ini3d import __version__
from napari_ini3d.geometry.healpix import pixel_directions
from napari_ini3d.io.mrc.maps import write_map
from napari_ini3d.report import run_figures as figures, write_report
from napari_ini3d.report.page import choose_iterations, read_history
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.summary import (
    IterationSummary,
    central_slices,
    make_pictures,
    projections,
)
from napari_ini3d.runs.symmetry_files import SymmetryFiles
from napari_ini3d.settings import InitialModelSettings


def make_run(path, reports, **record):
    folder = RunFolder.create(path)
    values = {
        "command": "ini3d run a&b.star",
        "particles": "/data/a&b.star",
        "n_particles": 2000,
        "excluded": (1, 2, 3),
        "settings": InitialModelSettings(mask_diameter=130.0, tau2_fudge=2.5),
    }
    folder.write_record(make_record(**(values | record)))
    for report in reports:
        folder.append_progress(IterationSummary.from_report(report).to_json())
        folder.write_pictures(report.iteration, make_pictures(report))
    return folder


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.links = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [v for k, v in attrs if k in ("src", "href") and v]

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    reports = [make_report(i, 10, classes=2, message="starts agree" * (i == 3)) for i in (1, 3, 10)]
    folder = make_run(tmp_path_factory.mktemp("report") / "run<1>", reports)
    folder.mark("SUCCESS")
    return write_report(folder).read_text(encoding="utf-8")


def test_every_picture_is_inside_the_page_and_nothing_is_loaded(page):
    links = Page(page).links
    assert len(links) >= 8
    for link in links:
        assert link.startswith("data:image/png;base64,")
        assert imread(io.BytesIO(base64.b64decode(link.partition(",")[2]))).size > 0
    assert not re.search(r"https?://|<script|@import", page)


def test_the_page_shows_the_results(page):
    text = " ".join(Page(page).words)
    for words in ("15.0 Å", "1 997", "67% of the particles", "starts agree", "finished", "2.5"):
        assert words in text


def test_the_page_names_the_versions_of_the_package_and_its_dependencies(page):
    assert f"<td>napari-ini3d</td><td>{__version__}</td>" in page
    assert f"<td>numpy</td><td>{np.__version__}</td>" in page


def test_the_page_names_the_box_if_it_is_not_that_of_the_particles(page, tmp_path):
    assert "processed in" not in page
    folder = make_run(tmp_path / "run", [make_report(1)], working_pixel_size=3.2)
    text = write_report(folder).read_text(encoding="utf-8")
    assert "processed in a box of 32 pixels of 3.2 Å" in text


def test_names_of_files_are_escaped(page):
    assert "run&lt;1&gt;" in page
    assert "a&amp;b.star" in page
    assert "run<1>" not in page


def test_changed_settings_are_marked(page):
    row = next(row for row in page.split("<tr>") if "tau2 fudge" in row)
    assert "changed" in row
    assert "changed" not in next(row for row in page.split("<tr>") if ">seed<" in row)


@pytest.mark.parametrize("estimated", [True, False])
def test_an_estimated_mask_is_not_marked_as_a_changed_setting(tmp_path, estimated):
    folder = make_run(tmp_path / "run", [make_report(1)], mask_estimated=estimated)
    rows = write_report(folder).read_text(encoding="utf-8").split("<tr>")
    (row,) = [row for row in rows if ">mask diameter<" in row]
    assert ("estimated from the images" in row, "changed" in row) == (estimated, not estimated)


def test_a_missing_scratch_folder_is_shown_as_none(page):
    assert "none" in next(row for row in page.split("<tr>") if ">scratch<" in row)


def test_a_run_without_an_iteration_has_a_page(tmp_path):
    assert "No iteration has been done" in write_report(make_run(tmp_path / "run", [])).read_text()


def test_a_run_with_values_that_are_not_finite_has_a_page(tmp_path):
    nothing = make_report(
        1,
        10,
        resolution=np.array([np.inf]),
        map_change=np.array([np.nan]),
        ssnr=np.zeros((1, 17)),
        view_counts=np.zeros((1, 48)),
        volumes=np.zeros((1, 32, 32, 32), np.float32),
    )
    assert "none yet" in write_report(make_run(tmp_path / "run", [nothing])).read_text()


def test_the_symmetry_is_shown_with_the_group_that_was_requested(tmp_path):
    folder = make_run(tmp_path / "run", [make_report(1, 10)])
    files = SymmetryFiles(folder)
    files.write_facts({"requested": "auto", "group": "D2", "verdict": "D2 holds to 14 Å"})
    files.picture_path.write_bytes(b"picture")
    text = write_report(folder).read_text(encoding="utf-8")
    assert "Symmetry: D2" in text
    assert "D2 holds to 14 Å" in text
    assert "Requested: auto." in text


def test_the_status_of_a_stopped_run_is_stopped(tmp_path):
    folder = make_run(tmp_path / "run", [make_report(1, 10)])
    folder.mark("ABORTED")
    history = read_history(folder)
    assert history is not None
    assert history.status == "stopped"
    assert "Status: stopped." in write_report(folder).read_text(encoding="utf-8")


def test_the_written_map_is_shown_if_there_is_one(tmp_path, monkeypatch):
    shown = []
    draw = figures.draw_views
    monkeypatch.setattr(figures, "draw_views", lambda *v: shown.append(v) or draw(*v))
    folder = make_run(tmp_path / "run", [make_report(4, 4)])
    volume = make_volume(seed=9)
    write_map(folder.class_map_path(4, 0), volume, 4.0)
    write_report(folder)
    np.testing.assert_array_equal(shown[0][0], central_slices(volume))
    np.testing.assert_array_equal(shown[0][1], projections(volume))


@pytest.mark.parametrize("n", [1, 5, 8, 9, 200])
def test_the_strip_shows_the_first_and_the_last_iteration(n):
    iterations = list(range(3, 3 + n))
    chosen = choose_iterations(iterations)
    assert chosen[0] == 3
    assert chosen[-1] == 2 + n
    assert len(chosen) == min(n, 8)
    assert chosen == sorted(set(chosen))


@pytest.mark.parametrize("pixel", [15, 83, 100, 180])
def test_a_direction_is_drawn_at_its_position_on_the_sphere(pixel):
    """Longitude runs from -180° at the left to 180°, latitude from the south up."""
    x, y, z = pixel_directions(4)[pixel]
    counts = np.zeros(192)
    counts[pixel] = 1
    (mesh, *_) = figures.draw_directions(counts).axes[0].collections
    values = np.asarray(mesh.get_array())
    rows, columns = np.nonzero(values == values.max())
    assert rows.mean() / values.shape[0] == pytest.approx(0.5 + np.arcsin(z) / np.pi, abs=0.04)
    longitude = 0.5 + np.arctan2(y, x) / (2 * np.pi)
    assert columns.mean() / values.shape[1] == pytest.approx(longitude, abs=0.04)
    assert values.max() == pytest.approx(len(counts))


def test_stages_are_drawn_longest_last_with_their_names_in_words():
    (axis,) = figures.draw_stages({"expectation": 3.0, "result_files": 1.0}).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["result files", "expectation"]
    assert [bar.get_width() for bar in axis.patches] == [1.0, 3.0]


def test_classes_have_colours_of_their_own():
    assert len({figures.colour_of(k) for k in range(50)}) == 50


def test_low_view_counts_are_pooled_and_high_ones_are_not():
    few, many = np.zeros(768), np.full(768, 20.0)
    few[:4] = 1, 2, 3, 4  # the children of the first pixel of the next coarser grid
    assert figures._pool_directions(few).tolist() == [10.0] + [0.0] * 191
    assert figures._pool_directions(many) is many


def test_the_page_shows_the_share_of_junk(tmp_path):
    report = make_report(1, assignments=make_assignments(4, junk=[1, 0.9, 0.1, 0]))
    text = write_report(make_run(tmp_path / "run", [report])).read_text(encoding="utf-8")
    assert "<dt>junk</dt><dd>50%</dd>" in text
    assert "50 % of the images show no particle like that of the map" in text
    assert "Images by their probability of junk" in text


def test_the_page_of_random_starts_says_nothing_of_junk(tmp_path):
    text = write_report(make_run(tmp_path / "run", [make_report(1, phase="starts")])).read_text()
    assert "junk" not in text.partition("<h2>Settings")[0]


def test_each_bar_of_junk_has_the_height_of_its_count():
    bars = figures.draw_junk(np.array([5, 0, 0, 2])).axes[0].patches
    assert [(bar.get_x(), bar.get_height()) for bar in bars] == [
        (0, 5), (0.25, 0), (0.5, 0), (0.75, 2),
    ]  # fmt: skip
