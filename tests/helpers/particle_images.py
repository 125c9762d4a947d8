"""Images of particles in memory."""

import numpy as np

from napari_ini3d.particles import ImageBatch


class ArraySource:
    """Images in memory."""

    def __init__(self, images, pixel_size=3.0):
        self._images = np.asarray(images, dtype=np.float32)
        self.box_size = self._images.shape[-1]
        self.pixel_size = pixel_size

    def batches(self, indices):
        for index in indices:
            yield ImageBatch(index, self._images[index])


def discs(n_images, radius, *, box=48, noise=1.0, sign=1.0):
    """Discs of random, blob-like density in white noise."""
    rng = np.random.default_rng(7)
    y, x = np.indices((box, box)) - box // 2
    disc = np.hypot(x, y) <= radius
    coarse = rng.normal(size=(n_images, box // 4, box // 4))
    content = 1 + np.kron(coarse, np.ones((4, 4)))
    return sign * disc * content + noise * rng.normal(size=(n_images, box, box))
