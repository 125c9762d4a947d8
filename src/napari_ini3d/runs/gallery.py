"""Particles of a run beside their reprojections, and their statistics per micrograph."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, fields

import numpy as np

from napari_ini3d._types import (
    BoolArray,
    Complex64,
    Float32,
    Float64,
    FloatArray,
    IntArray,
)
from napari_ini3d.errors import RunFolderError, StackError
from napari_ini3d.fourier import FourierMap, resize_map
from napari_ini3d.geometry import count_directions, euler_to_matrix
from napari_ini3d.io import StackReader
from napari_ini3d.optics import compute_ctf, ctf_parameters
from napari_ini3d.particles import Assignments, Particles
from napari_ini3d.runs.folder import RunFolder
from napari_ini3d.runs.history import history_iterations, read_history
from napari_ini3d.runs.record import RunRecord
from napari_ini3d.runs.source_particles import read_source_particles
from napari_ini3d.runs.storage import ITERATION_KEY, load_arrays
from napari_ini3d.runs.summary import shrink

SIDE = 96
"""Maximum number of pixels per side of the images of a gallery."""

_PREFIX = "assignments."  # of the arrays of a checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class RunParticles:
    """The N particles of a run with their poses in its last iteration.

    Attributes
    ----------
    folder : RunFolder
    record : RunRecord
    iteration : int
        The last one.
    particles : Particles
        Without the excluded ones.
    assignments : Assignments
    directions : (N, 3) float64
        Viewing directions, unit vectors (x, y, z).
    micrographs : tuple of str
        Names; empty if the particle file has none.
    micrograph_index : (N,) int64
        Position in `micrographs`.
    """

    folder: RunFolder
    record: RunRecord
    iteration: int
    particles: Particles
    assignments: Assignments
    directions: Float64
    micrographs: tuple[str, ...]
    micrograph_index: IntArray

    @property
    def is_assigned(self) -> BoolArray:
        """Mask (N,) of the particles that the run has used."""
        return np.asarray(self.assignments.class_index >= 0)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self.record.settings.classes

    def select(
        self,
        class_index: int | None = None,
        direction: FloatArray | None = None,
        radius: float = 180.0,
    ) -> IntArray:
        """Return the positions of the particles of a class and of a region of the sphere.

        Parameters
        ----------
        class_index : int, optional
            From 0. Default: all classes.
        direction : (3,), optional
            Unit vector (x, y, z). Default: all directions.
        radius : float
            Of the region, degrees.
        """
        chosen = self.is_assigned
        if class_index is not None:
            chosen = chosen & (self.assignments.class_index == class_index)
        if direction is not None:
            cosines = self.directions @ np.asarray(direction)
            chosen = chosen & (cosines >= np.cos(np.deg2rad(radius)) - 1e-9)
        return np.flatnonzero(chosen)

    def view_counts(self, class_index: int | None = None, *, side: int = 8) -> Float64:
        """Return the number of particles per HEALPix pixel (12 side²,), in nested order."""
        counts = count_directions(self.directions[self.select(class_index)], side)
        return counts.astype(np.float64)

    def micrograph_table(self) -> tuple[IntArray, Float64]:
        """Return the number of particles of each micrograph, and their mean probability of junk.

        Returns
        -------
        counts : (M,) int64
            Of the particles that the run has used.
        junk : (M,) float64
            NaN for a micrograph without such particles.
        """
        used = self.is_assigned
        index, n = self.micrograph_index[used], len(self.micrographs)
        counts = np.bincount(index, minlength=n)
        sums = np.bincount(index, self.assignments.junk_probability[used], minlength=n)
        with np.errstate(invalid="ignore"):
            return counts, np.where(counts > 0, sums / counts, np.nan)


@dataclass(frozen=True, slots=True)
class GalleryImages:
    """Images of B particles and their reprojections.

    Attributes
    ----------
    images, reprojections : (B, s, s) float32
        White on black, centred on the particle; images are filtered as asked for, reprojections
        multiplied by the CTF if the run used it, by its square if the images are multiplied by it.
    correlation : (B,) float64
        Of the image without filter with the reprojection, within a circle of the mask diameter.
    pixel_size : float
        Å.
    index : (B,) int64
        Positions of these particles; those are missing whose images have become constant or not
        finite since the run was started.
    """

    images: Float32
    reprojections: Float32
    correlation: Float64
    pixel_size: float
    index: IntArray


def read_run_particles(folder: RunFolder) -> RunParticles:
    """Read the particles of a run and their poses, but no images.

    Raises
    ------
    RunFolderError
        If the run has done no iteration, its checkpoint cannot be read, or the particle file has
        changed.
    InputError
        If the particle file cannot be read.
    """
    record = folder.read_record()
    assignments, iteration = _read_assignments(folder)
    particles, table = read_source_particles(record)
    if len(particles) != len(assignments.class_index):
        raise RunFolderError(
            f"{record.particles} has {len(particles)} particles, but the run in {folder.path} has "
            f"{len(assignments.class_index)}; the file has changed; restore it"
        )
    names = table.micrographs
    micrographs: tuple[str, ...] = ()
    index = np.zeros(len(particles), np.int64)
    if names is not None:
        found, index = np.unique(names[particles.row], return_inverse=True)
        micrographs = tuple(str(name) for name in found)
    return RunParticles(
        folder=folder,
        record=record,
        iteration=iteration,
        particles=particles,
        assignments=assignments,
        directions=_matrices(assignments)[:, 2],
        micrographs=micrographs,
        micrograph_index=index,
    )


def read_gallery_images(
    run: RunParticles,
    index: IntArray,
    *,
    low_pass: float = 0.0,
    step: Callable[[], object] = lambda: None,
) -> GalleryImages:
    """Read images, and compute their reprojections from the maps of the last iteration.

    Parameters
    ----------
    run : RunParticles
    index : (B,) int
        Positions of the particles.
    low_pass : float
        Å, to which the images are filtered; 0 for not at all.
    step : callable
        Called between the steps; raises to cancel.

    Raises
    ------
    InputError
        If a stack cannot be read, or no image can be used.
    RunFolderError
        If a map cannot be read.
    """
    particles = run.particles.take(index)
    reader = StackReader(particles, pixel_size=run.record.working_pixel_size, max_excluded=1.0)
    with closing(reader):
        batch = reader.read(np.arange(len(index)))
    if len(index) and not len(batch.index):
        raise StackError(
            f"{particles.stack_paths[particles.stack_index[0]]}: none of the {len(index)} images "
            "can be used: they are constant or not finite; expected the images of the run; restore "
            "the stack"
        )
    index = np.asarray(index)[batch.index]
    chosen = run.assignments.take(index)
    step()
    most = min(batch.images.shape[-1], SIDE)
    projected, pixel_size = _reproject(run, index, most, step)  # (B, s, s/2 + 1)
    side = projected.shape[1]
    step()
    images = shrink(np.asarray(batch.images, np.float32), side)
    if run.record.settings.invert_contrast == "yes":
        images = -images
    origins = np.stack([chosen.origin_x, chosen.origin_y], axis=1) / pixel_size
    shifted = _centre_ft(images) * _shift_phases(side, origins)
    shown = shifted * _low_pass_filter(side, pixel_size, low_pass)
    reprojections = _to_images(projected)
    mask = _circle(side, (run.record.settings.mask_diameter or np.inf) / 2 / pixel_size)
    return GalleryImages(
        images=_to_images(shown),
        reprojections=reprojections,
        correlation=_correlation(_to_images(shifted)[:, mask], reprojections[:, mask]),
        pixel_size=pixel_size,
        index=index,
    )


def _read_assignments(folder: RunFolder) -> tuple[Assignments, int]:
    path = folder.checkpoint_path
    if not path.is_file():
        raise RunFolderError(
            f"{folder.path} has no checkpoint.npz: no iteration of the run is done, and its "
            "particles have no poses yet; wait for the first one, or resume the run"
        )
    names = {f"{_PREFIX}{f.name}" for f in fields(Assignments)}
    try:
        arrays = load_arrays(path, wanted=lambda name: name in names | {ITERATION_KEY})
        values = {f.name: arrays[f"{_PREFIX}{f.name}"] for f in fields(Assignments)}
        if len({value.shape for value in values.values()}) != 1 or values["rot"].ndim != 1:
            raise ValueError("its assignments differ in length")
        return Assignments(**values), int(arrays[ITERATION_KEY])
    except (OSError, ValueError, KeyError) as error:
        raise RunFolderError(
            f"{path} cannot be read ({error!r}); resume the run to write it again"
        ) from error


def _matrices(assignments: Assignments) -> Float64:
    return euler_to_matrix(assignments.rot, assignments.tilt, assignments.psi)


def _reproject(
    run: RunParticles, index: IntArray, most: int, step: Callable[[], object]
) -> tuple[Complex64, float]:
    """Return the transforms (B, s, s/2 + 1) of projections times the CTF, and the pixel size.

    The projections have at most `most` pixels per side.
    """
    matrices = _matrices(run.assignments.take(index))
    classes = run.assignments.class_index[index]
    maps, pixel_size = _read_maps(run, np.unique(classes), most)
    side = len(next(iter(maps.values())))
    ky, kx = np.meshgrid(np.fft.fftfreq(side, 1 / side), np.arange(side // 2 + 1), indexing="ij")
    inside = np.hypot(kx, ky) < side // 2 - 0.5
    points = np.stack([kx[inside], ky[inside], np.zeros(inside.sum())], axis=1)  # (P, 3)
    result = np.zeros((len(index), *kx.shape), np.complex64)
    for k, volume in maps.items():
        step()
        mine = np.flatnonzero(classes == k)
        found = FourierMap.of(volume, side // 2 - 1).read(matrices[mine], points)  # (b, P)
        rows, columns = np.nonzero(inside)
        result[mine[:, None], rows, columns] = found
    if run.record.settings.ctf:
        width = side * pixel_size
        ignored, groups = run.record.settings.ctf_ignore_first_peak, run.particles.optics_index
        for group in np.unique(groups[index]):
            mine = np.flatnonzero(groups[index] == group)
            parameters = ctf_parameters(run.particles.take(index[mine]), int(group))
            ctf = compute_ctf(parameters, kx / width, ky / width, ignore_first_peak=ignored)
            # images that are multiplied by their CTF hold CTF² times the map
            premultiplied = run.particles.optics[group].ctf_premultiplied
            result[mine] *= ctf * ctf if premultiplied else ctf
    return result, pixel_size


def _read_maps(run: RunParticles, classes: IntArray, most: int) -> tuple[dict[int, Float32], float]:
    """Return the newest maps of classes in a box of at most `most`, and their voxel size."""
    maps = {}
    size = 0.0
    for k in map(int, classes):
        iterations = history_iterations(run.folder, k)
        if not iterations:
            raise RunFolderError(
                f"{run.folder.path} has no map of class {k + 1}; choose another class"
            )
        volume, voxel_size = read_history(run.folder, iterations[-1], k)
        side = min(len(volume), most) // 2 * 2
        maps[k] = np.asarray(resize_map(volume, side), np.float32)
        size = voxel_size * len(volume) / side
    return maps, size


def _centre_ft(images: Float32) -> Complex64:
    """Return half transforms about pixel n // 2."""
    return np.asarray(np.fft.rfft2(np.fft.ifftshift(images, axes=(-2, -1))), np.complex64)


def _to_images(half_ft: Complex64) -> Float32:
    images = np.fft.irfft2(half_ft, s=(half_ft.shape[-2],) * 2)
    return np.asarray(np.fft.fftshift(images, axes=(-2, -1)), np.float32)


def _shift_phases(side: int, shifts: FloatArray) -> Complex64:
    """Return what moves images by shifts (B, 2) as x, y in pixels: (B, s, s/2 + 1)."""
    ky, kx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :]
    turns = shifts[:, 0, None, None] * kx + shifts[:, 1, None, None] * ky
    return np.asarray(np.exp(-2j * np.pi * turns), np.complex64)


def _low_pass_filter(side: int, pixel_size: float, resolution: float) -> Float32:
    """Return a Gaussian that is 1/2 at a resolution (Å), for half transforms."""
    if resolution <= 0:
        return np.ones((side, side // 2 + 1), np.float32)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)) / pixel_size
    return np.asarray(np.exp(-np.log(2) * (frequency * resolution) ** 2), np.float32)


def _circle(side: int, radius: float) -> BoolArray:
    y, x = np.mgrid[:side, :side] - side // 2
    return np.asarray(np.hypot(x, y) <= radius)


def _correlation(first: Float32, second: Float32) -> Float64:
    """Return the correlation of rows (B, P)."""
    a = first - first.mean(axis=1, keepdims=True, dtype=np.float64)
    b = second - second.mean(axis=1, keepdims=True, dtype=np.float64)
    norm = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.asarray((a * b).sum(axis=1) / np.maximum(norm, 1e-30))
