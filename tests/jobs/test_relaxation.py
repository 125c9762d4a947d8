"""Relaxation of the run of a pseudo-symmetric structure, from its folder to map and STAR file."""

import json

import numpy as np
import pytest
from pseudo_particles import pseudo_particles, share_in_place
from scipy.spatial.transform import Rotation
from symmetry_commands import invoke, values

from napari_ini3d.errors import SymmetryError
from napari_ini3d.fourier.resample import rotate_map
from napari_ini3d.geometry.euler import euler_to_matrix, matrix_to_euler
from napari_ini3d.geometry.point_groups import symmetry_operators
from napari_ini3d.io.mrc.maps import read_map, write_map
from napari_ini3d.io.star.poses import read_poses, replace_angles
from napari_ini3d.jobs.relaxation import RelaxationFiles, relax_run
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.record import RunRecord
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import write_dataset

BOX, PIXEL = 32, 4.5
TURN = Rotation.from_rotvec([20, -35, 50], degrees=True).as_matrix()  # of the run's map


def make_run(tmp_path, given):
    """Write a finished run whose map has the group, about axes rotated by TURN."""
    write_dataset(tmp_path / "data", given.simulated, given.phantom)
    star = tmp_path / "data" / "truth.star"
    folder = RunFolder.create(tmp_path / "run")
    settings = InitialModelSettings(
        mask_diameter=1.1 * given.symmetric.diameter, device="cpu", invert_contrast="no"
    )
    record = RunRecord(
        version="0", command="", started="", particles=str(star), particles_sha256="",
        n_particles=len(given.truth), settings=settings,
    )  # fmt: skip
    folder.write_record(record)
    folder.claim(folder.class_map_path(5, 0), folder.iteration_path(5, "data.star"))
    replace_angles(
        star, folder.iteration_path(5, "data.star"), matrix_to_euler(given.given @ TURN.T)
    )
    data = rotate_map(given.symmetric.density(BOX, PIXEL, 10.0), TURN, np.zeros(3))
    write_map(folder.class_map_path(5, 0), data, PIXEL)
    folder.append_progress({"iteration": 5, "class_shares": [1.0], "resolution": [10.0]})
    folder.write_checkpoint({"iteration": np.array(5)}, 5, keep=True)
    return folder.path


def matrices(path):
    return euler_to_matrix(*read_poses(path).angles.T)


@pytest.fixture(scope="module")
def pair():
    """D2 of which a 2-fold is left: the copies 0 and 1 are missing."""
    return pseudo_particles("D2", {0: 0.0, 1: 0.0}, number=250)


def test_a_run_is_relaxed_to_a_map_and_particles_in_their_units(tmp_path, pair):
    run = make_run(tmp_path, pair)
    files = RelaxationFiles(tmp_path / "out.mrc", tmp_path / "out.star", tmp_path / "diff.mrc")
    found = relax_run(run, "D2", files, threads=1)
    kept = symmetry_operators("D2")[:2]  # of the phantom; 0 and 1 are one subgroup
    in_place = share_in_place(pair.truth, matrices(files.particles_path), kept)
    assert in_place > 0.95
    assert (found.group, found.subgroup) == ("D2", "C2")
    assert found.told_apart
    assert found.verdict.startswith("D2 is a pseudo-symmetry of the particles; C2 holds")
    assert 0.9 < found.probability <= 1
    assert read_map(files.map_path).data.shape == (BOX,) * 3
    assert read_map(files.difference_path).data.std() > 0


def test_the_subgroup_is_imposed_on_its_own_axes(tmp_path, pair):
    run = make_run(tmp_path, pair)
    output, star = tmp_path / "out.mrc", tmp_path / "out.star"
    result = invoke(
        "relax", run, "--symmetry", "D2", "--output", output, "--particles-output", star,
        "--impose-subgroup", "--threads", "1", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = values(result)
    assert (found["event"], found["subgroup"], found["imposed"]) == ("relaxed", "C2", True)
    assert found["output"] == str(output)
    data = read_map(output).data
    half_turn = np.roll(data[:, ::-1, ::-1], 1, axis=(1, 2))  # about Z
    np.testing.assert_allclose(data, half_turn, atol=1e-3 * data.max())
    net = np.linalg.inv(pair.truth) @ matrices(star)
    twice = symmetry_operators("C2")
    apart = np.abs(net[:, None] - (net[:1] @ twice)[None]).max(axis=(2, 3)).min(axis=1)
    assert (apart < 0.1).mean() > 0.5


def test_a_map_that_is_not_close_to_the_group_is_refused(tmp_path, pair):
    run = make_run(tmp_path, pair)
    with pytest.raises(SymmetryError, match="expected a map that is close to C7"):
        relax_run(run, "C7", RelaxationFiles(tmp_path / "out.mrc"), threads=1)
    assert not (tmp_path / "out.mrc").exists()


def test_no_file_of_the_run_is_overwritten(tmp_path, pair):
    run = make_run(tmp_path, pair)
    target = run / "run_it005_class001.mrc"
    before = target.read_bytes()
    result = invoke("relax", run, "--symmetry", "D2", "--output", target)
    assert result.exit_code == 1
    assert "is read by this command" in result.output
    assert target.read_bytes() == before


def test_what_stops_a_relaxation_writes_nothing(tmp_path, pair):
    run = make_run(tmp_path, pair)
    files = RelaxationFiles(tmp_path / "out.mrc", tmp_path / "out.star")
    assert relax_run(run, "D2", files, threads=1, stop=lambda: True) is None
    assert not files.map_path.exists()
    assert not files.particles_path.exists()
    assert json.loads((run / "settings.json").read_text())["n_particles"] == 250


def test_particles_of_a_run_judge_the_groups_of_its_map(tmp_path):
    given = pseudo_particles("C3", {}, number=250)
    run = make_run(tmp_path, given)
    result = invoke("detect", run, "--likelihood", "--threads", "1", "--json")
    assert result.exit_code == 0, result.output
    judged = {one["group"]: one for one in values(result)["particles"]}
    assert judged["C3"]["particles"] == 250
    assert judged["C3"]["gain"] > 3 * judged["C3"]["deviation"]
    assert judged["C3"]["control"] < 0
    assert "imposing C3 raises the log likelihood of a particle" in judged["C3"]["verdict"]


def test_a_map_has_no_particles_to_ask(tmp_path, pair, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("TERM", "dumb")
    path = tmp_path / "map.mrc"
    write_map(path, pair.symmetric.density(BOX, PIXEL, 10.0), PIXEL)
    result = invoke("detect", path, "--likelihood")
    assert result.exit_code == 2
    assert "is not a run folder" in result.output
