"""Reader of particle images: checks stacks, prefetches, mends pixels, resamples, uses scratch."""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np

from napari_ini3d._types import BoolArray, Float32, Int32, IntArray, UInt32
from napari_ini3d.io.images.checksums import ChangedImagesError, ImageGuard
from napari_ini3d.io.images.grids import are_on_grid, choose_grid
from napari_ini3d.io.images.kept import KeptImages
from napari_ini3d.io.images.outliers import replace_outliers
from napari_ini3d.io.images.prefetch import Prefetcher
from napari_ini3d.io.images.resample import resample_images
from napari_ini3d.io.images.scratch import (
    check_scratch_images,
    copy_to_scratch,
    read_scratch_checksums,
    write_scratch_images,
)
from napari_ini3d.io.images.stack_checks import check_stacks
from napari_ini3d.io.mrc.stack import ImageStack, StackHeader, open_stack
from napari_ini3d.particles import ImageBatch, OpticsGroup, Particles

logger = logging.getLogger(__name__)

_OPEN_STACKS = 32
_POOL = "ini3d-stack-reader"
_PREREAD_BATCH = 256
_NOT_READ = -1
_RESAMPLED_BYTES = 32 * 2**20  # of images that are resampled at once by a thread


class StackReader:
    """Reader of the images of particles, with one box and pixel size.

    Images are read on demand and few stacks are open at a time, so that memory does not grow with
    the number of images beyond `keep_bytes`, unless `preread` is given. All headers are checked on
    creation. Outlier pixels (hot, dead, not finite) are replaced before anything else is done with
    an image. If some of the particles are dark and others are not, by their file, the dark ones
    are inverted.

    Parameters
    ----------
    particles : Particles
    box_size : int, optional
        Pixels per side of the images that are returned; even. Default: that of the optics groups
        if they agree, otherwise a box that covers the largest field of view at `pixel_size`.
    pixel_size : float, optional
        Å per pixel of the images that are returned. Default: the coarsest of the optics groups.
    preread : bool
        Read all images into memory first, as float32, whatever `keep_bytes` is.
    keep_bytes : float
        Of the images that are kept in memory once they were read.
    scratch : Path or str, optional
        Local folder to which the stacks, or the resampled images, are copied first.
    threads : int
        Number of threads that prefetch and resample images.
    between : callable
        Called repeatedly while images are read into memory or copied to scratch, which may take
        minutes; it may raise to cancel.
    checksums : (N,) uint32, optional
        Of the images as they were checked (`checksums` of the reader that checked them). Images
        that have become constant or not finite since are excluded from the batches; any other
        change is an error. Default: that of the first reading.
    max_excluded : float
        Largest fraction of the images that may be excluded.

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
        keep_bytes: float = 0.0,
        scratch: Path | str | None = None,
        threads: int = 1,
        between: Callable[[], object] = lambda: None,
        checksums: UInt32 | None = None,
        max_excluded: float = 0.05,
    ) -> None:
        self._guard = ImageGuard(len(particles), checksums, max_excluded)
        self._copies: dict[int, Path] = {}  # stacks that are read from scratch: the originals
        self._resampled: Path | None = None  # images on scratch
        self._particles = particles
        self._headers = check_stacks(particles)
        self._box_size, self._pixel_size = choose_grid(particles, box_size, pixel_size)
        self._paths = dict(enumerate(particles.stack_paths))
        self._prefetcher: Prefetcher[IntArray, ImageBatch] = Prefetcher(threads, _POOL)
        self._open: OrderedDict[int, ImageStack] = OrderedDict()  # those not in use
        self._lock = Lock()
        self._replaced = np.full(len(particles), _NOT_READ, np.int32)
        self._kept = KeptImages(len(particles), self._box_size, 0)
        self._flipped: BoolArray | None = None
        self._between = between
        try:
            if scratch is not None:
                self._use_scratch(Path(scratch))
            self._flipped = particles.to_invert  # images on scratch are as in the stacks
            most_bytes = np.inf if preread else keep_bytes
            self._kept = KeptImages(len(particles), self._box_size, most_bytes)
            if preread:
                self._preread()
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

    @property
    def checksums(self) -> UInt32:
        """CRC-32 of each image that was read, (N,), to recognise it when it is read again."""
        return self._guard.checksums.copy()

    def check_samples(self) -> None:
        """Read the first, a middle and the last image of every stack, and compare their checksums.

        Raises
        ------
        StackError
            If one is not the image that was checked.
        """
        order = np.lexsort((self._particles.image_index, self._particles.stack_index))
        starts = np.unique(self._particles.stack_index[order], return_index=True)[1]
        ends = np.append(starts[1:], len(order))
        samples = np.unique(np.concatenate([starts, (starts + ends) // 2, ends - 1]))
        parts = np.array_split(order[samples], -(-len(samples) // _PREREAD_BATCH))
        with closing(self.batches(parts)) as batches:
            for _ in batches:
                self._between()

    def batches(self, indices: Iterable[IntArray]) -> Generator[ImageBatch, None, None]:
        """Yield one batch per array of particle indices, in order; threads prefetch batches.

        A batch has fewer images than its array if some were excluded, and is skipped if all were.
        One that does not fit in memory comes in halves.

        `indices` advances in the caller's thread, a few batches ahead. Errors in the threads are
        raised here. Closing the generator ends their work; `close` ends the threads.

        Parameters
        ----------
        indices : iterable of (B,) int arrays
            Positions in the particles, each array in any order.
        """
        with closing(self._prefetcher.map(self.read, indices)) as ahead:
            for index, read in ahead:
                yield from self._in_parts(index, read)

    def _in_parts(self, index: IntArray, read: Callable[[], ImageBatch]) -> Iterator[ImageBatch]:
        """Yield a batch, in halves if it does not fit in memory, unless all of it is excluded."""
        try:
            batch = read()
        except MemoryError:
            if len(index) < 2:
                raise
            logger.warning("out of memory reading %d images at once; reading halves", len(index))
            for half in np.array_split(index, 2):
                yield from self._in_parts(half, partial(self.read, half))
            return
        if len(batch.index) or not len(index):
            yield batch

    def read(self, index: IntArray) -> ImageBatch:
        """Read the images at particle indices, in that order, without those that are excluded."""
        index = np.asarray(index, dtype=np.int64)
        images = np.empty((len(index), self._box_size, self._box_size), dtype=np.float32)
        missing = self._kept.load(index, images)
        if missing.size:
            self._read_stacks(index, missing, images)
            self._kept.store(index[missing], images[missing])
        usable = self._guard.is_usable(index)
        return (
            ImageBatch(index, images) if usable.all() else ImageBatch(index[usable], images[usable])
        )

    def _read_stacks(self, index: IntArray, positions: IntArray, images: Float32) -> None:
        """Read those of the images at particle indices that are at some positions."""
        particles, mine = self._particles, index[positions]
        stacks, groups = particles.stack_index[mine], particles.optics_index[mine]
        order = np.lexsort((particles.image_index[mine], groups, stacks))
        changes = np.flatnonzero(np.diff(stacks[order]) | np.diff(groups[order])) + 1
        for part in np.split(order, changes):
            if len(part):
                which = int(stacks[part[0]]), int(groups[part[0]])
                self._read_positions(which, index, positions[part], images)
        if self._flipped is not None:
            images[positions[self._flipped[mine]]] *= -1

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
        number = stack_and_group[0]
        with self._in_use(number) as stack:
            if target is not None and self._is_common(group):
                stack.read(numbers, images[target])
                self._verify(number, images[target], index[target])
                self._mend(images[target], index[target])
                return
            at_once = max(1, _RESAMPLED_BYTES // (4 * group.box_size**2))
            shape = (min(at_once, len(numbers)), group.box_size, group.box_size)
            raw = np.empty(shape, dtype=np.float32)
            for start in range(0, len(numbers), at_once):
                some = raw[: len(numbers) - start]
                part = slice(start, start + len(some))
                stack.read(numbers[part], some)
                self._verify(number, some, index[positions[part]])
                self._mend(some, index[positions[part]])
                images[positions[part]] = resample_images(
                    some, group.pixel_size, self._pixel_size, self._box_size
                )

    def _verify(self, stack: int, images: Float32, index: IntArray) -> None:
        """Compare images as read with their checksums; those of a bad copy are read again."""
        changed = self._guard.changed(images, index)
        if not changed.size:
            return
        numbers = self._particles.image_index[index[changed]]
        if stack in self._copies:
            self._discard_copy(stack)
            again = np.empty((len(changed), *images.shape[1:]), np.float32)
            with self._in_use(stack) as original:
                for i, number in enumerate(numbers.tolist()):
                    original.read(np.array([number]), again[i : i + 1])
            images[changed] = again
            self._verify(stack, images, index)
            return
        path = self._particles.stack_paths[stack]
        if path == self._resampled:
            path.unlink(missing_ok=True)
            raise ChangedImagesError(
                f"{path}: the copies of images were damaged, and are deleted; resume the run to "
                "make them again"
            )
        names = [f"{number + 1}@{path}" for number in numbers.tolist()]
        self._guard.exclude(images[changed], index[changed], names)

    def _discard_copy(self, stack: int) -> None:
        """Read a stack from its original place, because its scratch copy is damaged."""
        with self._lock:
            original = self._copies.pop(stack, None)
            if original is None:
                return
            copy, self._paths[stack] = self._paths[stack], original
            opened = self._open.pop(stack, None)
        if opened is not None:
            opened.close()
        copy.unlink(missing_ok=True)
        logger.warning("%s is damaged and deleted; %s is read instead", copy, original)

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
            opened = open_stack(self._paths[stack], self._headers[stack])
        try:
            yield opened
        finally:
            with self._lock:
                surplus: ImageStack | None = opened
                if opened.path == self._paths[stack]:  # or a copy that was found damaged
                    surplus = self._open.pop(stack, None)
                    self._open[stack] = opened
                    if surplus is None and len(self._open) > _OPEN_STACKS:
                        surplus = self._open.popitem(last=False)[1]
            if surplus is not None:
                surplus.close()

    def _preread(self) -> None:
        logger.info("reading %d images into memory", len(self))
        deque(self._all_images(), maxlen=0)  # they are kept
        self.close()

    def _all_images(self) -> Iterator[ImageBatch]:
        parts = np.array_split(np.arange(len(self)), -(-len(self) // _PREREAD_BATCH))
        with closing(self.batches(parts)) as batches:
            for batch in batches:
                yield batch
                self._between()

    def _use_scratch(self, folder: Path) -> None:
        """Copy the stacks, or write the resampled images to one file, and read from there."""
        used = list(self._headers)
        if are_on_grid(self._particles, self._box_size, self._pixel_size):
            stacks = [self._paths[stack] for stack in used]
            copies = copy_to_scratch(stacks, folder, between=self._between)
            self._paths.update(zip(used, copies, strict=True))
            self._copies = dict(zip(used, stacks, strict=True))
            return
        n, size = self._box_size, self._pixel_size
        path = check_scratch_images(self._particles, n, size, folder)
        if not path.is_file():
            logger.info("writing %d images of %d pixels to %s", len(self), n, folder)
            write_scratch_images(path, self._all_images(), len(self))
            self.close()
        self._guard = ImageGuard(len(self), read_scratch_checksums(path, len(self)), 0.0)
        self._resampled = path
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
        """End the threads and close the open stacks; reading starts and opens them again."""
        self._prefetcher.close()
        while self._open:
            self._open.popitem()[1].close()


def _as_slice(positions: IntArray) -> slice | None:
    """Return consecutive ascending indices as a slice; None if they are not."""
    first, last = int(positions[0]), int(positions[-1])
    ascending = last - first == len(positions) - 1 and bool((np.diff(positions) == 1).all())
    return slice(first, last + 1) if ascending else None
