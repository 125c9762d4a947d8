import numpy as np
import pytest
import starfile

from napari_ini3d.errors import StarError
from napari_ini3d.io.star.junk import keep_stack_names, read_junk_table
from napari_ini3d.io.star.particles import write_particle_subset

TEXT = """
data_optics

loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnImagePixelSize #3
_rlnImageSize #4
2 grid2 4.0 32
1 grid1 4.0 32

data_particles

loop_
_rlnImageName #1
_rlnOpticsGroup #2
_rlnClassNumber #3
_ini3dJunkProbability #4
1@stacks/a.mrcs 1 1 0.25
2@stacks/a.mrcs 2 2 1.0
3@/gone/b.mrcs 2 0 0.0
"""


@pytest.fixture
def star(tmp_path):
    (tmp_path / "project" / "stacks").mkdir(parents=True)
    (tmp_path / "project" / "stacks" / "a.mrcs").write_bytes(b"a")
    path = tmp_path / "project" / "job" / "data.star"
    path.parent.mkdir()
    path.write_text(TEXT)
    return path


def names_after(star, target):
    table = keep_stack_names(read_junk_table(star).table, [star])
    write_particle_subset(target, table, np.arange(3))
    return starfile.read(target)["particles"]["rlnImageName"].tolist()


def test_probabilities_and_groups_are_read_though_stacks_are_missing(star):
    found = read_junk_table(star)
    assert found.junk_probability.tolist() == [0.25, 1.0, 0.0]
    assert found.is_assigned.tolist() == [True, True, False]
    assert [found.group_names[i] for i in found.group_index] == ["grid1", "grid2", "grid2"]
    assert len(found.table) == 3


def test_a_file_without_the_column_is_refused(star):
    star.write_text(TEXT.replace("ini3dJunkProbability", "other"))
    with pytest.raises(StarError, match=r"has no ini3dJunkProbability.*earlier version"):
        read_junk_table(star)


def test_names_that_are_relative_to_the_project_folder_stay(star):
    (star.parents[1] / "default_pipeline.star").touch()
    original = ["1@stacks/a.mrcs", "2@stacks/a.mrcs", "3@/gone/b.mrcs"]
    assert names_after(star, star.parents[1] / "good.star") == original


@pytest.mark.parametrize("other_stack", [False, True])
def test_without_a_project_folder_names_become_absolute(star, tmp_path, monkeypatch, other_stack):
    monkeypatch.chdir(star.parents[1])  # the current folder is not that of the new file
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "stacks").mkdir(parents=True)
    if other_stack:
        (elsewhere / "stacks" / "a.mrcs").write_bytes(b"another")
    stack = star.parents[1] / "stacks" / "a.mrcs"
    names = names_after(star, elsewhere / "good.star")
    assert names == [f"1@{stack}", f"2@{stack}", "3@/gone/b.mrcs"]
