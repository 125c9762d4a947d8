import dataclasses
import threading
import time

import numpy as np
import pytest
from mrc_files import mrc_bytes, particle_rows, star_text, write_particles, write_stack

from napari_ini3d.errors import RunFolderError, StackError
from napari_ini3d.io.images import kept, reader as stacks_module
from napari_ini3d.io.images.reader import StackReader
from napari_ini3d.io.images.reading_threads import reading_threads
from napari_ini3d.io.images.resample import resample_images
from napari_ini3d.io.star.particles import read_particles

RNG = np.random.default_rng(3)
IMAGES = RNG.integers(-90, 90, size=(7, 16, 16))


def _particles(folder, images=IMAGES, **options):
    write_stack(folder / "stack.mrcs", images, **options)
    path = folder / "p.star"
    path.write_text(star_text(particle_rows(len(images))))
    return read_particles(path)[0]


def _two_grids(folder, box=32, pixel=1.0):
    """Seven particles with 16 pixels of 2 Å, and seven with another box and pixel size."""
    write_stack(folder / "a.mrcs", IMAGES)
    write_stack(folder / "b.mrcs", RNG.normal(size=(7, box, box)))
    optics = ["1 a 300 2.7 0.1 2.0 16 2", f"2 b 300 2.7 0.1 {pixel} {box} 2"]
    rows = [*particle_rows(7, "a.mrcs"), *particle_rows(7, "b.mrcs", group=2)]
    (folder / "p.star").write_text(star_text(rows, optics=optics))
    return read_particles(folder / "p.star")[0]


def _reader_threads():
    return [t for t in threading.enumerate() if t.name.startswith("ini3d-stack-reader")]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["i1", "i2", "f4", "u2", "f2"])
def test_every_mode_and_byte_order_gives_the_same_numbers(tmp_path, dtype, order):
    images = np.abs(IMAGES) if dtype == "u2" else IMAGES
    reader = StackReader(_particles(tmp_path, images, dtype=dtype, order=order, extended=96))
    batch = reader.read(np.arange(7))
    assert batch.images.dtype == np.float32
    np.testing.assert_array_equal(batch.images, images)
    assert (reader.box_size, reader.pixel_size) == (16, 2.0)


def test_batches_keep_the_requested_order(tmp_path):
    for name in "xyz":
        write_stack(tmp_path / f"{name}.mrcs", IMAGES + ord(name))
    rows = [row for name in "zxy" for row in particle_rows(7, f"{name}.mrcs")]
    (tmp_path / "p.star").write_text(star_text(rows))
    reader = StackReader(read_particles(tmp_path / "p.star")[0])
    truth = np.concatenate([IMAGES + ord(name) for name in "zxy"])
    wanted = [RNG.permutation(21), np.array([20, 0, 0, 13]), np.array([], dtype=int)]
    for index, batch in zip(wanted, reader.batches(wanted), strict=True):
        np.testing.assert_array_equal(batch.index, index)
        np.testing.assert_array_equal(batch.images, truth[index])


def test_few_stacks_are_open_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(stacks_module, "_OPEN_STACKS", 2)
    rows = []
    for n in range(6):
        write_stack(tmp_path / f"{n}.mrcs", IMAGES[:1] + n)
        rows += particle_rows(1, f"{n}.mrcs")
    (tmp_path / "p.star").write_text(star_text(rows))
    reader = StackReader(read_particles(tmp_path / "p.star")[0])
    for _ in range(2):
        images = reader.read(np.arange(6)).images
        np.testing.assert_array_equal(images, IMAGES[0] + np.arange(6)[:, None, None])
        assert len(reader._open) == 2


def test_preread_images_do_not_need_the_files(tmp_path):
    reader = StackReader(_particles(tmp_path), preread=True)
    (tmp_path / "stack.mrcs").unlink()
    np.testing.assert_array_equal(reader.read(np.array([5, 2])).images, IMAGES[[5, 2]])


@pytest.mark.parametrize("room", [0, 3, 7])
def test_images_for_which_there_is_room_are_read_once(tmp_path, monkeypatch, room):
    particles = _particles(tmp_path)
    reader = StackReader(particles, keep_bytes=room * 4 * IMAGES[0].size + 1)
    read, asked = stacks_module.ImageStack.read, []

    def count(stack, numbers, out):
        asked.extend(numbers.tolist())
        return read(stack, numbers, out)

    monkeypatch.setattr(stacks_module.ImageStack, "read", count)
    for index in (np.array([6, 1]), np.arange(7), np.array([2, 0, 5])):
        np.testing.assert_array_equal(reader.read(index).images, IMAGES[index])
    for image in range(7):
        visits = (image in (6, 1)) + 1 + (image in (2, 0, 5))
        assert asked.count(image) == (1 if image < room else visits)


def test_a_kept_image_does_not_change_with_the_batch_it_was_read_in(tmp_path):
    reader = StackReader(_particles(tmp_path), keep_bytes=np.inf)
    reader.read(np.arange(7)).images[:] = 0
    np.testing.assert_array_equal(reader.read(np.arange(7)).images, IMAGES)


def test_dark_images_are_inverted_once_also_when_they_are_kept_and_on_scratch(tmp_path):
    dark = dataclasses.replace(_particles(tmp_path), is_dark=np.arange(7) < 2, mixed_contrast=True)
    expected = np.where((np.arange(7) < 2)[:, None, None], -IMAGES, IMAGES)
    for options in ({}, {"keep_bytes": np.inf}, {"keep_bytes": np.inf, "scratch": tmp_path / "s"}):
        reader = StackReader(dark, **options)
        for _ in range(2):
            np.testing.assert_array_equal(reader.read(np.arange(7)).images, expected)


def test_images_are_read_again_where_memory_is_short(monkeypatch):
    images, index = np.ones((2, 16, 16), np.float32), np.array([0, 1])
    full = kept.KeptImages(2, 16, np.inf)
    with monkeypatch.context() as patch:
        patch.setattr(kept.np, "empty", lambda *a: (_ for _ in ()).throw(MemoryError))
        full.store(index, images)
    assert full.load(index, images).tolist() == [0, 1]
    full.store(index, images)  # not tried again
    assert full.load(index, images).tolist() == [0, 1]


def test_scratch_copies_only_what_is_missing_or_changed(tmp_path):
    particles = _particles(tmp_path)
    scratch = tmp_path / "scratch" / "deep"
    StackReader(particles, scratch=scratch)
    (copy,) = scratch.iterdir()
    first = copy.stat().st_ino
    StackReader(particles, scratch=scratch)
    assert copy.stat().st_ino == first
    write_stack(tmp_path / "stack.mrcs", IMAGES + 1, extended=80)
    reader = StackReader(particles, scratch=scratch)
    assert copy.stat().st_ino != first
    (tmp_path / "stack.mrcs").unlink()
    np.testing.assert_array_equal(reader.read(np.arange(7)).images, IMAGES + 1)


def test_a_full_scratch_disk_is_refused_with_both_numbers(tmp_path, monkeypatch):
    particles = _particles(tmp_path)
    usage = type("Usage", (), {"free": 0})
    monkeypatch.setattr("napari_ini3d.io.images.scratch.shutil.disk_usage", lambda _: usage)
    with pytest.raises(RunFolderError, match=r"0\.00 GiB needed.*0\.00 GiB free"):
        StackReader(particles, scratch=tmp_path / "scratch")
    assert not (tmp_path / "scratch").exists()


def test_a_file_instead_of_the_scratch_folder_is_refused(tmp_path):
    (tmp_path / "scratch").touch()
    with pytest.raises(RunFolderError, match="scratch is a file; give a folder"):
        StackReader(_particles(tmp_path), scratch=tmp_path / "scratch")


def test_a_scratch_folder_without_permission_is_refused(tmp_path, monkeypatch):
    particles = _particles(tmp_path)
    monkeypatch.setattr("napari_ini3d.io.images.scratch.os.access", lambda path, mode: False)
    with pytest.raises(RunFolderError, match=f"no permission to write in {tmp_path}"):
        StackReader(particles, scratch=tmp_path / "scratch")


def test_errors_while_reading_reach_the_consumer(tmp_path):
    reader = StackReader(_particles(tmp_path))
    with pytest.raises(IndexError):
        list(reader.batches([np.array([0]), np.array([99])]))
    (tmp_path / "stack.mrcs").unlink()
    with pytest.raises(StackError, match="moved during the run"):
        list(StackReader.batches(_closed(reader), [np.array([0])]))
    reader.close()
    assert not _reader_threads()


def _closed(reader):
    reader.close()
    return reader


def test_closing_the_batches_ends_the_work_and_closing_the_reader_the_thread(tmp_path):
    reader = StackReader(_particles(tmp_path))
    batches = reader.batches(np.array([i % 7]) for i in range(10**9))
    next(batches)
    assert _reader_threads()
    start = time.perf_counter()
    batches.close()
    assert time.perf_counter() - start < 1
    reader.close()
    assert not _reader_threads()


def test_the_thread_is_kept_from_one_call_to_the_next(tmp_path):
    reader = StackReader(_particles(tmp_path))
    list(reader.batches([np.array([0])]))
    (first,) = _reader_threads()
    list(reader.batches([np.array([1])]))
    assert _reader_threads() == [first]
    reader.close()


def test_a_closed_reader_reads_again(tmp_path):
    reader = StackReader(_particles(tmp_path))
    list(reader.batches([np.array([0])]))
    reader.close()
    (batch,) = reader.batches([np.array([1])])
    np.testing.assert_array_equal(batch.images, IMAGES[1:2])
    reader.close()


def test_as_many_batches_are_prefetched_as_there_are_threads_and_one_more(tmp_path):
    requested = []
    reader = StackReader(_particles(tmp_path), threads=2)
    batches = reader.batches(requested.append(i) or np.array([i % 7]) for i in range(100))
    next(batches)
    assert len(requested) == 4  # the one that was returned, and three ahead
    batches.close()


@pytest.mark.parametrize("threads", [1, 3])
def test_batches_of_several_threads_are_in_order(tmp_path, monkeypatch, threads):
    monkeypatch.setattr(stacks_module, "_OPEN_STACKS", 2)
    rows = []
    for n in range(5):
        write_stack(tmp_path / f"{n}.mrcs", IMAGES + n)
        rows += particle_rows(7, f"{n}.mrcs")
    (tmp_path / "p.star").write_text(star_text(rows))
    reader = StackReader(read_particles(tmp_path / "p.star")[0], threads=threads)
    truth = np.concatenate([IMAGES + n for n in range(5)])
    wanted = [np.sort(RNG.permutation(35)[:9]) for _ in range(60)]
    for index, batch in zip(wanted, reader.batches(wanted), strict=True):
        np.testing.assert_array_equal(batch.index, index)
        np.testing.assert_array_equal(batch.images, truth[index])
    assert len(reader._open) == 2
    reader.close()
    assert not reader._open


@pytest.mark.parametrize(("computing", "reading"), [(1, 1), (2, 1), (4, 2), (16, 4), (128, 4)])
def test_one_thread_reads_for_about_four_that_compute(computing, reading):
    assert reading_threads(computing) == reading


@pytest.mark.parametrize(("computing", "reading"), [(1, 1), (2, 2), (4, 4), (16, 8)])
def test_as_many_threads_resample_as_compute_up_to_eight(computing, reading):
    assert reading_threads(computing, shared=False) == reading


def test_images_are_resampled_to_the_coarsest_pixel_size(tmp_path):
    reader = StackReader(_two_grids(tmp_path))
    assert (reader.box_size, reader.pixel_size) == (16, 2.0)
    images = reader.read(np.array([8, 3])).images
    raw = np.fromfile(tmp_path / "b.mrcs", np.float32, offset=1024).reshape(7, 32, 32)
    expected, found = (np.fft.fft2(image) for image in (_fourier_crop(raw[1], 16), images[0]))
    inside = np.arange(16) != 8  # without the Nyquist frequency, where the conventions differ
    np.testing.assert_allclose(
        found[np.ix_(inside, inside)], expected[np.ix_(inside, inside)], atol=1e-4
    )
    np.testing.assert_array_equal(images[1], IMAGES[3])


def test_the_box_covers_the_largest_field_of_view(tmp_path):
    reader = StackReader(_two_grids(tmp_path, box=48, pixel=1.5))
    assert (reader.box_size, reader.pixel_size) == (36, 2.0)
    images = reader.read(np.array([3])).images
    np.testing.assert_allclose(images[0, 10:26, 10:26], IMAGES[3], rtol=0, atol=2e-4)


def test_a_coarser_grid_or_a_smaller_box_can_be_requested(tmp_path):
    reader = StackReader(_particles(tmp_path), pixel_size=4.0)
    assert (reader.box_size, reader.pixel_size) == (8, 4.0)
    assert StackReader(_particles(tmp_path), box_size=12).read(np.arange(2)).images.shape == (
        2,
        12,
        12,
    )


def _fourier_crop(image, size):
    """Crop the centred transform, with the Nyquist term of the smaller grid once."""
    n = len(image)
    ft = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image)))
    low = n // 2 - size // 2
    cut = ft[low : low + size, low : low + size]
    return np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(cut))).real * (size / n) ** 2


def test_resampling_by_two_is_fourier_cropping():
    n = 32
    y, x = np.indices((n, n)) - n // 2
    image = np.exp(-((x - 2) ** 2 + (y + 3) ** 2) / 18) * np.cos(x * 0.9)
    resampled = resample_images(image[None].astype(np.float32), 1.5, 3.0, 16)[0]
    np.testing.assert_allclose(resampled, _fourier_crop(image, 16), atol=2e-5)


@pytest.mark.parametrize(("new_pixel", "box"), [(1.7, 36), (1.31, 40), (0.8, 64), (2.0, 24)])
def test_a_band_limited_object_keeps_its_shape_and_centre(new_pixel, box):
    def gaussian(n, pixel):
        y, x = (np.indices((n, n)) - n // 2) * pixel
        return 5 + np.exp(-((x - 4) ** 2 + (y + 3) ** 2) / 2 / 6**2)

    image = gaussian(48, 1.3)[None].astype(np.float32)
    resampled = resample_images(image, 1.3, new_pixel, box)[0]
    inner = slice(box // 4, -(box // 4))
    np.testing.assert_allclose(
        resampled[inner, inner], gaussian(box, new_pixel)[inner, inner], atol=2e-3
    )


def test_padding_is_the_mean_of_the_edge():
    image = np.full((1, 8, 8), 3.0, np.float32)
    image[0, 3:5, 3:5] = 9
    padded = resample_images(image, 2.0, 2.0, 12)[0]
    expected = np.full((12, 12), 3.0)
    expected[5:7, 5:7] = 9
    np.testing.assert_allclose(padded, expected, atol=1e-5)


BAD = {
    "truncated": (mrc_bytes(IMAGES)[:-1], "truncated.*7 images, 6 are complete"),
    "header cut": (mrc_bytes(IMAGES)[:500], "500 bytes, shorter than the 1024"),
    "too few images": (mrc_bytes(IMAGES[:4]), "refers to image 7, but the stack has 4"),
    "wrong box": (
        mrc_bytes(np.zeros((7, 18, 18))),
        "18 pixels, but rlnImageSize of optics group 1 is 16",
    ),
    "not square": (mrc_bytes(np.zeros((7, 16, 18))), "18 x 16 pixels; expected square"),
    "complex": (mrc_bytes(IMAGES, mode=4), "MRC mode 4, complex.*expected 0, 1, 2, 6 or 12"),
    "not MRC": (b"\x89PNG" * 400, "this is a PNG file; give an MRC stack"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_stack_is_refused_with_the_reason(tmp_path, name):
    content, reason = BAD[name]
    path = write_particles(tmp_path, IMAGES)
    (tmp_path / "stack.mrcs").write_bytes(content)
    with pytest.raises(StackError, match=reason) as error:
        StackReader(read_particles(path)[0])
    assert "stack.mrcs" in str(error.value)


def test_an_odd_box_is_refused(tmp_path):
    write_stack(tmp_path / "stack.mrcs", np.zeros((2, 15, 15)))
    text = star_text(particle_rows(2), optics=["1 a 300 2.7 0.1 2.0 15 2"])
    (tmp_path / "p.star").write_text(text)
    with pytest.raises(StackError, match=r"odd box of 15.*box of 16"):
        StackReader(read_particles(tmp_path / "p.star")[0])
    with pytest.raises(StackError, match="box size 7"):
        StackReader(_particles(tmp_path), box_size=7)


def test_a_stack_longer_than_its_header_is_read(tmp_path):
    particles = _particles(tmp_path)
    with open(tmp_path / "stack.mrcs", "ab") as file:
        file.write(b"rest")
    np.testing.assert_array_equal(StackReader(particles).read(np.arange(7)).images, IMAGES)


@pytest.mark.parametrize("pixel_size", [None, 4.0])
@pytest.mark.parametrize("preread", [False, True])
def test_outlier_pixels_are_replaced_before_resampling_and_counted(tmp_path, pixel_size, preread):
    images = np.random.default_rng(5).normal(size=(7, 16, 16)).astype(np.float32)
    clean = _particles(tmp_path / "clean", images)
    images[2, 8, 8] = np.nan
    images[5, 3, 4:6] = 1e20
    damaged = _particles(tmp_path / "damaged", images)
    reader = StackReader(damaged, pixel_size=pixel_size, preread=preread, threads=2)
    wanted = StackReader(clean, pixel_size=pixel_size).read(np.arange(7)).images
    for index in (np.arange(7), np.array([5, 2, 0])):  # known on the second reading
        found = reader.read(index).images
        assert abs(found - wanted[index]).max() < 4
        untouched = ~np.isin(index, (2, 5))
        assert np.array_equal(found[untouched], wanted[index][untouched])
    assert reader.replaced_pixels.tolist() == [0, 0, 1, 0, 0, 2, 0]


def test_a_batch_that_does_not_fit_in_memory_comes_in_halves(tmp_path, monkeypatch, caplog):
    write_stack(tmp_path / "x.mrcs", IMAGES)
    (tmp_path / "p.star").write_text(star_text(particle_rows(7, "x.mrcs")))
    reader = StackReader(read_particles(tmp_path / "p.star")[0])
    read = reader.read

    def short_of_memory(index):
        if len(index) > 2:
            raise MemoryError
        return read(index)

    monkeypatch.setattr(reader, "read", short_of_memory)
    batches = list(reader.batches([np.arange(7)]))
    assert np.concatenate([batch.index for batch in batches]).tolist() == list(range(7))
    assert max(len(batch.index) for batch in batches) == 2
    assert "out of memory reading 7 images at once; reading halves" in caplog.text
    monkeypatch.setattr(reader, "read", lambda index: (_ for _ in ()).throw(MemoryError))
    with pytest.raises(MemoryError):
        list(reader.batches([np.arange(7)]))
