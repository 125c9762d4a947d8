"""Stacks and copies that change after the images were checked."""

import numpy as np
import pytest
from mrc_files import particle_rows, star_text, write_stack

from napari_ini3d.errors import StackError
from napari_ini3d.io.images.reader import StackReader
from napari_ini3d.io.star.particles import read_particles

RNG = np.random.default_rng(8)
IMAGES = RNG.normal(size=(20, 16, 16)).astype(np.float32)


@pytest.fixture
def particles(tmp_path):
    write_stack(tmp_path / "a.mrcs", IMAGES)
    (tmp_path / "p.star").write_text(star_text(particle_rows(20, "a.mrcs")))
    return read_particles(tmp_path / "p.star")[0]


@pytest.fixture
def checksums(particles):
    reader = StackReader(particles)
    reader.read(np.arange(20))
    return reader.checksums


def change(path, images):
    """Write other samples in place, as another program or a bad disk would."""
    with path.open("r+b") as file:
        for number, image in images.items():
            file.seek(1024 + number * 4 * 256)
            file.write(np.asarray(image, np.float32).tobytes())


SPOILT = {
    "zeroed": np.zeros((16, 16)),
    "not finite": np.full((16, 16), np.nan),
    "one pixel not finite": np.where(np.arange(256).reshape(16, 16) == 70, np.inf, IMAGES[3]),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_an_image_that_became_unusable_is_left_out_and_said(
    tmp_path, particles, checksums, kind, caplog
):
    reader = StackReader(particles, checksums=checksums)
    change(tmp_path / "a.mrcs", {3: SPOILT[kind]})
    (batch,) = reader.batches([np.arange(20)])
    assert batch.index.tolist() == [i for i in range(20) if i != 3]
    np.testing.assert_array_equal(batch.images, IMAGES[batch.index])
    assert list(reader.batches([np.array([3])])) == []
    assert caplog.text.count("4@") == 1
    assert "a.mrcs has become constant or not finite" in caplog.text


def test_images_that_were_never_checked_are_all_read(tmp_path, particles):
    change(tmp_path / "a.mrcs", {3: SPOILT["zeroed"]})
    assert len(StackReader(particles).read(np.arange(20)).index) == 20


def test_another_image_in_place_of_one_that_was_checked_is_refused(tmp_path, particles, checksums):
    reader = StackReader(particles, checksums=checksums)
    change(tmp_path / "a.mrcs", {7: IMAGES[8]})
    with pytest.raises(StackError, match=r"8@.*a\.mrcs is not the image that was checked"):
        list(reader.batches([np.arange(20)]))


def test_a_stack_of_the_same_size_is_recognised_by_samples(tmp_path, particles, checksums):
    write_stack(tmp_path / "a.mrcs", IMAGES + 1)
    reader = StackReader(particles, checksums=checksums)
    with pytest.raises(StackError, match=r"restore the stack, then resume"):
        reader.check_samples()


def test_a_stack_that_is_restored_is_accepted(tmp_path, particles, checksums):
    write_stack(tmp_path / "a.mrcs", IMAGES + 1)
    write_stack(tmp_path / "a.mrcs", IMAGES)
    StackReader(particles, checksums=checksums).check_samples()


def test_no_more_images_are_left_out_than_may_be_excluded(tmp_path, particles, checksums):
    change(tmp_path / "a.mrcs", dict.fromkeys((3, 4, 5), SPOILT["zeroed"]))
    reader = StackReader(particles, checksums=checksums, max_excluded=0.1)
    with pytest.raises(StackError, match=r"15\.0% of all images; at most 10\.0% may be excluded"):
        list(reader.batches([np.arange(20)]))


def test_images_in_memory_are_without_those_that_became_unusable(tmp_path, particles, checksums):
    change(tmp_path / "a.mrcs", {3: SPOILT["zeroed"]})
    reader = StackReader(particles, checksums=checksums, preread=True)
    assert 3 not in reader.read(np.arange(20)).index


def test_a_damaged_copy_of_a_stack_is_replaced_by_the_original(
    tmp_path, particles, checksums, caplog
):
    def reader():
        return StackReader(particles, checksums=checksums, scratch=tmp_path / "scratch")

    first = reader()
    (copy,) = (tmp_path / "scratch").iterdir()
    change(copy, {5: np.zeros((16, 16)), 6: IMAGES[0]})
    for _ in range(2):
        np.testing.assert_array_equal(first.read(np.arange(20)).images, IMAGES)
    assert "is damaged and deleted" in caplog.text
    assert not copy.exists()
    np.testing.assert_array_equal(reader().read(np.arange(20)).images, IMAGES)
    assert copy.exists()


@pytest.mark.parametrize("cut", [False, True])
def test_damaged_copies_of_resampled_images_are_made_again(tmp_path, particles, checksums, cut):
    def reader():
        return StackReader(
            particles, checksums=checksums, pixel_size=3.0, scratch=tmp_path / "scratch"
        )

    expected = reader().read(np.arange(20)).images
    (copy,) = (tmp_path / "scratch").iterdir()
    text = copy.read_bytes()
    copy.write_bytes(text[:-8] if cut else b"\0" * 99 + text[99:])
    if not cut:
        with pytest.raises(StackError, match="were damaged, and are deleted; resume the run"):
            reader().read(np.arange(20))
    np.testing.assert_array_equal(reader().read(np.arange(20)).images, expected)


def test_the_part_of_a_copy_that_a_killed_process_left_is_removed(tmp_path, particles):
    from napari_ini3d.io.processes import machine_identity

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    part = scratch / f".0123_a.{machine_identity()[:8]}-99999999-0.tmp.mrcs"
    part.write_bytes(b"x" * 100)
    StackReader(particles, scratch=scratch)
    assert not part.exists()
