"""Memory and disk space of a run, estimated."""

from __future__ import annotations

from dataclasses import dataclass

from napari_ini3d.preflight.working_box import PixelGrid, choose_working_grid
from napari_ini3d.settings import InitialModelSettings

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class ResourceEstimate:
    """Estimated memory and disk space of a run, bytes."""

    memory_bytes: int
    disk_bytes: int


def estimate_resources(
    n_particles: int,
    box_size: int,
    settings: InitialModelSettings,
    *,
    pixel_size: float | None = None,
) -> ResourceEstimate:
    """Estimate the memory and the disk space that a run needs.

    n is the box of the run, N that of the particles, p the padding factor.
    Memory: 300 MiB for the program, 700 bytes per particle for its table and records, 16 arrays of
    p^3 n^3 complex64 / 2 per class (map, half-set sums, references, accumulators), four batches of
    512 images, 512 MiB of tiles; all images with `preread`; three maps of N^3 for the symmetry of
    the result.
    Disk: per written iteration n^3 float32 and a checkpoint of six maps per class, and 300 bytes
    per particle for data.star; three maps of N^3. Scratch copies are not counted.

    Parameters
    ----------
    n_particles : int
    box_size : int
        N, pixels.
    settings : InitialModelSettings
    pixel_size : float, optional
        Å, of the particles; n follows from it. Default: n equals N.
    """
    n = box_size
    if pixel_size is not None:
        n = choose_working_grid(PixelGrid(box_size, pixel_size), settings).box_size
    voxels, result = settings.classes * n**3, 3 * 4 * box_size**3
    image_bytes = 4 * n**2
    memory = (
        812 * _MIB + 700 * n_particles + 4 * 512 * image_bytes + (result if n < box_size else 0)
    )
    memory += 16 * 4 * voxels * settings.padding_factor**3
    if settings.preread:
        memory += n_particles * image_bytes
    written = settings.iterations // settings.write_every + 2
    disk = written * (7 * 4 * voxels + 300 * n_particles) + result + 10 * _MIB
    return ResourceEstimate(memory, disk)
