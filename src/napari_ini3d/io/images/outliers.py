"""Outlier pixels of images as read: hot, dead and non-finite pixels, replaced from neighbours.

An outlier stands out twice: from the whole image, and from the median of the 5 x 5 pixels around
it, by more than 8 standard deviations of the noise (estimated from the median absolute deviation),
there as well. Protein, ice crystals and carbon edges extend over several pixels, so that they do
not stand out from their own surroundings. Clusters of up to 12 pixels within 5 x 5 are found.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from napari_ini3d._types import BoolArray, Float32, Float64, Int32, IntArray

_SUSPICIOUS = 5.0  # standard deviations: an image without such a pixel is not examined
_OUTLYING = 8.0  # standard deviations of the noise
_MAD_TO_SIGMA = 1.4826  # of Gaussian noise
_HALF_WINDOW = 2  # pixels
_LARGEST = 1e18  # values beyond it are damage; their squares would overflow
_MOST_REPLACED = 0.25  # of an image; with more outliers it is left as it is
_PIXELS_AT_ONCE = 2**18  # that are screened: they stay in the cache of a core
_CENTRAL = (1.0, 99.0)  # percentiles between which the spread of coarse values is measured


def replace_outliers(images: Float32) -> Int32:
    """Replace the outlier pixels of images, in place.

    Each becomes the median of the good pixels among its 5 x 5 neighbours, or, if there are none,
    the median of the image. The result for an image does not depend on the others.

    Parameters
    ----------
    images : (B, n, n) float32
        Real space, of any scale.

    Returns
    -------
    (B,) int32
        Number of replaced pixels. 0 also where more than a quarter of the pixels are outliers:
        such an image is left as it is, with its non-finite values.
    """
    replaced = np.zeros(len(images), np.int32)
    at_once = max(1, _PIXELS_AT_ONCE // max(1, images[:1].size))
    for start in range(0, len(images), at_once):
        for i in start + np.flatnonzero(_suspicious(images[start : start + at_once])):
            outliers = _find_outliers(images[i])
            count = int(np.count_nonzero(outliers))
            if 0 < count <= _MOST_REPLACED * outliers.size:
                _fill(images[i], outliers)
                replaced[i] = count
    return replaced


def _suspicious(images: Float32) -> BoolArray:
    """Return which images have a pixel far from their mean, or one that is not finite; (B,)."""
    flat = images.reshape(len(images), -1)  # (B, n²)
    with np.errstate(invalid="ignore", over="ignore"):
        mean = flat.mean(1)
        centred = flat - mean[:, None]
        variance = np.einsum("bp,bp->b", centred, centred) / np.float32(flat.shape[1])
        largest = np.maximum(centred.max(1), -centred.min(1))
        ordinary: BoolArray = (largest <= _SUSPICIOUS * np.sqrt(variance)) & np.isfinite(variance)
        return ~ordinary


def _find_outliers(image: Float32) -> BoolArray:
    """Return the outliers of one image, (n, n)."""
    outliers = ~(np.abs(image) <= _LARGEST)  # NaN, too
    good = image[~outliers].astype(np.float64)
    if not good.size:
        return outliers
    middle, noise = np.median(good), _noise(good)
    with np.errstate(invalid="ignore", over="ignore"):  # of outliers
        far = ~outliers & (np.abs(image - middle) > _OUTLYING * noise)
    rows, columns = np.nonzero(far)
    if not rows.size:
        return outliers
    around = _windows(np.where(outliers, np.nan, image), rows, columns)  # (M, 25)
    centre = _medians(around)  # (M,)
    local = _MAD_TO_SIGMA * _medians(np.abs(around - centre[:, None]))
    distance = np.abs(image[rows, columns] - centre)
    outliers[rows, columns] = distance > _OUTLYING * np.maximum(local, noise)
    return outliers


def _noise(values: Float64) -> float:
    """Return the standard deviation of values, not raised by outliers.

    Where most values are equal, such as counts of few electrons, their median absolute deviation
    is 0; then it is the standard deviation of the central 98 %.
    """
    deviation = float(np.median(np.abs(values - np.median(values))))
    if deviation > 0:
        return _MAD_TO_SIGMA * deviation
    low, high = np.percentile(values, _CENTRAL)
    return float(values[(values >= low) & (values <= high)].std())


def _windows(values: Float64, rows: IntArray, columns: IntArray) -> Float64:
    """Return the 5 x 5 pixels around each of M pixels, mirrored at the border; (M, 25)."""
    padded = np.pad(values.astype(np.float64), _HALF_WINDOW, mode="reflect")
    windows = sliding_window_view(padded, (2 * _HALF_WINDOW + 1,) * 2)
    found: Float64 = windows[rows, columns].reshape(len(rows), -1)
    return found


def _medians(rows: Float64) -> Float64:
    """Return the median of each row (M, k) without its NaN; NaN for a row that has nothing else."""
    ordered = np.sort(rows, axis=1)  # NaN last
    count = np.isfinite(rows).sum(1)
    each, lower = np.arange(len(rows)), np.maximum(count - 1, 0) // 2
    middle: Float64 = (ordered[each, lower] + ordered[each, count // 2]) / 2
    return np.where(count > 0, middle, np.nan)


def _fill(image: Float32, outliers: BoolArray) -> None:
    """Replace outliers by the median of the good pixels around them, or of the image."""
    rows, columns = np.nonzero(outliers)
    found = _medians(_windows(np.where(outliers, np.nan, image), rows, columns))  # (M,)
    image[rows, columns] = np.where(np.isfinite(found), found, np.median(image[~outliers]))
