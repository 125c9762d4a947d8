import logging
from dataclasses import replace

import mrcfile
import numpy as np
import pytest
import starfile
from mrc_files import (
    OPTICS_LABELS,
    PARTICLE_LABELS,
    loop,
    particle_rows,
    star_text,
    write_particles,
    write_stack,
)

from napari_ini3d.errors import StackError, StarError
from napari_ini3d.io.star.particles import read_particles, write_data_star, write_particle_subset
from napari_ini3d.particles import Assignments

IMAGES = np.random.default_rng(0).normal(size=(5, 16, 16))
LABELS_3_0 = [
    "rlnImageName",
    "rlnVoltage",
    "rlnDefocusU",
    "rlnDefocusV",
    "rlnDefocusAngle",
    "rlnSphericalAberration",
    "rlnAmplitudeContrast",
    "rlnMagnification",
    "rlnDetectorPixelSize",
    "rlnOriginX",
    "rlnOriginY",
    "rlnPhaseShift",
]


def _assignments(n, class_index=0):
    rng = np.random.default_rng(1)
    values = rng.normal(size=(9, n)).astype(np.float32)
    return Assignments(
        class_index=np.full(n, class_index, np.int32),
        rot=values[0],
        tilt=values[1],
        psi=values[2],
        origin_x=values[3],
        origin_y=values[4],
        max_probability=values[5],
        n_significant=np.arange(n, dtype=np.int32),
        log_likelihood=values[6],
        junk_probability=values[7],
        scale=values[8],
    )


def _write(folder, text):
    write_stack(folder / "stack.mrcs", IMAGES)
    path = folder / "particles.star"
    path.write_text(text)
    return path


def test_columns_become_arrays_of_the_same_values(tmp_path):
    particles, table = read_particles(write_particles(tmp_path, IMAGES))
    assert len(particles) == len(table) == 5
    assert particles.stack_paths == (tmp_path / "stack.mrcs",)
    np.testing.assert_array_equal(particles.image_index, np.arange(5))
    np.testing.assert_array_equal(particles.defocus_u, 15000.0 + np.arange(5))
    np.testing.assert_array_equal(particles.defocus_v, 14000.0 + np.arange(5))
    np.testing.assert_array_equal(particles.defocus_angle, np.full(5, np.float32(30.5)))
    np.testing.assert_array_equal(particles.origin_x, np.zeros(5))
    np.testing.assert_array_equal(particles.row, np.arange(5))
    group = particles.optics[0]
    assert (group.voltage, group.spherical_aberration, group.amplitude_contrast) == (300, 2.7, 0.1)
    assert (group.pixel_size, group.box_size, group.name) == (2.0, 16, "opticsGroup1")
    assert not group.ctf_premultiplied


def test_windows_line_ends_and_no_final_newline_are_read(tmp_path):
    text = star_text(particle_rows(3)).replace("\n", "\r\n").rstrip()
    path = _write(tmp_path, "")
    path.write_bytes(text.encode())
    assert len(read_particles(path)[0]) == 3


def test_particles_before_optics_and_other_tables_are_read(tmp_path):
    text = (
        "data_general\n\n_rlnTomoSubTomosAre2DStacks 0\n\n"
        + loop("particles", PARTICLE_LABELS, particle_rows(4))
        + loop("optics", OPTICS_LABELS, ["1 a 300 2.7 0.1 2.0 16 2"])
    )
    assert len(read_particles(_write(tmp_path, text))[0]) == 4


def test_unused_optics_groups_are_dropped_and_numbers_need_not_be_consecutive(tmp_path):
    optics = [f"{n} g{n} {v} 2.7 0.1 2.0 16 2" for n, v in ((7, 200), (2, 120), (3, 300))]
    rows = [*particle_rows(2, group=7), *particle_rows(2, group=3)]
    particles, _ = read_particles(_write(tmp_path, star_text(rows, optics=optics)))
    voltage = [particles.optics[i].voltage for i in particles.optics_index]
    assert voltage == [200, 200, 300, 300]
    assert {group.number for group in particles.optics} == {3, 7}


def test_a_table_of_relion_3_0_gives_groups_of_distinct_values(tmp_path):
    rows = [
        f"{i + 1}@stack.mrcs {300 if i < 3 else 200} 15000 14000 30 2.7 0.1 50000 14.0 1.5 -2 90"
        for i in range(5)
    ]
    path = _write(tmp_path, "\n" + loop("", LABELS_3_0, rows))
    particles, table = read_particles(path)
    assert [particles.optics[i].voltage for i in particles.optics_index] == [300] * 3 + [200] * 2
    assert all(group.pixel_size == pytest.approx(2.8) for group in particles.optics)
    assert all(group.box_size == 16 for group in particles.optics)
    np.testing.assert_allclose(particles.origin_x, 1.5 * 2.8, rtol=1e-6)
    np.testing.assert_allclose(particles.origin_y, -2 * 2.8, rtol=1e-6)
    np.testing.assert_array_equal(particles.phase_shift, np.full(5, 90.0))
    write_data_star(tmp_path / "o.star", table, particles, _assignments(5), class_count=1)
    written = starfile.read(tmp_path / "o.star")
    assert list(written["optics"]["rlnImageSize"]) == [16, 16]
    assert set(written["optics"]["rlnVoltage"]) == {200, 300}
    assert "rlnOriginX" not in written["particles"]
    assert list(written["particles"]["rlnMagnification"]) == [50000] * 5
    again, _ = read_particles(tmp_path / "o.star")
    assert again.optics == particles.optics


def test_the_project_directory_is_found_by_walking_up(tmp_path, caplog):
    write_stack(tmp_path / "Extract/job007/stack.mrcs", IMAGES)
    folder = tmp_path / "Select" / "job012"
    folder.mkdir(parents=True)
    path = folder / "particles.star"
    path.write_text(star_text(particle_rows(5, "Extract/job007/stack.mrcs")))
    with caplog.at_level(logging.INFO):
        particles, _ = read_particles(path)
    assert particles.stack_paths == (tmp_path / "Extract/job007/stack.mrcs",)
    assert f"relative to {tmp_path}" in caplog.text


def test_the_marked_project_directory_wins_over_the_star_folder(tmp_path):
    (tmp_path / "default_pipeline.star").touch()
    (tmp_path / "sub").mkdir()
    write_stack(tmp_path / "stack.mrcs", IMAGES)
    particles, _ = read_particles(write_particles(tmp_path / "sub", IMAGES))
    assert particles.stack_paths == (tmp_path / "stack.mrcs",)


def test_absolute_paths_and_many_stacks_are_found(tmp_path):
    for n in range(3):
        write_stack(tmp_path / f"data/{n}.mrcs", IMAGES)
    rows = [row for n in range(3) for row in particle_rows(2, f"{tmp_path}/data/{n}.mrcs")]
    path = _write(tmp_path, star_text(rows))
    particles, _ = read_particles(path)
    assert [p.name for p in particles.stack_paths] == ["0.mrcs", "1.mrcs", "2.mrcs"]
    np.testing.assert_array_equal(particles.stack_index, [0, 0, 1, 1, 2, 2])


def test_without_ctf_its_columns_may_be_missing(tmp_path):
    labels = ["rlnImageName", "rlnOpticsGroup"]
    rows = ["1@stack.mrcs 1", "2@stack.mrcs 1"]
    text = star_text(
        rows,
        labels=labels,
        optics=["1 2.0 16"],
        optics_labels=["rlnOpticsGroup", "rlnImagePixelSize", "rlnImageSize"],
    )
    path = _write(tmp_path, text)
    particles, _ = read_particles(path, ctf=False)
    np.testing.assert_array_equal(particles.defocus_u, [0, 0])
    with pytest.raises(StarError, match="rlnVoltage"):
        read_particles(path)


@pytest.mark.parametrize(
    ("label", "field"),
    [
        ("rlnCtfDataAreCtfPremultiplied", "ctf_premultiplied"),
        ("rlnCtfDataArePhaseFlipped", "phase_flipped"),
    ],
)
def test_images_changed_by_their_ctf_are_flagged(tmp_path, label, field):
    text = star_text(
        particle_rows(5),
        optics=["1 a 300.0 2.7 0.1 2.0 16 2 1"],
        optics_labels=[*OPTICS_LABELS, label],
    )
    assert getattr(read_particles(_write(tmp_path, text))[0].optics[0], field)
    old = [f"{i + 1}@stack.mrcs 300 1e4 1e4 0 2.7 0.1 50000 14 0 0 0 1" for i in range(5)]
    (tmp_path / "old.star").write_text(loop("", [*LABELS_3_0, label], old))
    assert getattr(read_particles(tmp_path / "old.star")[0].optics[0], field)


def test_without_columns_for_the_ctf_they_are_all_named_with_the_way_out(tmp_path):
    path = _write(tmp_path, loop("", ["rlnImageName"], ["1@stack.mrcs", "2@stack.mrcs"]))
    with pytest.raises(StarError, match=r"rlnVoltage.*rlnDefocusU.*rlnDefocusAngle.*--no-ctf"):
        read_particles(path)


def test_without_a_pixel_size_that_of_the_stack_is_used_and_said(tmp_path, caplog):
    path = _write(tmp_path, loop("", ["rlnImageName"], ["1@stack.mrcs", "2@stack.mrcs"]))
    with pytest.raises(StarError, match="rlnDetectorPixelSize"):
        read_particles(path, ctf=False)
    with mrcfile.new(tmp_path / "stack.mrcs", IMAGES.astype(np.float32), overwrite=True) as file:
        file.voxel_size = 1.7
    particles, _ = read_particles(path, ctf=False)
    assert particles.optics[0].pixel_size == pytest.approx(1.7)
    assert "that of the stacks is used, 1.7 Å" in caplog.text


def _edited(old, new):
    return star_text(particle_rows(5)).replace(old, new)


BAD = {
    "empty file": ("", "file is empty"),
    "no block": ("hello\n", "no 'data_' block"),
    "no rows": (star_text([]), "no rows"),
    "no image names": (_edited("rlnImageName", "rlnOtherName"), "rlnImageName"),
    "no defocus": (_edited("_rlnDefocusU", "_rlnOther"), "has no rlnDefocusU"),
    "no voltage": (_edited("_rlnVoltage", "_rlnOther"), "has no rlnVoltage"),
    "no pixel size": (_edited("_rlnImagePixelSize", "_rlnOther"), "has no rlnImagePixelSize"),
    "unknown group": (_edited("30.5 1\n", "30.5 4\n"), r"optics group 4.*\[1\]"),
    "negative defoci": (_edited(" 1400", " -1400"), r"rlnDefocusV is -14000 in row 1 \(5 of 5"),
    "text for all defoci": (_edited(" 1500", " x1500"), "rlnDefocusU is 'x15000' in row 1"),
    "decimal commas": (_edited(" 1500", " 1500,"), r"rlnDefocusU is '1500,0' in row 1 .*decimal"),
    "digits of another script": (_edited("000002@", "٢@"), "row 2 has the image name"),
    "underscore in a number": (_edited("000002@", "00_2@"), "row 2 has the image name"),
    "voltage in V": (_edited(" 300.0 ", " 300000 "), "rlnVoltage 300000.*divide by 1000"),
    "zero voltage": (_edited(" 300.0 ", " 0 "), "rlnVoltage 0"),
    "large aberration": (_edited(" 2.7 ", " 2700 "), "looks like µm: divide by 1000"),
    "amplitude in percent": (_edited(" 0.1 ", " 10 "), "looks like percent: divide by 100"),
    "pixel size 0": (_edited(" 2.0 16", " 0 16"), "rlnImagePixelSize 0"),
    "3D particles": (_edited(" 16 2\n", " 16 3\n"), "3 dimensions"),
    "tomography": (_edited("_rlnMicrographName", "_rlnTomoName"), "tomography"),
    "text for a group": (
        _edited("14003 30.5 1\n", "14003 30.5 x\n"),
        "'x' as rlnOpticsGroup in row",
    ),
    "fraction for a group": (
        _edited("14003 30.5 1\n", "14003 30.5 1.5\n"),
        "has 1.5 as rlnOpticsGroup in row 4",
    ),
    "large number for a group": (
        _edited("14003 30.5 1\n", "14003 30.5 1e20\n"),
        r"has 1e\+20 as rlnOpticsGroup in row 4",
    ),
    "fraction of a pixel": (_edited(" 2.0 16", " 2.0 16.5"), "16.5 as rlnImageSize"),
    "short row": (_edited(" 30.5 1\n\n", "\n\n"), "values"),
    "long rows": (_edited(" 30.5 1\n", " 30.5 1 7\n"), "expected 6 values"),
    "one long row": (_edited("14003 30.5 1\n", "14003 30.5 1 7\n"), "expected 6 values"),
    "aberration in Å": (_edited(" 2.7 ", " 27000000 "), "looks like Å"),
    "voltage in MV": (_edited(" 300.0 ", " 0.3 "), "looks like MV: multiply by 1000"),
    "image 0": (_edited("000001@", "000000@"), "row 1 has the image name '000000@stack.mrcs'"),
    "no number": (_edited("000002@", ""), "row 2"),
    "group twice": (
        star_text(particle_rows(5), optics=["1 a 300.0 2.7 0.1 2.0 16 2"] * 2),
        "twice",
    ),
    "column twice": (_edited("_rlnDefocusV", "_rlnDefocusU"), "rlnDefocusU twice"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_star_file_is_refused_with_the_reason(tmp_path, name):
    text, reason = BAD[name]
    with pytest.raises(StarError, match=reason) as error:
        read_particles(_write(tmp_path, text))
    assert "particles.star" in str(error.value)


def test_an_origin_beyond_any_box_is_refused_with_its_row(tmp_path):
    rows = [f"{row} {0 if i else '1e39'}" for i, row in enumerate(particle_rows(5))]
    text = star_text(rows, labels=[*PARTICLE_LABELS, "rlnOriginXAngst"])
    with pytest.raises(StarError, match=r"rlnOriginX is 1e\+39 Å in row 1"):
        read_particles(_write(tmp_path, text))


def test_a_few_particles_without_underfocus_are_left_for_the_preflight(tmp_path):
    text = _edited(" 14002 ", " -14002 ").replace(" 15003 ", " abc ")
    particles, _ = read_particles(_write(tmp_path, text))
    assert particles.defocus_v[2] == -14002
    np.testing.assert_array_equal(np.isnan(particles.defocus_u), [False] * 3 + [True, False])


def test_a_missing_star_file_is_a_star_error(tmp_path):
    with pytest.raises(StarError, match="No such file"):
        read_particles(tmp_path / "none.star")


def test_missing_stacks_are_counted_and_named(tmp_path):
    rows = [*particle_rows(2), *particle_rows(2, "gone.mrcs"), *particle_rows(1, "lost.mrcs")]
    with pytest.raises(StackError, match=r"2 of 3 stacks not found: gone\.mrcs, lost\.mrcs"):
        read_particles(_write(tmp_path, star_text(rows)))


def test_output_keeps_every_column_and_sets_the_poses(tmp_path):
    labels = [*PARTICLE_LABELS, "rlnCtfBfactor", "rlnGroupName", "rlnAngleRot", "rlnClassNumber"]
    rows = [
        f"{row} {1.25e-7 * (i + 1):.9g} {i:03d} 77.0 9" for i, row in enumerate(particle_rows(5))
    ]
    particles, table = read_particles(_write(tmp_path, star_text(rows, labels=labels)))
    some = particles.take(np.array([4, 1]))
    found = _assignments(2)
    write_data_star(tmp_path / "data.star", table, some, found, class_count=1)
    written = starfile.read(tmp_path / "data.star", parse_as_string=["rlnGroupName"])
    frame = written["particles"]
    stack = tmp_path / "stack.mrcs"
    assert list(frame["rlnImageName"]) == [f"000005@{stack}", f"000002@{stack}"]
    assert list(frame["rlnGroupName"]) == ["004", "001"]
    np.testing.assert_allclose(frame["rlnCtfBfactor"], [6.25e-7, 2.5e-7], rtol=1e-9)
    np.testing.assert_array_equal(frame["rlnDefocusU"], [15004, 15001])
    np.testing.assert_allclose(frame["rlnAngleRot"], found.rot, atol=1e-6)
    np.testing.assert_allclose(frame["rlnAngleTilt"], found.tilt, atol=1e-6)
    np.testing.assert_allclose(frame["rlnAnglePsi"], found.psi, atol=1e-6)
    np.testing.assert_allclose(frame["rlnOriginXAngst"], found.origin_x, atol=1e-6)
    np.testing.assert_allclose(frame["rlnOriginYAngst"], found.origin_y, atol=1e-6)
    assert list(frame["rlnClassNumber"]) == [1, 1]
    assert list(frame["rlnNrOfSignificantSamples"]) == [0, 1]
    assert list(frame["rlnRandomSubset"]) == [1, 2]
    np.testing.assert_allclose(frame["rlnLogLikeliContribution"], found.log_likelihood, atol=1e-6)
    np.testing.assert_allclose(frame["ini3dJunkProbability"], found.junk_probability, atol=1e-6)
    np.testing.assert_allclose(frame["ini3dSignalScale"], found.scale, atol=1e-6)
    np.testing.assert_allclose(
        frame["rlnMaxValueProbDistribution"], found.max_probability, atol=1e-6
    )


def test_single_precision_numbers_are_written_with_six_decimals(tmp_path):
    particles, table = read_particles(write_particles(tmp_path, IMAGES))
    tenths = replace(_assignments(5), junk_probability=np.arange(5, dtype=np.float32) / 10)
    write_data_star(tmp_path / "d.star", table, particles, tenths, class_count=1)
    assert "0.300000" in (tmp_path / "d.star").read_text().split()


def test_a_class_index_out_of_range_is_refused(tmp_path):
    particles, table = read_particles(write_particles(tmp_path, IMAGES))
    with pytest.raises(ValueError, match="class index 2"):
        write_data_star(
            tmp_path / "d.star", table, particles, _assignments(5, class_index=2), class_count=2
        )
    assert not (tmp_path / "d.star").exists()


def test_a_subset_has_the_chosen_rows_and_the_reasons(tmp_path):
    particles, table = read_particles(write_particles(tmp_path, IMAGES))
    rows = particles.row[[3, 0]]
    write_particle_subset(tmp_path / "excluded.star", table, rows, ["not finite", "constant"])
    frame = starfile.read(tmp_path / "excluded.star")["particles"]
    stack = tmp_path / "stack.mrcs"
    assert list(frame["rlnImageName"]) == [f"000004@{stack}", f"000001@{stack}"]
    assert list(frame["ini3dExcludedReason"]) == ["not_finite", "constant"]
    assert len(read_particles(tmp_path / "excluded.star")[0]) == 2


def test_files_written_by_starfile_are_read(tmp_path):
    path = write_particles(tmp_path, IMAGES)
    starfile.write(starfile.read(path), tmp_path / "again.star")
    first, second = read_particles(path)[0], read_particles(tmp_path / "again.star")[0]
    np.testing.assert_array_equal(first.defocus_u, second.defocus_u)
    assert first.optics == second.optics
