"""Reader of particle images: checks stacks, prefetches, mends pixels, resamples, uses scratch."""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock

import numpy as np

from napari_ini3d._types import Float32, Int32, IntArray
from napari_ini3d.errors import StackError
from napari_ini3d.io.images.outliers import replace_outliers
from napari_ini3d.io.images.resample import common_grid, resample_images
from napari_ini3d.io.images.scratch import (
    check_scratch,
    check_scratch_images,
    copy_to_scratch,
    write_scratch_images,
)
from napari_ini3d.io.images.stack_checks import check_stacks
from napari_ini3d.io.mrc.stack import ImageStack, StackHeader
from napari_ini3d.kernels import available_threads
from napari_ini3d.particles import ImageBatch, OpticsGroup, Particles

logger = logging.getLogger(__name__)

_OPEN_STACKS = 32
_BATCHES_AHEAD = 1  # prefetched batches beyond one per thread
_PREREAD_BATCH = 256
_MAX_READERS = 4  # threads; more do not speed up a disk
_MAX_RESAMPLING_READERS = 8  # threads that also resample
_NOT_READ = -1
_RESAMPLED_BYTES = 32 * 2**20  # of images that are resampled at once by a thread


class StackReader:
    """Reader of the images of particles, with one box and pixel size.

    Images are read on demand and few stacks are open at a time, so that memory does not grow with
    the number of images unless `preread` is given. All headers are checked on creation. Outlier
    pixels (hot, dead, not finite) are replaced before anything else is done with an image.

    Parameters
    ----------
    particles : Particles
    box_size : int, optional
        Pixels per side of the images that are returned; even. Default: that of the optics groups
        if they agree, otherwise a box that covers the largest field of view at `pixel_size`.
    pixel_size : float, optional
        Å per pixel of the images that are returned. Default: the coarsest of the optics groups.
    preread : bool
        Read all images into memory, as float32.
    scratch : Path or str, optional
        Local folder to which the stacks, or the resampled images, are copied first.
    threads : int
        Number of threads that prefetch and resample images.
    between : callable
        Called repeatedly while images are read into memory or copied to scratch, which may take
        minutes; it may raise to cancel.

    Raises
    ------
    StackError
        If a stack is missing or truncated, its images are not square, have an odd box or another
        box than their optics group, or it has fewer images than the particles refer to.
    RunFolderError
        If the scratch folder cannot be written or is too small.
    """

    def __init__(
        self,
        particles: Particles,
        *,
        box_size: int | None = None,
        pixel_size: float | None = None,
        preread: bool = False,
        scratch: Path | str | None = None,
        threads: int = 1,
        between: Callable[[], object] = lambda: None,
    ) -> None:
        self._particles = particles
        self._headers = check_stacks(particles)
        self._box_size, self._pixel_size = _choose_grid(particles, box_size, pixel_size)
        self._paths = dict(enumerate(particles.stack_paths))
        self._threads = threads
        self._open: OrderedDict[int, ImageStack] = OrderedDict()  # those not in use
        self._lock = Lock()
        self._replaced = np.full(len(particles), _NOT_READ, np.int32)
        self._images: Float32 | None = None
        self._between = between
        try:
            if scratch is not None:
                self._use_scratch(Path(scratch))
            if preread:
                self._images = self._preread()
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._particles)

    @property
    def box_size(self) -> int:
        """Pixels per side of every image."""
        return self._box_size

    @property
    def pixel_size(self) -> float:
        """Å per pixel of every image."""
        return self._pixel_size

    @property
    def replaced_pixels(self) -> Int32:
        """Number of outlier pixels that were replaced in each image, (N,); 0 if it was not read."""
        return np.maximum(self._replaced, 0)

    def batches(self, indices: Iterable[IntArray]) -> Generator[ImageBatch, None, None]:
        """Yield one batch per array of particle indices, in order; threads prefetch batches.

        `indices` advances in the caller's thread, a few batches ahead. Errors in the threads are
        raised here. Closing the generator ends the threads.

        Parameters
        ----------
        indices : iterable of (B,) int arrays
            Positions in the particles, each array in any order.
        """
        ahead: deque[Future[ImageBatch]] = deque()
        executor = ThreadPoolExecutor(self._threads, thread_name_prefix="ini3d-stack-reader")
        try:
            for index in indices:
                ahead.append(executor.submit(self.read, index))
                if len(ahead) > self._threads + _BATCHES_AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            executor.shutdown(wait=True, cancel_futures=True)

    def read(self, index: IntArray) -> ImageBatch:
        """Read the images at particle indices, in that order; safe in several threads."""
        index = np.asarray(index, dtype=np.int64)
        if self._images is not None:
            return ImageBatch(index, self._images[index])
        images = np.empty((len(index), self._box_size, self._box_size), dtype=np.float32)
        particles = self._particles
        stacks, numbers = particles.stack_index[index], particles.image_index[index]
        groups = particles.optics_index[index]
        order = np.lexsort((numbers, groups, stacks))
        changes = np.flatnonzero(np.diff(stacks[order]) | np.diff(groups[order])) + 1
        for positions in np.split(order, changes):
            if len(positions):
                first = positions[0]
                which = int(stacks[first]), int(groups[first])
                self._read_positions(which, index, positions, images)
        return ImageBatch(index, images)

    def _read_positions(
        self,
        stack_and_group: tuple[int, int],
        index: IntArray,
        positions: IntArray,
        images: Float32,
    ) -> None:
        """Read those images that are in one stack and optics group, resampled to the common grid.

        Parameters
        ----------
        stack_and_group : (int, int)
        index : (B,) int64
            Of all particles that are read.
        positions : (M,) int64
            In `index`, of those in this stack and group.
        images : (B, n, n) float32
            Receives the images.
        """
        group = self._particles.optics[stack_and_group[1]]
        numbers = self._particles.image_index[index[positions]]
        target = _as_slice(positions)
        with self._in_use(stack_and_group[0]) as stack:
            if target is not None and self._is_common(group):
                stack.read(numbers, images[target])
                self._mend(images[target], index[target])
                return
            at_once = max(1, _RESAMPLED_BYTES // (4 * group.box_size**2))
            shape = (min(at_once, len(numbers)), group.box_size, group.box_size)
            raw = np.empty(shape, dtype=np.float32)
            for start in range(0, len(numbers), at_once):
                some = raw[: len(numbers) - start]
                part = slice(start, start + len(some))
                stack.read(numbers[part], some)
                self._mend(some, index[positions[part]])
                images[positions[part]] = resample_images(
                    some, group.pixel_size, self._pixel_size, self._box_size
                )

    def _mend(self, images: Float32, index: IntArray) -> None:
        """Replace the outlier pixels of images as read, unless they are known to have none."""
        unclean = np.flatnonzero(self._replaced[index])
        if not unclean.size:
            return
        some = images[unclean]
        self._replaced[index[unclean]] = replace_outliers(some)
        images[unclean] = some

    def _is_common(self, group: OpticsGroup) -> bool:
        """Return whether the images of a group are on the common grid."""
        return (group.box_size, group.pixel_size) == (self._box_size, self._pixel_size)

    @contextmanager
    def _in_use(self, stack: int) -> Iterator[ImageStack]:
        """Yield an open stack for one thread; the last few that were used stay open."""
        with self._lock:
            opened = self._open.pop(stack, None)
        if opened is None:
            opened = _open_stack(self._paths[stack], self._headers[stack])
        try:
            yield opened
        finally:
            with self._lock:
                surplus = self._open.pop(stack, None)
                self._open[stack] = opened
                if surplus is None and len(self._open) > _OPEN_STACKS:
                    surplus = self._open.popitem(last=False)[1]
            if surplus is not None:
                surplus.close()

    def _preread(self) -> Float32:
        logger.info("reading %d images into memory", len(self))
        images = np.empty((len(self), self._box_size, self._box_size), dtype=np.float32)
        for batch in self._all_images():
            images[batch.index] = batch.images
        self.close()
        return images

    def _all_images(self) -> Iterator[ImageBatch]:
        parts = np.array_split(np.arange(len(self)), -(-len(self) // _PREREAD_BATCH))
        with closing(self.batches(parts)) as batches:
            for batch in batches:
                yield batch
                self._between()

    def _use_scratch(self, folder: Path) -> None:
        """Copy the stacks, or write the resampled images to one file, and read from there."""
        used = list(self._headers)
        if _are_on_grid(self._particles, self._box_size, self._pixel_size):
            stacks = [self._paths[stack] for stack in used]
            copies = copy_to_scratch(stacks, folder, between=self._between)
            self._paths.update(zip(used, copies, strict=True))
            return
        n, size = self._box_size, self._pixel_size
        path = check_scratch_images(self._particles, n, size, folder)
        if not path.is_file():
            logger.info("writing %d images of %d pixels to %s", len(self), n, folder)
            write_scratch_images(path, self._all_images())
            self.close()
        self._particles = replace(
            self._particles,
            stack_paths=(path,),
            stack_index=np.zeros(len(self), np.int32),
            image_index=np.arange(len(self), dtype=np.int32),
            optics=tuple(
                replace(group, box_size=n, pixel_size=size) for group in self._particles.optics
            ),
        )
        self._paths = {0: path}
        self._headers = {0: StackHeader(n, n, len(self), np.dtype(np.float32), 0)}

    def close(self) -> None:
        """Close the open stacks; reading opens them again."""
        while self._open:
            self._open.popitem()[1].close()


def reading_threads(threads: int, *, shared: bool = True) -> int:
    """Return the number of threads that read images.

    Parameters
    ----------
    threads : int
        Number of threads that compute; 0 means all cores.
    shared : bool
        True if reading only has to keep up with the computation: about one thread for four, at
        most four. False if images are resampled, or nothing else is computed: as many threads as
        compute, at most eight.
    """
    available = available_threads(threads)
    if shared:
        return min(_MAX_READERS, 1 + available // 4)
    return min(_MAX_RESAMPLING_READERS, available)


def _as_slice(positions: IntArray) -> slice | None:
    """Return consecutive ascending indices as a slice; None if they are not."""
    first, last = int(positions[0]), int(positions[-1])
    ascending = last - first == len(positions) - 1 and bool((np.diff(positions) == 1).all())
    return slice(first, last + 1) if ascending else None


def _open_stack(path: Path, header: StackHeader) -> ImageStack:
    try:
        return ImageStack(path, header)
    except (OSError, ValueError) as error:
        raise StackError(
            f"{path}: can no longer be read ({error}); was it moved during the run?"
        ) from error


def check_scratch_for(particles: Particles, pixel_size: float | None, folder: Path) -> None:
    """Check that a `StackReader` of this pixel size could use a scratch folder.

    Parameters
    ----------
    particles : Particles
    pixel_size : float or None
        Å, as for `StackReader`.
    folder : Path

    Raises
    ------
    RunFolderError
        If the folder cannot be written, or its disk has too little free space.
    StackError
        If a stack is missing.
    """
    grid = _choose_grid(particles, None, pixel_size)
    if _are_on_grid(particles, *grid):
        paths = particles.stack_paths
        check_scratch([paths[i] for i in np.unique(particles.stack_index)], folder)
    else:
        check_scratch_images(particles, *grid, folder)


def _grids(particles: Particles) -> list[tuple[int, float]]:
    """Return the box and pixel size of each optics group with particles."""
    used = (particles.optics[i] for i in np.unique(particles.optics_index))
    return [(group.box_size, group.pixel_size) for group in used]


def _are_on_grid(particles: Particles, box_size: int, pixel_size: float) -> bool:
    """Return whether the images of all particles are on a grid without resampling."""
    return set(_grids(particles)) == {(box_size, pixel_size)}


def _choose_grid(
    particles: Particles, box_size: int | None, pixel_size: float | None
) -> tuple[int, float]:
    grids = _grids(particles)
    if not grids:
        raise StackError("no particles were given; expected at least one")
    if pixel_size is not None:
        _check_pixel_size(pixel_size)
    common_box, common_pixel = common_grid(grids, pixel_size)
    if box_size is not None and (box_size <= 0 or box_size % 2):
        raise StackError(f"box size {box_size}; expected an even number of pixels")
    chosen = box_size or common_box, common_pixel
    if len(set(grids)) > 1:
        logger.info("optics groups differ: images resampled to %d pixels of %g Å", *chosen)
    return chosen


def _check_pixel_size(pixel_size: float) -> None:
    if not (np.isfinite(pixel_size) and pixel_size > 0):
        raise StackError(f"pixel size {pixel_size:g} Å; expected more than 0")
