"""Names of stacks as programs write them, and names that hold in new files."""

import numpy as np
import pytest

from napari_ini3d.errors import StackError, StarError
from napari_ini3d.io.star.image_names import (
    find_stacks,
    is_respelled,
    names_for,
    split_image_names,
)


def _touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


@pytest.mark.parametrize(
    ("name", "on_disk"),
    [
        (">J94/extract/a.mrcs", "J94/extract/a.mrcs"),
        ("Extract/a.mrcs", "Extract/a.mrc"),
        ("Extract/a.mrc", "Extract/a.mrcs"),
        (">Extract/a.mrc", "Extract/a.mrcs"),
        ("Extract/a.mrc:mrcs", "Extract/a.mrc"),
        ("Extract\\job007\\a.mrcs", "Extract/job007/a.mrcs"),
    ],
)
def test_a_stack_is_found_by_other_spellings_of_its_name(tmp_path, name, on_disk):
    stack = _touch(tmp_path / on_disk)
    (found,) = find_stacks([name], tmp_path / "particles.star")
    assert found == stack
    assert is_respelled(name, found)


def test_a_name_as_it_stands_comes_first(tmp_path):
    for name in (">a.mrcs", "a.mrcs", "a.mrc"):
        _touch(tmp_path / name)
    found = find_stacks([">a.mrcs", "a.mrcs", "a.mrc"], tmp_path / "particles.star")
    assert [path.name for path in found] == [">a.mrcs", "a.mrcs", "a.mrc"]
    assert not any(map(is_respelled, (">a.mrcs", "a.mrcs", "a.mrc"), found))


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_link_that_points_nowhere_is_named_with_its_target(tmp_path, is_folder):
    link = tmp_path / ("Extract" if is_folder else "a.mrcs")
    link.symlink_to("nowhere/at/all")
    name = "Extract/a.mrcs" if is_folder else "a.mrcs"
    with pytest.raises(StackError, match=r"is a link to nowhere/at/all, which does not exist"):
        find_stacks([name], tmp_path / "particles.star")


def test_a_name_that_is_too_long_for_the_disk_is_not_found(tmp_path):
    with pytest.raises(StackError, match="not found"):
        find_stacks(["a" * 5000 + ".mrcs"], tmp_path / "particles.star")


@pytest.mark.parametrize("number", ["2147483648", "99999999999999999999", "-1", "0", "1.5", ""])
def test_a_number_that_no_image_can_have_is_refused(tmp_path, number):
    with pytest.raises(StarError, match="row 2 has the image name"):
        split_image_names(["1@a.mrcs", f"{number}@a.mrcs"], tmp_path / "particles.star")


def test_the_largest_number_is_read(tmp_path):
    index = split_image_names(["2147483647@a.mrcs"], tmp_path / "p.star")[2]
    np.testing.assert_array_equal(index, [2**31 - 2])


class TestNamesInNewFiles:
    def test_names_relative_to_the_project_stay(self, tmp_path):
        (tmp_path / "default_pipeline.star").touch()
        stack = _touch(tmp_path / "Extract/job007/a.mrcs")
        target = tmp_path / "Ini3d/run/run_it001_data.star"
        assert names_for(["Extract/job007/a.mrcs"], [stack], target) == ["Extract/job007/a.mrcs"]

    def test_names_relative_to_the_star_file_become_relative_to_the_project(self, tmp_path):
        (tmp_path / "default_pipeline.star").touch()
        stack = _touch(tmp_path / "Import/a.mrcs")
        assert names_for(["a.mrcs"], [stack], tmp_path / "run/d.star") == ["Import/a.mrcs"]

    def test_a_project_is_found_through_links_and_dots(self, tmp_path):
        (tmp_path / "project").mkdir()
        (tmp_path / "project/default_pipeline.star").touch()
        stack = _touch(tmp_path / "project/Import/a.mrcs")
        (tmp_path / "link").symlink_to("project")
        for target in ("project/Import/../run/d.star", "link/run/d.star"):
            assert names_for(["a.mrcs"], [stack], tmp_path / target) == ["Import/a.mrcs"]

    def test_stacks_outside_the_project_become_absolute(self, tmp_path):
        (tmp_path / "project").mkdir()
        (tmp_path / "project/default_pipeline.star").touch()
        stack = _touch(tmp_path / "data/a.mrcs")
        target = tmp_path / "project/run/d.star"
        assert names_for(["a.mrcs"], [stack], target) == [str(stack)]

    def test_without_a_project_names_become_absolute(self, tmp_path):
        stack = _touch(tmp_path / "data/a.mrcs")
        assert names_for(["a.mrcs"], [stack], tmp_path / "data/d.star") == [str(stack)]

    def test_absolute_names_and_names_of_unknown_stacks_stay(self, tmp_path):
        (tmp_path / "default_pipeline.star").touch()
        stack = _touch(tmp_path / "Extract/a.mrcs")
        names = [str(stack), "gone.mrcs"]
        assert names_for(names, [stack, None], tmp_path / "d.star") == names

    def test_another_stack_of_the_same_name_in_the_project_is_not_taken_for_it(self, tmp_path):
        (tmp_path / "default_pipeline.star").touch()
        _touch(tmp_path / "a.mrcs")
        stack = _touch(tmp_path / "Import/a.mrcs")
        assert names_for(["a.mrcs"], [stack], tmp_path / "d.star") == ["Import/a.mrcs"]

    def test_a_stack_that_ends_with_mrc_is_marked_as_one_for_relion(self, tmp_path):
        stack = _touch(tmp_path / "a.mrc")
        assert names_for(["a.mrcs"], [stack], tmp_path / "d.star") == [f"{stack}:mrcs"]

    def test_links_are_kept(self, tmp_path):
        real = _touch(tmp_path / "disk/a.mrcs")
        link = tmp_path / "project/Extract/a.mrcs"
        link.parent.mkdir(parents=True)
        link.symlink_to(real)
        (tmp_path / "project/default_pipeline.star").touch()
        target = tmp_path / "project/run/d.star"
        assert names_for(["a.mrcs"], [link], target) == ["Extract/a.mrcs"]
