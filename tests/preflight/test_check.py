from pathlib import Path

import numpy as np
import pytest
from mrc_files import particle_rows, star_text, write_particles
from particle_images import ArraySource, discs

from napari_ini3d.preflight.bad_images import bad_images
from napari_ini3d.preflight.check_all import check_particles
from napari_ini3d.preflight.resources import estimate_resources
from napari_ini3d.settings import InitialModelSettings


def test_bad_images_are_found_with_their_reasons():
    images = np.random.default_rng(0).normal(size=(9, 16, 16))
    images[1, 0, 0] = np.nan
    images[3, 15, 15] = -np.inf
    images[4] = 0
    images[7] = -3.7
    found = [(bad.index, bad.reason) for bad in bad_images(ArraySource(images), 9, batch_size=4)]
    assert found == [(1, "not finite"), (3, "not finite"), (4, "all zero"), (7, "constant")]
    some = [bad.index for bad in bad_images(ArraySource(images), np.array([7, 0, 1]))]
    assert some == [7, 1]


def test_an_image_far_from_zero_is_not_constant():
    images = 100 + np.random.default_rng(0).normal(size=(2, 16, 16))
    assert list(bad_images(ArraySource(images), 2)) == []


@pytest.mark.parametrize("scale", [1e-42, 1e-30, 1e30])
def test_images_whose_squares_do_not_fit_into_floats_are_bad(tmp_path, scale):
    images = np.random.default_rng(1).normal(size=(6, 16, 16)) * scale
    report = check_particles(write_particles(tmp_path, images))
    assert [image.reason for image in report.bad_images] == ["out of range"] * 6
    assert not report.ok


def test_good_particles_pass(tmp_path):
    images = discs(60, 5, box=16)
    report = check_particles(write_particles(tmp_path, images))
    assert report.ok
    assert (report.n_particles, report.n_stacks) == (60, 1)
    assert (report.box_size, report.pixel_size) == (16, 2.0)
    assert report.contrast == "white on black"
    assert report.bad_images == ()
    assert 20 < report.mask_diameter < 32  # discs of 20 Å in a box of 32 Å


def test_bad_images_are_a_problem_only_beyond_the_allowed_fraction(tmp_path):
    images = discs(10, 5, box=16)
    images[2] = 0
    path = write_particles(tmp_path, images)
    strict = check_particles(path, InitialModelSettings(max_excluded=0.05))
    assert not strict.ok
    assert "1 of 10 images" in strict.problems[0]
    assert check_particles(path, InitialModelSettings(max_excluded=0.2)).ok
    assert [(bad.index, bad.reason) for bad in strict.bad_images] == [(2, "all zero")]


def test_a_box_that_is_too_small_for_a_run_is_an_error(tmp_path):
    path = write_particles(
        tmp_path, discs(20, 4, box=12), optics=["1 opticsGroup1 300.0 2.7 0.1 8.0 12 2"]
    )
    report = check_particles(path)
    assert not report.ok
    assert "a box of 12 pixels of 8 Å; expected at least 16 pixels" in report.problems[0]


def test_a_particle_smaller_than_any_mask_is_reported_as_a_wrong_pixel_size(tmp_path):
    path = write_particles(
        tmp_path, discs(60, 5, box=16), optics=["1 opticsGroup1 300.0 2.7 0.1 0.5 16 2"]
    )
    report = check_particles(path)
    assert report.mask_diameter < 10
    assert [f.code for f in report.findings if f.level == "error"] == ["pixel-size-unit"]


def test_dark_particles_and_duplicates_are_noted(tmp_path):
    path = write_particles(tmp_path, discs(60, 5, box=16, sign=-1))
    path.write_text(star_text([*particle_rows(60), *particle_rows(3)]))
    report = check_particles(path)
    assert report.ok
    assert report.contrast == "black on white"
    found = {found.code: found for found in report.findings}
    assert set(found) == {"few-particles", "duplicates", "contrast"}
    assert found["duplicates"].count == 3
    assert (found["duplicates"].count, found["duplicates"].rows) == (3, (61, 62, 63))


def test_every_bad_stack_is_reported(tmp_path):
    path = write_particles(tmp_path, discs(4, 5, box=16))
    (tmp_path / "short.mrcs").write_bytes(b"x" * 100)
    (tmp_path / "cut.mrcs").write_bytes((tmp_path / "stack.mrcs").read_bytes()[:-8])
    rows = [row for name in ("stack", "short", "cut") for row in particle_rows(4, f"{name}.mrcs")]
    path.write_text(star_text(rows))
    problems = check_particles(path).problems
    assert len(problems) == 2
    assert any("truncated" in problem for problem in problems)


def test_an_unreadable_star_file_is_reported_not_raised():
    report = check_particles(Path("nowhere.star"))
    assert not report.ok
    assert "nowhere.star" in report.problems[0]


def test_a_large_box_needs_the_memory_of_the_smaller_box_in_which_it_is_processed():
    settings = InitialModelSettings(mask_diameter=150.0)
    large = estimate_resources(1000, 512, settings, pixel_size=1.0)
    small = estimate_resources(1000, 160, settings)
    assert large.memory_bytes - small.memory_bytes == 3 * 4 * 512**3
    assert estimate_resources(1000, 512, settings).memory_bytes > 2 * large.memory_bytes


def test_preread_adds_the_memory_of_the_images():
    few = estimate_resources(1000, 64, InitialModelSettings())
    held = estimate_resources(1000, 64, InitialModelSettings(preread=True))
    assert held.memory_bytes - few.memory_bytes == 1000 * 64 * 64 * 4
    assert held.disk_bytes == few.disk_bytes


@pytest.mark.parametrize("name", ["a\nb", 'a"b'])
def test_a_path_that_star_files_cannot_hold_is_an_error_of_the_check_as_of_a_run(tmp_path, name):
    (tmp_path / name).mkdir()
    report = check_particles(write_particles(tmp_path / name, discs(4, 5, box=16)))
    assert [finding.code for finding in report.findings] == ["path-name"]
    assert "rename the file or folder" in report.problems[0]
