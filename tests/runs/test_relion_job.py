"""The folder of an External job, with the files that RELION has in it."""

import pytest

from napari_ini3d.errors import RunFolderError
from napari_ini3d.runs import RelionJob, RunFolder
from napari_ini3d.runs.symmetry_files import SymmetryFiles

RELIONS = ("job.star", "note.txt", "run.out", "run.err", "default_pipeline.star")


@pytest.fixture
def job(tmp_path):
    made = RelionJob("External/job012/", tmp_path)
    made.path.mkdir(parents=True)
    for name in RELIONS:
        (made.path / name).write_text(name)
    return made


def test_a_run_can_be_written_beside_the_files_of_relion_which_stay(job):
    with pytest.raises(RunFolderError, match="not empty"):
        RunFolder.check_free(job.folder.path)
    job.prepare()
    RunFolder.create(job.folder.path)
    assert [(job.path / name).read_text() for name in RELIONS] == list(RELIONS)


def test_a_folder_of_a_user_is_refused_as_by_a_run(tmp_path):
    job = RelionJob("mine", tmp_path)
    job.path.mkdir()
    (job.path / "thesis.tex").touch()
    job.prepare()
    with pytest.raises(RunFolderError, match="not empty"):
        RunFolder.check_free(job.folder.path)
    job.fail()
    assert [path.name for path in job.path.iterdir()] == ["thesis.tex"]


def test_marks_and_requests_of_an_earlier_attempt_are_removed(job):
    job.folder.mark("FAILURE")
    job.requests.stop()
    job.prepare()
    assert job.folder.outcome() is None
    assert not job.requests.stop_requested


def test_a_failure_is_marked_once(job):
    job.fail()
    assert job.folder.outcome() == "FAILURE"
    job.fail(aborted=True)
    assert job.folder.outcome() == "FAILURE"


def test_the_symmetrised_map_becomes_the_result_once(job):
    job.prepare()
    folder = job.folder
    folder.claim(folder.map_path)
    folder.map_path.write_text("as it was reconstructed")
    assert not job.take_symmetrised()
    SymmetryFiles(folder).symmetrised_path.write_text("symmetrised")
    assert job.take_symmetrised()
    assert not job.take_symmetrised()
    assert folder.map_path.read_text() == "symmetrised"
    assert job.unsymmetrised_path.read_text() == "as it was reconstructed"


def test_nodes_are_named_from_the_project_folder(job):
    job.prepare()
    job.folder.map_path.touch()
    job.log_path.touch()
    names = [node.name for node in job.write_nodes("SUCCESS")]
    assert names == ["External/job012/initial_model.mrc", "External/job012/logfile.pdf"]
    assert "External/job012/initial_model.mrc" in job.nodes_path.read_text()
