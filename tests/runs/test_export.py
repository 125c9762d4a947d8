"""A run as input of another package: particles with poses, and the map beside them."""

import filecmp
import shutil
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import starfile
from fake_runs import use_fake_engine

from napari_ini3d.errors import RunFolderError, SettingsError
from napari_ini3d.io import (
    ParticleFiles,
    convert_to_cryosparc,
    read_particles,
    read_poses,
    write_map,
)
from napari_ini3d.jobs import start_run
from napari_ini3d.runs import RunFolder, SymmetryFiles, export_run
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)

SETTINGS = InitialModelSettings(
    mask_diameter=100.0, iterations=2, independent_half_sets=False, threads=1
)


@pytest.fixture(params=["star", "cs"])
def run(request, tmp_path, monkeypatch):
    """A finished run of particles in a STAR file, and of the same in a dataset of cryoSPARC."""
    use_fake_engine(monkeypatch)
    phantom = make_phantom(diameter=80.0)
    settings = SimulationSettings(number=12, box_size=32, pixel_size=4.0)
    path = write_dataset(tmp_path / "project/S1", simulate_particles(phantom, settings), phantom)
    if request.param == "cs":
        convert_to_cryosparc(path, path.with_suffix(".cs"), project=tmp_path / "project")
        path = path.with_suffix(".cs")
    for _ in start_run(path, tmp_path / "run", SETTINGS):
        pass
    return RunFolder(tmp_path / "run")


@pytest.mark.parametrize("ending", [".star", ".cs"])
def test_particles_and_map_of_a_run_are_written_for_another_package(run, tmp_path, ending):
    target = tmp_path / "other" / f"run1{ending}"
    target.parent.mkdir()
    done = export_run(run, target)
    assert (done.n_particles, done.particles_path) == (12, target)
    assert filecmp.cmp(done.map_path, run.map_path, shallow=False)
    ours = read_poses(run.iteration_path(2, "data.star"))
    np.testing.assert_allclose(read_poses(target).angles, ours.angles, atol=1e-3)
    np.testing.assert_allclose(read_poses(target).origins, ours.origins, atol=1e-3)
    particles, _ = read_particles(ParticleFiles(target, project=tmp_path / "project"))
    assert all(stack.is_file() for stack in particles.stack_paths)
    assert target.with_suffix(".csg").is_file() == (ending == ".cs")


def test_with_a_symmetry_the_map_that_has_it_and_its_poses_are_written(run, tmp_path):
    files = SymmetryFiles(run)
    with mrcfile.open(run.map_path) as file:
        write_map(files.symmetrised_path, file.data * 2, 4.0)
    tables = starfile.read(run.iteration_path(2, "data.star"))
    tables["particles"]["rlnAngleRot"] = 77.0
    starfile.write(tables, files.particles_path)
    with pytest.raises(RunFolderError, match=r"symmetry\.json is missing"):
        export_run(run, tmp_path / "aligned.star")
    write_symmetry(files, holds=True)
    done = export_run(run, tmp_path / "aligned.star")
    assert filecmp.cmp(done.map_path, files.symmetrised_path, shallow=False)
    assert not done.note
    np.testing.assert_allclose(read_poses(done.particles_path).angles[:, 0], 77.0)
    write_symmetry(files, holds=False)
    with pytest.raises(RunFolderError, match=r"initial_model_aligned\.mrc is missing"):
        export_run(run, tmp_path / "rejected.star")
    assert not (tmp_path / "rejected.star").exists()
    shutil.copyfile(run.map_path, files.aligned_path)
    done = export_run(run, tmp_path / "rejected.star")
    assert filecmp.cmp(done.map_path, files.aligned_path, shallow=False)
    assert done.note.startswith("C3 does not hold")


def write_symmetry(files, *, holds):
    files.write_facts({"requested": "auto", "group": "C3", "verdict": "as said", "holds": holds})


@pytest.mark.parametrize("ending", [".star", ".cs"])
def test_particles_without_a_pose_are_left_out_and_counted(run, tmp_path, ending):
    path = run.iteration_path(2, "data.star")
    tables = starfile.read(path)
    tables["particles"].loc[:2, "rlnClassNumber"] = 0
    starfile.write(tables, path, overwrite=True)
    done = export_run(run, tmp_path / f"a{ending}")
    assert done.n_particles == len(read_poses(done.particles_path).angles) == 9
    assert "3 of 12 particles are left out" in done.note


def test_of_several_classes_the_note_says_whose_the_map_is(run, tmp_path):
    record = run.path / "settings.json"
    record.write_text(record.read_text().replace('"classes": 1', '"classes": 2'))
    assert "all 2 classes, but the map is of one" in export_run(run, tmp_path / "a.star").note


def test_the_particle_file_of_the_run_is_not_replaced(run):
    source = Path(run.read_record().particles)
    before = source.read_bytes()
    with pytest.raises(SettingsError, match="is the particle file of the run"):
        export_run(run, source)
    assert source.read_bytes() == before


def test_dark_images_are_said_where_the_package_does_not_know_of_them(run, tmp_path):
    record = run.path / "settings.json"
    record.write_text(
        record.read_text().replace('"invert_contrast": "no"', '"invert_contrast": "yes"')
    )
    assert "invert them" in export_run(run, tmp_path / "a.star").note
    assert not export_run(run, tmp_path / "b.cs").note


def test_nothing_is_replaced_and_other_endings_are_refused(run, tmp_path):
    (tmp_path / "a.mrc").touch()
    with pytest.raises(RunFolderError, match=r"a.mrc exists; choose another name"):
        export_run(run, tmp_path / "a.star")
    with pytest.raises(SettingsError, match="folder of the run"):
        export_run(run, run.path / "b.star")
    with pytest.raises(SettingsError, match=r"\.star or \.cs"):
        export_run(run, tmp_path / "a.txt")
    assert not (tmp_path / "a.star").exists()


def test_a_run_that_has_written_nothing_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(RunFolderError, match="no iteration yet"):
        export_run(RunFolder(tmp_path / "run"), tmp_path / "a.star")
