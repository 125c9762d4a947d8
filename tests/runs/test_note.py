import pytest
from fake_runs import make_record

from napari_ini3d.errors import Ini3dError
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.note import read_note, write_note
from napari_ini3d.runs.removal import delete_run, run_files


@pytest.fixture
def run(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    folder.write_record(make_record())
    return folder


def test_a_note_is_read_as_it_was_written(run):
    assert read_note(run) == ""
    write_note(run, "  12 Å, für später\nsecond line ")
    assert read_note(run) == "12 Å, für später\nsecond line"


def test_an_empty_note_removes_the_file(run):
    write_note(run, "a")
    write_note(run, "  ")
    assert not (run.path / "run_note.txt").exists()


def test_a_note_is_deleted_with_its_run(run):
    write_note(run, "a")
    delete_run(run)
    assert not run.path.exists()


def test_a_note_that_the_user_has_written_by_hand_is_shown_and_kept(run):
    (run.path / "run_note.txt").write_text("mine")
    assert read_note(run) == "mine"
    write_note(run, "new")
    assert read_note(run) == "new"
    assert (run.path / "run_note.kept.txt").read_text() == "mine"


def test_a_note_on_a_run_without_a_list_of_outputs_leaves_all_its_files_known(run):
    run.append_progress({"iteration": 1})
    (run.path / "outputs.txt").unlink()
    write_note(run, "a")
    assert run.progress_path in run_files(run)


def test_a_note_that_cannot_be_read_is_ignored(run, caplog):
    (run.path / "run_note.txt").mkdir()
    assert read_note(run) == ""
    assert "is ignored" in caplog.text


def test_a_note_that_cannot_be_written_is_an_error(run):
    (run.path / "outputs.txt").unlink()
    (run.path / "outputs.txt").mkdir()
    with pytest.raises(Ini3dError, match=r"run_note\.txt"):
        write_note(run, "a")
    assert read_note(run) == ""


def test_a_note_that_would_be_cut_when_it_is_read_is_refused(run):
    write_note(run, "a" * 10_000)
    assert read_note(run) == "a" * 10_000
    with pytest.raises(Ini3dError, match="has 10001 characters; expected at most 10000"):
        write_note(run, "b" * 10_001)
    assert read_note(run) == "a" * 10_000


def test_the_note_of_a_job_of_relion_is_left_alone(run):
    (run.path / "note.txt").write_text(" ++++ Executed\n")
    assert read_note(run) == ""
    write_note(run, "mine")
    write_note(run, "")
    delete_run(run)
    assert [path.name for path in run.path.iterdir()] == ["note.txt"]
    assert (run.path / "note.txt").read_text() == " ++++ Executed\n"


def test_a_note_of_an_early_version_is_read_moved_when_it_is_changed_and_removed(run):
    early = run.path / "note.txt"
    for text, left in (("new", ["run_note.txt"]), ("", [])):
        folder_claims(run, early)
        assert read_note(run) == "old"
        write_note(run, text)
        assert [path.name for path in run.path.glob("*note*")] == left
        assert read_note(run) == text


def folder_claims(run, path):
    """Write a file as an output of the run."""
    (run.path / "run_note.txt").unlink(missing_ok=True)
    run.claim(path)
    path.write_text("old\n")
