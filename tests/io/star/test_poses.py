"""Poses in STAR files: read; rotated and mirrored, all other bytes unchanged."""

import re
import shutil
import subprocess

import mrcfile
import numpy as np
import pytest
import starfile
from mrc_files import OPTICS_LABELS, PARTICLE_LABELS, loop, particle_rows, star_text
from scipy.spatial.transform import Rotation

from napari_ini3d.errors import RunFolderError, StarError
from napari_ini3d.fourier.resample import rotate_map
from napari_ini3d.geometry.poses import flip_angles, rotate_poses
from napari_ini3d.geometry.rigid import RigidTransform
from napari_ini3d.io.star.poses import flip_particles, read_poses, rotate_particles
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
from napari_ini3d.simulation.dataset import write_dataset

ROTATION = Rotation.from_euler("xyz", [31, -72, 128], degrees=True).as_matrix()
SHIFT = (7.5, -4.0, 11.0)
TRANSFORM = RigidTransform(ROTATION, np.array(SHIFT))
ANGLES = np.array([[10.5, 20.25, -30], [170, 90, 60], [-5, 179, 0], [0, 0, 0]])
ORIGINS = np.array([[1.5, -2], [0, 0.25], [-3, 4], [12, 1]])
ANGLE_LABELS = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]
ORIGIN_LABELS = ["rlnOriginXAngst", "rlnOriginYAngst"]
EXPECTED = rotate_poses(ANGLES, ORIGINS, TRANSFORM)


def pose_rows(origins=ORIGINS):
    return [
        f"{row} " + " ".join(f"{value:.6f}" for value in (*angles, *origin))
        for row, angles, origin in zip(particle_rows(4), ANGLES, origins, strict=True)
    ]


def write(folder, text, name="in.star"):
    path = folder / name
    path.write_bytes(text.encode())
    return path


@pytest.fixture
def star(tmp_path):
    labels = [*PARTICLE_LABELS, *ANGLE_LABELS, *ORIGIN_LABELS]
    return write(tmp_path, star_text(pose_rows(), labels=labels))


def poses(path, origin_labels=ORIGIN_LABELS):
    tables = starfile.read(path)
    frame = tables["particles"] if isinstance(tables, dict) else tables
    return frame[ANGLE_LABELS].to_numpy(), frame[list(origin_labels)].to_numpy()


def without_numbers(text):
    """The text with each pose, and the blanks before it, replaced by an asterisk."""
    return re.sub(r"[ ]+-?\d+\.\d{6}(?!\d)", " *", text)


def test_angles_and_origins_are_rotated(star, tmp_path):
    rotate_particles(star, tmp_path / "out.star", TRANSFORM)
    angles, origins = poses(tmp_path / "out.star")
    np.testing.assert_allclose(angles, EXPECTED[0], atol=1e-6)
    np.testing.assert_allclose(origins, EXPECTED[1], atol=1e-6)


AWKWARD = (
    "# made by hand\n\ndata_general\n\n_rlnTomoSubTomosAre2DStacks   0\n\n"
    + loop("job_options", ["rlnJobOptionVariable", "rlnJobOptionValue"], ['fn_img "a b.star"'])
    + "data_particles\n\nloop_ \n"
    + "".join(
        f"_{label} # {i}  \n"
        for i, label in enumerate(
            [
                "rlnAnglePsi",
                "rlnImageName",
                "rlnOriginYAngst",
                "rlnAngleTilt",
                "rlnCtfBfactor",
                "rlnOriginXAngst",
                "rlnGroupName",
                "rlnAngleRot",
                "rlnOpticsGroup",
            ],
            1,
        )
    )
    + "".join(
        f"  {psi:.6f}\t{i:06d}@my/stack.mrcs   {y:12.6f} {tilt:12.6f} 1.25e-07 {x:12.6f} "
        f'"007 {i}"   {rot:.6f}    1  \n'
        for i, ((rot, tilt, psi), (x, y)) in enumerate(zip(ANGLES, ORIGINS, strict=True), 1)
    )
    + "\n# version 50001\n\n"
    + loop("optics", OPTICS_LABELS, ["1 opticsGroup1 300.0 2.7 0.1 2.0 16 2"])
    + "# the end, without a newline"
)


def test_every_other_byte_is_unchanged(tmp_path):
    star = write(tmp_path, AWKWARD)
    rotate_particles(star, tmp_path / "out.star", TRANSFORM)
    angles, origins = poses(tmp_path / "out.star")
    np.testing.assert_allclose(angles, EXPECTED[0], atol=1e-6)
    np.testing.assert_allclose(origins, EXPECTED[1], atol=1e-6)
    text = (tmp_path / "out.star").read_text()
    assert without_numbers(text) == without_numbers(AWKWARD)
    assert text != AWKWARD


def test_windows_line_ends_are_kept(star, tmp_path):
    windows = write(tmp_path, star.read_text().replace("\n", "\r\n"), "windows.star")
    rotate_particles(star, tmp_path / "a.star", TRANSFORM)
    rotate_particles(windows, tmp_path / "b.star", TRANSFORM)
    assert (tmp_path / "b.star").read_bytes() == (tmp_path / "a.star").read_bytes().replace(
        b"\n", b"\r\n"
    )


def test_origins_in_pixels_are_rotated_with_the_pixel_size_of_each_row(tmp_path):
    labels = ["rlnImageName", "rlnMagnification", "rlnDetectorPixelSize", *ANGLE_LABELS,
              "rlnOriginX", "rlnOriginY"]  # fmt: skip
    sizes = np.array([2.0, 2.0, 1.0, 4.0])
    rows = [
        f"{i + 1}@stack.mrcs {1e5 / size:.1f} 10 {a[0]} {a[1]} {a[2]} {o[0]} {o[1]}"
        for i, (a, o, size) in enumerate(zip(ANGLES, ORIGINS / sizes[:, None], sizes, strict=True))
    ]
    star = write(tmp_path, loop("", labels, rows))
    rotate_particles(star, tmp_path / "out.star", TRANSFORM)
    angles, origins = poses(tmp_path / "out.star", ["rlnOriginX", "rlnOriginY"])
    np.testing.assert_allclose(angles, EXPECTED[0], atol=1e-6)
    np.testing.assert_allclose(origins * sizes[:, None], EXPECTED[1], atol=5e-6)


def test_origins_in_both_units_stay_equal(tmp_path):
    labels = [*PARTICLE_LABELS, *ANGLE_LABELS, *ORIGIN_LABELS, "rlnOriginX", "rlnOriginY"]
    rows = [f"{row} {x / 2} {y / 2}" for row, (x, y) in zip(pose_rows(), ORIGINS, strict=True)]
    star = write(tmp_path, star_text(rows, labels=labels))
    rotate_particles(star, tmp_path / "out.star", TRANSFORM)
    _, angstrom = poses(tmp_path / "out.star")
    _, pixels = poses(tmp_path / "out.star", ["rlnOriginX", "rlnOriginY"])
    np.testing.assert_allclose(angstrom, EXPECTED[1], atol=1e-6)
    np.testing.assert_allclose(pixels * 2, EXPECTED[1], atol=2e-6)


def test_origins_are_added_if_there_are_none(tmp_path):
    rows = [
        f"{row} " + " ".join(map(str, a)) for row, a in zip(particle_rows(4), ANGLES, strict=True)
    ]
    star = write(tmp_path, star_text(rows, labels=[*PARTICLE_LABELS, *ANGLE_LABELS]))
    rotate_particles(star, tmp_path / "out.star", TRANSFORM)
    _, origins = poses(tmp_path / "out.star")
    np.testing.assert_allclose(origins, rotate_poses(ANGLES, 0 * ORIGINS, TRANSFORM)[1], atol=1e-6)
    assert "_rlnOriginYAngst #11\n" in (tmp_path / "out.star").read_text()


def test_priors_that_no_longer_belong_to_the_map_are_named(tmp_path, caplog):
    labels = [*PARTICLE_LABELS, *ANGLE_LABELS, *ORIGIN_LABELS, "rlnAngleTiltPrior"]
    star = write(tmp_path, star_text([f"{row} 90" for row in pose_rows()], labels=labels))
    rotate_particles(star, tmp_path / "out.star", TRANSFORM)
    assert "rlnAngleTiltPrior" in caplog.text
    assert list(starfile.read(tmp_path / "out.star")["particles"]["rlnAngleTiltPrior"]) == [90] * 4


def test_the_other_hand_changes_angles_only(star, tmp_path):
    flip_particles(star, tmp_path / "out.star")
    angles, origins = poses(tmp_path / "out.star")
    np.testing.assert_allclose(angles, flip_angles(ANGLES), atol=1e-9)
    np.testing.assert_array_equal(origins, ORIGINS)


def test_the_other_hand_twice_is_the_same_file(star, tmp_path):
    flip_particles(star, tmp_path / "once.star")
    flip_particles(tmp_path / "once.star", tmp_path / "twice.star")
    assert (tmp_path / "once.star").read_text() != star.read_text()
    assert (tmp_path / "twice.star").read_text().split() == star.read_text().split()


def test_particles_without_angles_are_refused_and_nothing_is_written(tmp_path):
    star = write(tmp_path, star_text(particle_rows(4)))
    with pytest.raises(StarError, match=r"in\.star.*no rlnAngleRot.*poses of a 3D"):
        rotate_particles(star, tmp_path / "out.star", TRANSFORM)
    assert not (tmp_path / "out.star").exists()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("20.250000", "nan", "rlnAngleTilt in row 1"),
        ("_rlnMicrographName", "_rlnTomoName", "tomography"),
        ("_rlnOriginYAngst", "_rlnOther", "no rlnOriginYAngst"),
        (" 12.000000", "", "values"),
    ],
)
def test_particles_that_cannot_be_rotated_are_refused(star, tmp_path, old, new, reason):
    assert old in star.read_text()
    star.write_text(star.read_text().replace(old, new))
    with pytest.raises(StarError, match=reason):
        rotate_particles(star, tmp_path / "out.star", TRANSFORM)


def test_a_target_that_cannot_be_written_leaves_nothing(star, tmp_path):
    with pytest.raises(RunFolderError, match="folder does not exist"):
        rotate_particles(star, tmp_path / "none" / "out.star", TRANSFORM)


@pytest.mark.relion
@pytest.mark.skipif(shutil.which("relion_reconstruct") is None, reason="RELION is not installed")
@pytest.mark.parametrize("change", ["rotated", "mirrored"])
def test_relion_reconstructs_the_changed_map_from_the_changed_particles(tmp_path, change):
    settings = SimulationSettings(
        number=600, box_size=32, pixel_size=4.0, snr=1e6, ctf=False, offset_sigma=4.0, seed=3
    )
    phantom = make_phantom(diameter=70.0, seed=2)
    simulated = simulate_particles(phantom, settings)
    write_dataset(tmp_path, simulated, phantom, resolution=10.0)
    transform = RigidTransform(ROTATION, np.array(SHIFT) / 3)  # Å
    if change == "rotated":
        rotate_particles(tmp_path / "truth.star", tmp_path / "changed.star", transform)
    else:
        flip_particles(tmp_path / "truth.star", tmp_path / "changed.star")
    before, after = (reconstruct(tmp_path, name) for name in ("truth", "changed"))
    in_voxels = transform.in_voxels(4.0)
    rotated = rotate_map(before, in_voxels.rotation, in_voxels.shift)
    expected = rotated if change == "rotated" else np.roll(before[::-1], 1, axis=0)
    z, y, x = np.mgrid[:32, :32, :32] - 16
    inside = x**2 + y**2 + z**2 < 12**2
    assert np.corrcoef(after[inside], expected[inside])[0, 1] >= 0.99
    assert np.corrcoef(after[inside], before[inside])[0, 1] < 0.95


def reconstruct(folder, name):
    command = f"relion_reconstruct --i {name}.star --o {name}_map.mrc --angpix 4 --maxres 10"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return mrcfile.read(folder / f"{name}_map.mrc")


def test_poses_are_read_with_the_names_of_images_without_their_stack(star):
    found = read_poses(star)
    assert found.source == str(star)
    assert len(found) == 4
    assert found.stack_names == ("stack.mrcs",)
    np.testing.assert_array_equal(found.image_index, [0, 1, 2, 3])
    np.testing.assert_allclose(found.angles, ANGLES, atol=1e-6)
    np.testing.assert_allclose(found.origins, ORIGINS, atol=1e-6)
    assert found.n_unassigned == 0


def test_particles_of_class_zero_are_left_out_and_counted(tmp_path):
    rows = [f"{row} {k}" for row, k in zip(pose_rows(), [1, 0, 2, 0], strict=True)]
    labels = [*PARTICLE_LABELS, *ANGLE_LABELS, *ORIGIN_LABELS, "rlnClassNumber"]
    found = read_poses(write(tmp_path, star_text(rows, labels=labels)))
    np.testing.assert_array_equal(found.image_index, [0, 2])
    np.testing.assert_allclose(found.angles, ANGLES[[0, 2]], atol=1e-6)
    np.testing.assert_allclose(found.origins, ORIGINS[[0, 2]], atol=1e-6)
    assert found.n_unassigned == 2


def test_a_file_with_particles_of_class_zero_only_has_no_poses(tmp_path):
    rows = [f"{row} 0" for row in pose_rows()]
    labels = [*PARTICLE_LABELS, *ANGLE_LABELS, *ORIGIN_LABELS, "rlnClassNumber"]
    with pytest.raises(StarError, match="all 4 particles have rlnClassNumber 0"):
        read_poses(write(tmp_path, star_text(rows, labels=labels)))


def test_a_file_without_angles_is_refused_with_what_is_missing(tmp_path):
    star = write(tmp_path, star_text(particle_rows(4), labels=PARTICLE_LABELS))
    with pytest.raises(StarError, match="no rlnAngleRot and no rlnAngleTilt and no rlnAnglePsi"):
        read_poses(star)
