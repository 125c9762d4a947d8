"""Movie of a run: one frame per iteration, with caption; nothing is left of one that fails."""

import itertools
import json

import numpy as np
import pytest
from fake_runs import make_record, make_report
from PIL import Image
from typer.testing import CliRunner

from napari_ini3d.cli.app import app
from napari_ini3d.errors import InputError
from napari_ini3d.report import write_run_movie
from napari_ini3d.report.movie_file import write_caption
from napari_ini3d.runs import IterationSummary, RunFolder, make_pictures


@pytest.fixture
def run(tmp_path):
    """Five iterations of two classes, with pictures."""
    folder = RunFolder.create(tmp_path / "run")
    folder.write_record(make_record())
    folder.pictures_path.mkdir(exist_ok=True)
    for iteration in range(1, 6):
        report = make_report(iteration, 5, classes=2)
        folder.append_progress(IterationSummary.from_report(report).to_json())
        folder.write_pictures(iteration, make_pictures(report))
    return folder


def frames(path):
    with Image.open(path) as saved:
        for number in range(saved.n_frames):
            saved.seek(number)
            yield np.asarray(saved.convert("RGB"))


def test_every_iteration_is_a_frame_and_they_differ(run, tmp_path):
    assert write_run_movie(run, tmp_path / "movie.gif") == 5
    shown = list(frames(tmp_path / "movie.gif"))
    assert len(shown) >= 5
    assert shown[0].shape[1] > 400
    assert all((a != b).any() for a, b in itertools.pairwise(shown))


def test_some_iterations_and_the_last_one(run, tmp_path):
    seen = []
    step = lambda done, total: seen.append((done, total))  # noqa: E731
    assert write_run_movie(run, tmp_path / "movie.gif", every=3, step=step) == 3  # 1, 4, 5
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_classes_have_movies_of_their_own(run, tmp_path):
    for k in (0, 1):
        write_run_movie(run, tmp_path / f"{k}.gif", class_index=k)
    first, second = (next(frames(tmp_path / f"{k}.gif")) for k in (0, 1))
    assert (first != second).mean() > 0.1


@pytest.mark.parametrize(
    ("name", "k", "message"),
    [("movie.avi", 0, "expected a name that ends with"), ("movie.gif", 2, "no class 3")],
)
def test_what_cannot_be_made_is_refused(run, tmp_path, name, k, message):
    with pytest.raises(InputError, match=message):
        write_run_movie(run, tmp_path / name, class_index=k)
    assert not list(tmp_path.glob("*movie*"))


def test_a_movie_that_fails_leaves_no_file(run, tmp_path):
    def fail(done, _):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_run_movie(run, tmp_path / "movie.gif", step=fail)
    assert not list(tmp_path.glob("*movie*"))


def test_a_run_without_iterations_has_no_movie(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    with pytest.raises(InputError, match="no pictures"):
        write_run_movie(folder, tmp_path / "movie.gif")


def test_the_command_writes_a_movie_and_never_over_another(run, tmp_path):
    target = tmp_path / "movie.gif"
    command = ["movie", str(run.path), "--output", str(target), "--every", "2", "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert json.loads(done.output.splitlines()[-1])["iterations"] == 3
    before = target.read_bytes()
    assert CliRunner().invoke(app, command).exit_code == 1
    assert target.read_bytes() == before
    assert CliRunner().invoke(app, [*command, "--overwrite"]).exit_code == 0


def test_a_caption_breaks_at_its_dots_on_a_narrow_frame():
    text = "run · iteration 40 · class 1 64.2 Å · class 2 11.8 Å (FSC 0.5) · level 4.0 σ"
    for width in (300, 1200):
        frame = write_caption(np.zeros((700, width, 3), np.uint8), text)
        rows, columns = np.nonzero(frame.any(axis=2))
        assert columns.max() < width - 5  # nothing is cut
        assert rows.max() < 700 - 5
        lines = np.diff(np.unique(rows)).max()
        assert (lines > 1) == (width == 300)
