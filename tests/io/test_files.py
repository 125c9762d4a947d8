import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from napari_ini3d.errors import RunFolderError
from napari_ini3d.io import files
from napari_ini3d.io.files import (
    atomic_path,
    read_failure,
    remove_abandoned,
    temporary_folder,
    time_of_disk,
)


def test_the_file_appears_when_the_block_ends(tmp_path):
    target = tmp_path / "map.mrc"
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert not target.exists()
        assert temporary.suffix == ".mrc"
        assert temporary.parent == tmp_path
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["map.mrc"]


def test_a_failure_leaves_the_old_file_and_no_temporary_one(tmp_path):
    target = tmp_path / "data.star"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_path(target) as temporary:
        temporary.write_text(f"half {1 // 0}")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["data.star"]


def test_a_missing_folder_is_named(tmp_path):
    with (
        pytest.raises(RunFolderError, match=r"nowhere.*folder does not exist"),
        atomic_path(tmp_path / "nowhere" / "a.star"),
    ):
        pass


def test_a_file_without_permission_is_not_reported_as_missing():
    forbidden = PermissionError(13, "Permission denied")
    absent = FileNotFoundError(2, "No such file or directory")
    path = Path("a.star")
    assert read_failure(path, forbidden, "check the name").endswith("change its permissions")
    assert read_failure(path, absent, "check the name") == (
        "a.star: cannot be read (No such file or directory); check the name"
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_a_run_folder_error(tmp_path):
    target = tmp_path / "a.star"
    with (
        pytest.raises(RunFolderError, match="no space is left"),
        atomic_path(target),
        open("/dev/full", "w") as full,
    ):
        full.write("x" * 100_000)
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may write everywhere")
def test_a_forbidden_folder_is_a_run_folder_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(RunFolderError, match="permission"), atomic_path(tmp_path / "a"):
        pass


def test_the_time_of_a_disk_is_that_of_the_files_on_it(tmp_path, monkeypatch):
    monkeypatch.setattr(files.time, "time", lambda: 5.0)
    before = time_of_disk(tmp_path)
    (tmp_path / "a").touch()
    assert before <= (tmp_path / "a").stat().st_mtime <= time_of_disk(tmp_path)
    assert os.listdir(tmp_path) == ["a"]


def test_the_time_of_a_disk_that_cannot_be_written_is_that_of_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(files.time, "time", lambda: 5.0)
    assert time_of_disk(tmp_path / "nowhere") == 5.0


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_wrong_clock_removes_no_temporary_file_of_another_machine(tmp_path, monkeypatch, hours):
    part = tmp_path / ".stack.ffffffff-17-0.tmp.mrcs"
    part.touch()
    os.utime(part, (1000, 1000))  # as of a copy that has got the time of its stack
    now = time_of_disk(tmp_path)
    monkeypatch.setattr(files.time, "time", lambda: now + 3600 * hours)
    remove_abandoned(tmp_path)
    assert part.exists()
    monkeypatch.setattr(files, "time_of_disk", lambda folder: now + 200)
    remove_abandoned(tmp_path)
    assert part.exists()
    remove_abandoned(tmp_path, after=180)
    assert not part.exists()


def test_a_file_that_is_being_written_is_kept_and_one_of_an_earlier_process_is_not(tmp_path):
    with atomic_path(tmp_path / "a.star") as temporary:
        writer = re.search(r"\.([0-9a-f]{8}-\d+)-\d+\.tmp", temporary.name)[1]
        left = tmp_path / f".b.{writer}-99999.tmp.star"  # its process had our number
        left.touch()
        remove_abandoned(tmp_path)
        assert temporary.exists()
        assert not left.exists()


def test_the_temporary_folder_of_a_killed_process_is_removed_by_the_next_and_one_in_use_is_not(
    tmp_path,
):
    """A process that is killed within a folder leaves it; the next process clears it away."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    code = (
        "import os, signal\n"
        "from napari_ini3d.io.files import temporary_folder\n"
        "with temporary_folder() as folder:\n"
        "    (folder / 'rows').write_text('half')\n"
    )
    kill = "    os.kill(os.getpid(), signal.SIGKILL)\n"
    show = "    print(sorted(os.listdir(folder.parent)) == [folder.name])\n"
    subprocess.run([sys.executable, "-c", code + kill], env=environment, check=False)
    assert len(os.listdir(tmp_path)) == 1
    done = [sys.executable, "-c", code + show]
    said = subprocess.run(done, env=environment, check=True, capture_output=True, text=True)
    assert said.stdout.strip() == "True"
    assert os.listdir(tmp_path) == []


def test_a_temporary_folder_that_is_in_use_is_kept():
    with temporary_folder() as folder:
        remove_abandoned(folder.parent)
        assert folder.is_dir()
    assert not folder.exists()
