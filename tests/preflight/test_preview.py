"""Steps of the preview, the last of which equals the check."""

import mrcfile
import numpy as np
import pytest

from napari_ini3d.preflight import preview
from napari_ini3d.preflight.check_all import check_particles
from napari_ini3d.preflight.preview import preview_particles
from napari_ini3d.preflight.summary import check_rows, describe_time, estimated_time
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
from napari_ini3d.simulation.dataset import write_dataset

SETTINGS = InitialModelSettings(max_excluded=0.5)


@pytest.fixture
def star(tmp_path):
    settings = SimulationSettings(number=60, box_size=32, pixel_size=4.0, snr=2.0)
    phantom = make_phantom(diameter=80.0)
    return write_dataset(tmp_path, simulate_particles(phantom, settings), phantom)


def spoil(star, *images):
    with mrcfile.open(star.with_name("particles.mrcs"), "r+") as file:
        for image in images:
            file.data[image] = np.nan


@pytest.mark.parametrize("bad", [(), (0, 7, 59)])
def test_the_last_step_equals_the_check(star, bad):
    spoil(star, *bad)
    *_, last = preview_particles(star, SETTINGS)
    assert last.complete
    assert last.report == check_particles(star, SETTINGS)
    assert [image.index for image in last.report.bad_images] == list(bad)


def test_the_first_step_has_the_results_from_headers(star):
    first = next(preview_particles(star, SETTINGS)).report
    assert (first.n_particles, first.box_size, first.pixel_size) == (60, 32, 4.0)
    assert first.mask_diameter is None


def test_a_sample_gives_contrast_mask_and_average(star):
    spoil(star, 3)
    sampled = list(preview_particles(star, SETTINGS))[1]
    assert sampled.report.contrast == "white on black"
    assert 78 < sampled.report.mask_diameter < 78 + 30  # a phantom of 78 Å
    with mrcfile.open(star.with_name("particles.mrcs")) as file:
        images = np.delete(file.data.astype(np.float64), 3, axis=0)
    expected = np.mean([(image - image.mean()) / image.std() for image in images], axis=0)
    np.testing.assert_allclose(sampled.average, expected, atol=1e-5)


def test_bad_images_are_reported_as_they_are_found(star, monkeypatch):
    monkeypatch.setattr(preview, "_CHUNK", 25)
    spoil(star, 10, 40)
    steps = list(preview_particles(star, SETTINGS))[2:]
    assert [step.n_checked for step in steps] == [25, 50, 60]
    assert [len(step.report.bad_images) for step in steps] == [1, 2, 2]


def test_images_that_are_all_bad_have_no_average(star):
    spoil(star, *range(60))
    *_, last = preview_particles(star, SETTINGS)
    assert last.average is None
    assert "60 of 60 images cannot be used" in last.report.problems[0]


def test_a_missing_star_file_is_a_problem_not_an_error(tmp_path):
    (only,) = preview_particles(tmp_path / "none.star", SETTINGS)
    assert only.complete
    assert "none.star" in only.report.problems[0]


def test_more_classes_take_longer(star):
    *_, last = preview_particles(star, SETTINGS)
    one, five = (estimated_time(last.report, SETTINGS.with_changes(classes=k)) for k in (1, 5))
    assert five > one > 0
    assert dict(check_rows(last.report, one))["particles"] == "60"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (59, "59 s"), (61, "1 min"), (3599, "1 h 00 min"), (11100, "3 h 05 min")],
)
def test_times_are_rounded_to_a_readable_unit(seconds, text):
    assert describe_time(seconds) == text
