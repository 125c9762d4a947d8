"""Number of threads that read images."""

from __future__ import annotations

from napari_ini3d.kernels import available_threads

_MAX_READERS = 4  # threads; more do not speed up a disk
_MAX_RESAMPLING_READERS = 8  # threads that also resample


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
