import os
from pathlib import Path

import pytest

from napari_ini3d.errors import RunFolderError
from napari_ini3d.io.files import atomic_path, read_failure


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
