"""Memory and disk space of a run, estimated."""

from __future__ import annotations

from dataclasses import dataclass

from napari_ini3d.preflight.working_box import PixelGrid, choose_working_grid
from napari_ini3d.settings import InitialModelSettings

_MIB = 2**20
_HISTORY_SIZE = 128  # as runs.history.HISTORY_SIZE, of a package of the same rank


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

    Memory: 300 MiB for the programs, 700 bytes per particle for its table and records, 16 arrays
    of the size of a half cube (p³ n³ / 2 complex64) per class (maps, sums of the two half-sets,
    and their copies), four batches of 512 images, 512 MiB of tiles; all images with `preread`;
    three copies of the result, in the box N of the particles, while its symmetry is analysed.
    Disk: for each written iteration n³ float32 per class, 300 bytes per particle for data.star,
    and a checkpoint of the size of six maps per class; for every iteration a small map in half
    precision per class; three maps of N³. Scratch copies are not counted.

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
    history = settings.iterations * settings.classes * 2 * min(n, _HISTORY_SIZE) ** 3
    disk = written * (7 * 4 * voxels + 300 * n_particles) + history + result + 10 * _MIB
    return ResourceEstimate(memory, disk)
