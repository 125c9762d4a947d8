"""Values in STAR files that are in other units, or concern other particles than ours."""

from dataclasses import replace

import mrcfile
import numpy as np
import pytest
from mrc_files import PARTICLE_LABELS, particle_rows, star_text, write_particles

from napari_ini3d.errors import InputError
from napari_ini3d.io import inspect_stacks, read_particles
from napari_ini3d.preflight.check_all import check_particles
from napari_ini3d.preflight.defocus import without_underfocus
from napari_ini3d.preflight.selection import select_images
from napari_ini3d.preflight.values import inspect_values
from napari_ini3d.settings import InitialModelSettings

N = 120
IMAGES = np.random.default_rng(0).normal(size=(N, 16, 16)).astype(np.float32)
SETTINGS = InitialModelSettings(max_excluded=0.05)


@pytest.fixture(scope="module")
def star(tmp_path_factory):
    return write_particles(tmp_path_factory.mktemp("data"), IMAGES)


def found_in(star, change=lambda particles: particles, settings=SETTINGS, pixel_size=0.0):
    """The findings about the particles of a file, changed."""
    particles, table = read_particles(star)
    headers, _ = inspect_stacks(particles)
    headers = {i: replace(header, pixel_size=pixel_size) for i, header in headers.items()}
    found = inspect_values(change(particles), table, headers, settings)
    return {finding.code: finding for finding in found}


def scaled(factor):
    return lambda p: replace(p, defocus_u=p.defocus_u * factor, defocus_v=p.defocus_v * factor)


def optics(**changes):
    return lambda p: replace(p, optics=(replace(p.optics[0], **changes),))


def test_good_particles_have_no_findings(star):
    assert found_in(star) == {}


@pytest.mark.parametrize(
    ("factor", "unit", "advice"),
    [
        (1e-10, "looks like m", "1e+10"),
        (1e-7, "mm", "1e+07"),
        (1e-4, "µm", "10000"),
        (0.1, "nm", "by 10"),
        (100, "pm", ""),
    ],
)
def test_defocus_in_another_unit_is_an_error_that_names_it(star, factor, unit, advice):
    found = found_in(star, scaled(factor))["defocus-unit"]
    assert found.level == "error"
    assert unit in str(found)
    assert advice in found.advice


@pytest.mark.parametrize(("share", "level"), [(0.4, "error"), (1 / N, "warning")])
@pytest.mark.parametrize("factor", [1e-4, 1e4])
def test_some_defoci_in_another_unit_are_found_with_their_rows(star, share, level, factor):
    odd = np.arange(N) < share * N

    def change(particles):
        factors = np.where(odd, factor, 1).astype(np.float32)
        return replace(
            particles,
            defocus_u=particles.defocus_u * factors,
            defocus_v=particles.defocus_v * factors,
        )

    found = found_in(star, change)["defocus-mixed"]
    assert (found.level, found.count, found.rows[0]) == (level, odd.sum(), 1)


@pytest.mark.parametrize(("odd", "level"), [(slice(None), "error"), (slice(0, 1), "warning")])
@pytest.mark.parametrize("factor", [1e-4, 0.1, 10])
def test_a_second_defocus_in_another_unit_than_the_first_is_found(star, odd, level, factor):
    def change(particles):
        defocus = particles.defocus_v.copy()
        defocus[odd] *= factor
        return replace(particles, defocus_v=defocus)

    found = found_in(star, change)["defocus-mixed"]
    assert (found.level, found.rows[0]) == (level, 1)
    assert f"such as {14000 * factor:g}" in str(found)


def spread(low, high, odd=0, factor=1.0):
    """Change the defoci to a range, those of the first particles also by a factor."""
    both = np.random.default_rng(2).uniform(low, high, N).astype(np.float32)
    both[:odd] *= factor
    return lambda p: replace(p, defocus_u=both * 1.02, defocus_v=both)


@pytest.mark.parametrize("odd", [1, 12, 50])
def test_defoci_in_nm_among_others_in_angstrom_are_a_warning(star, odd):
    found = found_in(star, spread(8000, 25_000, odd, 0.1))["defocus-mixed"]
    assert (found.level, found.count, found.rows[0]) == ("warning", odd, 1)
    assert "looks like nm" in found.message


@pytest.mark.parametrize(("low", "high"), [(1000, 9000), (3000, 40_000), (8000, 25_000)])
def test_a_wide_range_of_defoci_is_not_taken_for_a_mixture(star, low, high):
    assert found_in(star, spread(low, high)) == {}


def test_the_unit_of_the_defocus_is_checked_for_each_optics_group(star):
    def change(particles):
        second = np.arange(N) >= 0.6 * N
        scale = np.where(second, 0.1, 1).astype(np.float32)
        return replace(
            particles,
            optics=(particles.optics[0], replace(particles.optics[0], number=2)),
            optics_index=second.astype(np.int32),
            defocus_u=particles.defocus_u * scale,
            defocus_v=particles.defocus_v * scale,
        )

    assert "of optics group 2" in str(found_in(star, change)["defocus-unit"])


@pytest.mark.parametrize("micrometres", [0.7, 1.5, 3.5, 6.0])
def test_any_usual_defocus_is_accepted_in_angstrom(star, micrometres):
    assert found_in(star, scaled(micrometres / 1.5)) == {}


def test_a_phase_plate_allows_less_defocus_and_the_unit_is_not_checked_without_ctf(star):
    def near_focus(particles):
        return replace(scaled(0.1)(particles), phase_shift=np.full(N, 90, np.float32))

    assert "defocus-unit" not in found_in(star, near_focus)
    assert found_in(star, scaled(0.1), InitialModelSettings(ctf=False)) == {}


@pytest.mark.parametrize(
    ("box", "pixel", "header"), [(64, 0.34, 0), (256, 0.106, 0), (600, 0.13, 0), (512, 0.34, 3.4)]
)
def test_a_pixel_size_in_nm_is_an_error(star, box, pixel, header):
    found = found_in(star, optics(box_size=box, pixel_size=pixel), pixel_size=header)
    assert found["pixel-size-unit"].level == "error"
    assert "looks like nm" in str(found["pixel-size-unit"])


@pytest.mark.parametrize(("box", "pixel"), [(512, 0.34), (400, 0.5), (64, 8.0), (16, 2.0)])
def test_plausible_pixel_sizes_are_accepted(star, box, pixel):
    assert found_in(star, optics(box_size=box, pixel_size=pixel)) == {}


def test_a_pixel_size_in_pm_is_an_error(star):
    assert "looks like pm" in str(found_in(star, optics(pixel_size=106.0))["pixel-size-unit"])


@pytest.mark.parametrize(
    ("pixel", "words", "factor"),
    [
        (1.06e-4, "looks like µm", "10000"),
        (1.06e-10, "looks like m,", "1e+10"),
        (1.06e5, "looks like fm", "1e-05"),
        (1e-7, "no known unit", "correct"),
    ],
)
def test_a_pixel_size_in_another_unit_is_named_with_its_factor(star, pixel, words, factor):
    found = found_in(star, optics(pixel_size=pixel))["pixel-size-unit"]
    assert words in found.message
    assert factor in found.advice


@pytest.mark.parametrize("millimetres", [0.6, 1.4, 2.26, 2.7, 4.1])
def test_a_spherical_aberration_in_m_is_a_warning(star, millimetres):
    found = found_in(star, optics(spherical_aberration=millimetres / 1000))
    assert [(one.code, one.level) for one in found.values()] == [("aberration-unit", "warning")]
    assert found_in(star, optics(spherical_aberration=millimetres)) == {}


@pytest.mark.parametrize("corrected", [0.0, 0.01, 0.02, -0.01, 1e-4])
def test_the_aberration_of_a_corrected_microscope_is_accepted(star, corrected):
    assert found_in(star, optics(spherical_aberration=corrected)) == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [("voltage", 30.0), ("spherical_aberration", 27.0), ("amplitude_contrast", 1.0)],
)
def test_unusual_optics_are_a_warning_unless_the_ctf_is_not_used(star, field, value):
    found = found_in(star, optics(**{field: value}))["optics-unusual"]
    assert (found.level, found.count) == ("warning", N)
    assert f"{value:g}" in found.message
    assert found_in(star, optics(**{field: value}), InitialModelSettings(ctf=False)) == {}


@pytest.mark.parametrize("shift", [1.5707964, 0.25])
def test_one_phase_shift_of_all_particles_in_radians_is_a_warning(star, shift):
    found = found_in(star, lambda p: replace(p, phase_shift=np.full(N, shift, np.float32)))
    assert found["angle-unit"].level == "warning"
    ninety = found_in(star, lambda p: replace(p, phase_shift=np.full(N, 90, np.float32)))
    assert "angle-unit" not in ninety


def test_another_pixel_size_in_the_header_is_noted_unless_it_is_the_default(star):
    found = found_in(star, pixel_size=2.5)
    assert found["pixel-size-differs"].level == "note"
    assert found_in(star, pixel_size=2.0) == found_in(star, pixel_size=1.0) == {}


def test_angles_in_radians_are_a_warning(star):
    angles = np.linspace(-3.1, 3.1, N).astype(np.float32)
    found = found_in(star, lambda p: replace(p, defocus_angle=angles))["angle-unit"]
    assert (found.level, found.count) == ("warning", N)


def test_helices_and_few_particles_are_warnings(tmp_path):
    labels = [*PARTICLE_LABELS, "rlnHelicalTubeID"]
    path = write_particles(tmp_path, IMAGES[:5])
    path.write_text(star_text([f"{row} 1" for row in particle_rows(5)], labels=labels))
    found = found_in(path)
    assert (found["helical"].level, found["few-particles"].level) == ("warning", "warning")
    assert found["few-particles"].message.startswith("5 particles, too few")


def test_premultiplied_and_phase_flipped_images_are_noted(star):
    found = found_in(star, optics(ctf_premultiplied=True, phase_flipped=True))
    assert {code: finding.level for code, finding in found.items()} == {
        "ctf-premultiplied": "note",
        "phase-flipped": "note",
    }


@pytest.mark.parametrize("value", [-120.0, 0.0, np.nan, np.inf])
@pytest.mark.parametrize("name", ["defocus_u", "defocus_v"])
def test_a_particle_without_underfocus_is_found(star, name, value):
    particles, _ = read_particles(star)
    values = getattr(particles, name).copy()
    values[57] = value
    assert np.flatnonzero(without_underfocus(replace(particles, **{name: values}))) == [57]


def test_a_particle_without_underfocus_is_excluded_by_check_and_by_a_run(tmp_path):
    path = write_particles(tmp_path, IMAGES)
    path.write_text(path.read_text().replace(" 15057 ", " -120 ").replace(" 14060 ", " abc "))
    report = check_particles(path, SETTINGS)
    assert report.ok
    (found,) = (finding for finding in report.findings if finding.code == "bad-images")
    assert (found.level, found.count, found.rows) == ("warning", 2, (58, 61))
    assert "no underfocus" in found.message
    chosen = select_images(*read_particles(path), SETTINGS, lambda: None)
    assert [bad.index for bad in chosen.bad] == [57, 60]
    assert len(chosen.good) == N - 2


def test_check_and_run_refuse_for_the_same_findings(tmp_path):
    path = write_particles(tmp_path, IMAGES)
    path.write_text(path.read_text().replace(" 15", " 1.5").replace(" 14", " 1.4"))
    report = check_particles(path, SETTINGS)
    assert not report.ok
    with pytest.raises(InputError) as error:
        select_images(*read_particles(path), SETTINGS, lambda: None)
    assert str(error.value) == "\n".join(report.problems)


def test_strict_makes_errors_of_warnings_but_not_of_notes(tmp_path):
    path = write_particles(tmp_path, IMAGES[:50])
    with mrcfile.open(tmp_path / "stack.mrcs", "r+", permissive=True) as file:
        file.voxel_size = 3.0
    assert check_particles(path, SETTINGS).ok
    report = check_particles(path, SETTINGS, strict=True)
    levels = {found.code: found.level for found in report.findings}
    assert levels["few-particles"] == "error"
    assert levels["pixel-size-differs"] == "note"
    with pytest.raises(InputError, match="too few"):
        select_images(*read_particles(path), SETTINGS, lambda: None, strict=True)


def test_a_mask_that_does_not_fit_is_an_error_of_the_check(star):
    report = check_particles(star, InitialModelSettings(mask_diameter=40))
    assert [found.code for found in report.findings if found.level == "error"] == ["mask-diameter"]
