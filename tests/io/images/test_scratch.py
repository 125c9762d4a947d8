"""Resampled images on the scratch disk."""

import numpy as np
import pytest
from mrc_files import particle_rows, star_text, write_stack

from napari_ini3d.errors import RunFolderError, StackError
from napari_ini3d.io.images.grids import check_scratch_for
from napari_ini3d.io.images.reader import StackReader
from napari_ini3d.io.star.particles import read_particles

RNG = np.random.default_rng(5)
COARSE = 3.0  # Å, where the stacks have 2.0


def _particles(folder, *names):
    for number, name in enumerate(names):
        if not (folder / name).exists():
            write_stack(folder / name, RNG.integers(-90, 90, size=(7, 16, 16)) + number)
    rows = [row for name in names for row in particle_rows(7, name)]
    (folder / "p.star").write_text(star_text(rows))
    return read_particles(folder / "p.star")[0]


def _all_of(reader):
    return reader.read(np.arange(len(reader))).images


def test_images_from_scratch_equal_those_without_scratch(tmp_path):
    particles = _particles(tmp_path, "b.mrcs", "a.mrcs").take(np.array([9, 2, 2, 13]))
    expected = _all_of(StackReader(particles, pixel_size=COARSE))
    reader = StackReader(particles, pixel_size=COARSE, scratch=tmp_path / "scratch")
    (path,) = (tmp_path / "scratch").iterdir()
    assert path.stat().st_size == expected.nbytes + 4 * len(expected)  # with their checksums
    assert (reader.box_size, reader.pixel_size, len(reader)) == (expected.shape[1], COARSE, 4)
    for name in ("a.mrcs", "b.mrcs"):
        (tmp_path / name).unlink()  # no longer needed
    assert np.array_equal(_all_of(reader), expected)
    (batch,) = reader.batches([np.array([3, 0])])
    assert np.array_equal(batch.images, expected[[3, 0]])


def test_scratch_images_of_two_grids_are_on_the_common_grid(tmp_path):
    write_stack(tmp_path / "a.mrcs", RNG.normal(size=(7, 16, 16)))
    write_stack(tmp_path / "b.mrcs", RNG.normal(size=(7, 32, 32)))
    optics = ["1 a 300 2.7 0.1 2.0 16 2", "2 b 300 2.7 0.1 1.0 32 2"]
    rows = [*particle_rows(7, "a.mrcs"), *particle_rows(7, "b.mrcs", group=2)]
    (tmp_path / "p.star").write_text(star_text(rows, optics=optics))
    particles, _ = read_particles(tmp_path / "p.star")
    reader = StackReader(particles, scratch=tmp_path / "scratch", preread=True)
    assert np.array_equal(_all_of(reader), _all_of(StackReader(particles)))


def test_scratch_images_are_written_again_only_for_other_images_stacks_or_grids(tmp_path):
    scratch = tmp_path / "scratch"
    particles = _particles(tmp_path, "a.mrcs", "b.mrcs")

    def files_after(particles, pixel_size=COARSE):
        StackReader(particles, pixel_size=pixel_size, scratch=scratch)
        return {path.name: path.stat().st_ino for path in scratch.iterdir()}

    first = files_after(particles)
    assert files_after(particles) == first
    assert len(files_after(particles.take(np.arange(3)))) == 2
    assert len(files_after(particles, 4.0)) == 3
    write_stack(tmp_path / "b.mrcs", RNG.normal(size=(7, 16, 16)), extended=80)
    changed = files_after(particles)
    assert len(changed) == 4
    assert first.items() <= changed.items()


def test_a_full_disk_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    particles, scratch = _particles(tmp_path, "a.mrcs"), tmp_path / "scratch"
    usage = type("Usage", (), {"free": 0})
    monkeypatch.setattr("napari_ini3d.io.images.scratch.shutil.disk_usage", lambda _: usage)
    for refused in (
        lambda: StackReader(particles, pixel_size=COARSE, scratch=scratch),
        lambda: check_scratch_for(particles, COARSE, scratch),
    ):
        with pytest.raises(RunFolderError, match=r"GiB needed for the resampled images, 0\.00 GiB"):
            refused()
    assert not scratch.exists()


def test_without_resampling_the_space_for_the_stacks_is_checked(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 0})
    monkeypatch.setattr("napari_ini3d.io.images.scratch.shutil.disk_usage", lambda _: usage)
    with pytest.raises(RunFolderError, match="GiB needed for the stacks"):
        check_scratch_for(_particles(tmp_path, "a.mrcs"), None, tmp_path / "scratch")


def test_images_that_cannot_be_read_leave_no_file(tmp_path):
    particles, scratch = _particles(tmp_path, "a.mrcs"), tmp_path / "scratch"
    reader = StackReader(particles, pixel_size=COARSE)
    whole = (tmp_path / "a.mrcs").read_bytes()
    (tmp_path / "a.mrcs").write_bytes(whole[:-500])
    with pytest.raises(StackError, match="truncated since it was opened"):
        reader._use_scratch(scratch)
    assert not any(scratch.iterdir())
