import pytest
from fake_runs import FakeState, fake_reconstruct

from napari_ini3d.errors import RunFolderError
from napari_ini3d.jobs import run as run_module
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.history import write_history
from napari_ini3d.runs.lock import RunLock
from napari_ini3d.runs.removal import adopt_outputs, delete_run, run_files
from napari_ini3d.runs.symmetry_files import SymmetryFiles
from napari_ini3d.settings import InitialModelSettings
from napari_ini3d.simulation import SimulationSettings, make_phantom, simulate_particles
from napari_ini3d.simulation.dataset import write_dataset


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run with every kind of file."""
    monkeypatch.setattr(run_module, "reconstruct", fake_reconstruct)
    monkeypatch.setattr(run_module, "EngineState", FakeState)
    phantom = make_phantom(diameter=80.0)
    particles = simulate_particles(phantom, SimulationSettings(number=12, box_size=32))
    star = write_dataset(tmp_path / "data", particles, phantom)
    folder = RunFolder(tmp_path / "run")
    settings = InitialModelSettings(mask_diameter=100.0, iterations=3, write_every=2, threads=1)
    for report in run_module.start_run(star, folder.path, settings):
        write_history(folder, report.iteration, report.volumes, report.voxel_size)
    files = SymmetryFiles(folder)
    named = (files.aligned_path, files.symmetrised_path, files.particles_path, files.picture_path)
    for path in (*named, files.facts_path, folder.excluded_path):
        folder.claim(path)
        path.touch()
    return folder


def test_all_files_of_a_run_are_deleted(run):
    assert {path for path in run.path.rglob("*") if path.is_file()} == set(run_files(run))
    delete_run(run)
    assert not run.path.exists()


def test_other_files_are_kept(run):
    kept = [run.path / name for name in ("notes.txt", "run_item.txt", "mine/run_it001_x.mrc")]
    (run.path / "mine").mkdir()
    for path in kept:
        path.touch()
    delete_run(run)
    assert sorted(path for path in run.path.rglob("*") if path.is_file()) == sorted(kept)


def test_the_outputs_of_a_run_without_a_list_are_known_by_their_names(run):
    listed = set(run_files(run))
    (run.path / "outputs.txt").unlink()
    later = ("outputs.txt", "checkpoint_previous.npz", "images.npz")
    assert set(run_files(run)) == listed - {run.path / name for name in later}
    adopt_outputs(run)
    assert run.progress_path in run.outputs()


def test_a_run_that_is_going_on_is_not_deleted(run):
    lock = RunLock.acquire(run.path)
    with pytest.raises(RunFolderError, match="in use"):
        delete_run(run)
    lock.release()
    delete_run(run)


def test_a_folder_without_a_run_is_left_alone(tmp_path):
    (tmp_path / "log.txt").touch()
    with pytest.raises(RunFolderError, match=r"has no settings\.json"):
        delete_run(RunFolder(tmp_path))
    assert (tmp_path / "log.txt").is_file()


def test_a_run_that_cannot_be_deleted_completely_is_still_recognised(run, monkeypatch):
    unlink = type(run.path).unlink

    def refuse(path, **options):
        if path.name == "log.txt":
            raise PermissionError(13, "Permission denied")
        unlink(path, **options)

    monkeypatch.setattr(type(run.path), "unlink", refuse)
    with pytest.raises(RunFolderError, match=r"log\.txt"):
        delete_run(run)
    assert run.settings_path.is_file()
