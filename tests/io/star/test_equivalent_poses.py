"""Particles expanded to all asymmetric units of a point group, and folded into one."""

import shutil
import subprocess

import mrcfile
import numpy as np
import pytest
import starfile
from mrc_files import PARTICLE_LABELS, loop, particle_rows, star_text
from oracles import backproject, cube_to_map, half_cube, transform_at

from napari_ini3d.errors import StarError, SymmetryError
from napari_ini3d.geometry import euler_to_matrix, symmetry_operators
from napari_ini3d.io.star.particles import read_particles
from napari_ini3d.io.star.poses import expand_particles, fold_particles, read_poses
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
from napari_ini3d.simulation.dataset import write_dataset
from napari_ini3d.symmetry import impose_symmetry

ANGLE_LABELS = ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]
LABELS = [*PARTICLE_LABELS, *ANGLE_LABELS, "rlnOriginXAngst", "rlnOriginYAngst"]
ANGLES = np.random.default_rng(1).uniform([-180, 0, -180], [180, 180, 180], (4, 3))
BOX, PIXEL = 24, 5.0


@pytest.fixture
def star(tmp_path):
    path = tmp_path / "in.star"
    rows = [
        f"{row} {' '.join(f'{angle:.6f}' for angle in angles)} 1.5 -2.25"
        for row, angles in zip(particle_rows(4), ANGLES, strict=True)
    ]
    path.write_text(star_text(rows, labels=LABELS))
    return path


def matrices(path):
    tables = starfile.read(path)
    frame = tables["particles"] if isinstance(tables, dict) else tables
    return euler_to_matrix(*frame[ANGLE_LABELS].to_numpy(float).T)


def without_angles(path):
    """The words of each line of a file, without the three angles of the particles."""
    first = LABELS.index("rlnAngleRot")
    rows = [line.split() for line in path.read_text().splitlines()]
    return [r[:first] + r[first + 3 :] if r and "@" in r[0] else r for r in rows]


def test_each_particle_is_written_once_per_operator_with_all_its_other_values(star, tmp_path):
    assert expand_particles(star, tmp_path / "out.star", "D7") == 56
    before, after = without_angles(star), without_angles(tmp_path / "out.star")
    copies = [14 if row and "@" in row[0] else 1 for row in before]
    assert after == [row for row, n in zip(before, copies, strict=True) for _ in range(n)]
    found = matrices(tmp_path / "out.star").reshape(4, 14, 3, 3)
    expected = matrices(star)[:, None] @ symmetry_operators("D7")
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_more_rows_than_are_computed_at_a_time_are_all_written(star, tmp_path, monkeypatch):
    expand_particles(star, tmp_path / "whole.star", "D2")
    monkeypatch.setattr("napari_ini3d.io.star.rewrite._BLOCK", 3)
    expand_particles(star, tmp_path / "parts.star", "D2")
    assert (tmp_path / "parts.star").read_bytes() == (tmp_path / "whole.star").read_bytes()


@pytest.mark.parametrize("group", ["C3", "D2", "O"])
def test_expanded_particles_fold_into_the_poses_of_the_folded_ones(star, tmp_path, group):
    order = len(symmetry_operators(group))
    expand_particles(star, tmp_path / "expanded.star", group)
    assert fold_particles(star, tmp_path / "folded.star", group) == 4
    fold_particles(tmp_path / "expanded.star", tmp_path / "both.star", group)
    folded = matrices(tmp_path / "folded.star")
    np.testing.assert_allclose(
        matrices(tmp_path / "both.star"), folded.repeat(order, axis=0), atol=1e-7
    )
    assert without_angles(tmp_path / "folded.star") == without_angles(star)


def test_folding_twice_changes_no_byte(star, tmp_path):
    fold_particles(star, tmp_path / "once.star", "D2")
    fold_particles(tmp_path / "once.star", tmp_path / "twice.star", "D2")
    assert (tmp_path / "once.star").read_bytes() != star.read_bytes()
    assert (tmp_path / "twice.star").read_bytes() == (tmp_path / "once.star").read_bytes()


def test_particles_of_relion_30_without_end_of_line_are_expanded(tmp_path):
    labels = ["rlnImageName", "rlnMagnification", "rlnDetectorPixelSize", *ANGLE_LABELS,
              "rlnOriginX", "rlnOriginY"]  # fmt: skip
    rows = [f"{i + 1}@stack.mrcs 50000 10 10 20 {i} 1.5 -2" for i in range(2)]
    (tmp_path / "in.star").write_text(loop("", labels, rows).rstrip())
    assert expand_particles(tmp_path / "in.star", tmp_path / "out.star", "C2") == 4
    table = starfile.read(tmp_path / "out.star")
    assert list(table["rlnImageName"]) == [f"{i}@stack.mrcs" for i in (1, 1, 2, 2)]
    np.testing.assert_allclose(table["rlnAngleRot"], [10, -170, 10, -170])
    assert set(table["rlnOriginX"]) == {1.5}


def test_windows_line_ends_are_kept(star, tmp_path):
    (tmp_path / "windows.star").write_bytes(star.read_bytes().replace(b"\n", b"\r\n"))
    expand_particles(star, tmp_path / "a.star", "C2")
    expand_particles(tmp_path / "windows.star", tmp_path / "b.star", "C2")
    unix = (tmp_path / "a.star").read_bytes()
    assert (tmp_path / "b.star").read_bytes() == unix.replace(b"\n", b"\r\n")


@pytest.mark.parametrize("write", [expand_particles, fold_particles])
def test_what_cannot_be_used_is_refused_and_nothing_is_written(star, tmp_path, write):
    target = tmp_path / "out.star"
    with pytest.raises(SymmetryError, match=r"C1 has a single asymmetric unit.*such as D2"):
        write(star, target, "C1")
    with pytest.raises(SymmetryError, match="unknown point group 'X3'"):
        write(star, target, "X3")
    star.write_text(star_text(particle_rows(4)))
    with pytest.raises(StarError, match="no rlnAngleRot"):
        write(star, target, "D2")
    assert not target.exists()


def test_particles_without_a_pose_are_warned_of(star, tmp_path, caplog):
    text = star.read_text().replace(
        "_rlnOriginYAngst #11\n", "_rlnOriginYAngst #11\n_rlnClassNumber #12\n"
    )
    star.write_text(text.replace(" -2.25", " -2.25 1").replace(" -2.25 1", " -2.25 0", 1))
    assert fold_particles(star, tmp_path / "out.star", "D2") == 4
    assert "1 particles have rlnClassNumber 0" in caplog.text


@pytest.fixture
def data(tmp_path):
    """Simulated particles without noise, of a phantom without symmetry."""
    settings = SimulationSettings(
        number=300, box_size=BOX, pixel_size=PIXEL, snr=1e6, ctf=False, offset_sigma=4.0, seed=3
    )
    phantom = make_phantom(diameter=90.0, seed=2)
    (tmp_path / "data").mkdir()
    write_dataset(tmp_path / "data", simulate_particles(phantom, settings), phantom)
    return tmp_path / "data"


def reconstruct(path):
    """The map (n, n, n) of the particles in a STAR file, from 40 to 17 Å.

    Without the coarser shells, which show a blob that any group fits.
    """
    m = 8
    ky, kx = (k.ravel() for k in np.mgrid[-m : m + 1, -m : m + 1])
    inside = (kx**2 + ky**2 >= 9) & (kx**2 + ky**2 <= (m - 1) ** 2)
    kx, ky = kx[inside], ky[inside]
    poses = read_poses(path)
    stacks = [mrcfile.read(stack) for stack in read_particles(path, ctf=False)[0].stack_paths]
    rotations = euler_to_matrix(*poses.angles.T)
    values = np.empty((len(poses), len(kx)), complex)
    seen = {}
    for i, (stack, image) in enumerate(zip(poses.stack_index, poses.image_index, strict=True)):
        if (stack, image) not in seen:
            seen[stack, image] = transform_at(stacks[stack][image], kx, ky)
        x, y = poses.origins[i] / PIXEL
        values[i] = seen[stack, image] * np.exp(-2j * np.pi * (kx * x + ky * y) / BOX)
    numerator = backproject(values, rotations, kx, ky, m)
    weight = backproject(np.ones_like(values), rotations, kx, ky, m).real
    return cube_to_map(half_cube(numerator / np.maximum(weight, 1)), BOX, 1)


def correlation(first, second):
    z, y, x = np.mgrid[:BOX, :BOX, :BOX] - BOX // 2
    inside = x**2 + y**2 + z**2 < 9**2
    return np.corrcoef(first[inside], second[inside])[0, 1]


def test_expanded_particles_in_another_folder_give_the_imposed_map(data, tmp_path):
    (tmp_path / "other").mkdir()
    expand_particles(data / "truth.star", tmp_path / "other/expanded.star", "D2")
    before = reconstruct(data / "truth.star")
    after = reconstruct(tmp_path / "other/expanded.star")
    imposed = impose_symmetry(before.astype(np.float32), "D2")
    assert correlation(after, imposed) >= 0.99
    assert correlation(before, imposed) < 0.7


needs_relion = pytest.mark.skipif(
    shutil.which("relion_particle_symmetry_expand") is None, reason="RELION is not installed"
)


@pytest.mark.relion
@needs_relion
@pytest.mark.parametrize("group", ["C3", "D2", "D7", "T", "O", "I", "I1", "I3", "I4"])
def test_the_poses_are_those_of_relion(data, group):
    expand_particles(data / "truth.star", data / "ours.star", group)
    command = f"relion_particle_symmetry_expand --i truth.star --o theirs.star --sym {group}"
    subprocess.run(command.split(), cwd=data, check=True, capture_output=True)
    order = len(symmetry_operators(group))
    ours, theirs = (
        matrices(data / name).reshape(300, order, 3, 3) for name in ("ours.star", "theirs.star")
    )
    distance = np.abs(ours[:, :, None] - theirs[:, None]).max(axis=(3, 4))  # (N, G, G)
    assert (distance.min(axis=2) < 2e-6).all()
    assert (distance.min(axis=1) < 2e-6).all()
    tables = [starfile.read(data / name)["particles"] for name in ("ours.star", "theirs.star")]
    names = [[name.partition("@")[0] for name in table["rlnImageName"]] for table in tables]
    assert names[0] == names[1]
