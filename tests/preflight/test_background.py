"""Steps of the background are found, also where a plane was subtracted; clean images have none."""

import numpy as np
import pytest
from mrc_files import write_particles
from particle_images import discs

from napari_ini3d.engine import normalise
from napari_ini3d.preflight import check_particles
from napari_ini3d.preflight.background import BackgroundShapes

N = 300


def with_edges(strength, share, seed=1):
    rng = np.random.default_rng(seed)
    images = discs(N, 10, noise=1.0).astype(np.float32)
    n = images.shape[-1]
    y, x = np.mgrid[:n, :n] - n // 2
    odd = rng.random(N) < share
    for i in np.flatnonzero(odd):
        angle, at = rng.uniform(0, 2 * np.pi), rng.uniform(-0.2, 0.3) * n
        images[i] += strength * (x * np.cos(angle) + y * np.sin(angle) > at)
    return images, odd


def uneven(images):
    shapes = BackgroundShapes(len(images))
    for start in range(0, len(images), 100):
        index = np.arange(start, min(start + 100, len(images)))
        shapes.measure(index, images[index])
    return shapes.uneven()


@pytest.mark.parametrize("subtracted", [False, True])
@pytest.mark.parametrize(("strength", "share"), [(2.5, 0.05), (2.5, 0.3), (5.0, 0.3)])
def test_edges_are_found_and_nothing_else(strength, share, subtracted):
    images, odd = with_edges(strength, share)
    if subtracted:  # as by RELION
        images = normalise(images, 0.75 * images.shape[-1] / 2)
    np.testing.assert_array_equal(uneven(images), odd)


def test_images_that_were_not_read_or_are_not_finite_have_no_step():
    shapes = BackgroundShapes(3)
    assert not shapes.uneven().any()
    images = np.full((1, 16, 16), np.nan, np.float32)
    shapes.measure(np.array([1]), images)
    assert not shapes.uneven().any()


def test_a_check_counts_the_edges_and_names_their_rows(tmp_path):
    images, odd = with_edges(2.5, 0.1)
    optics = [f"1 opticsGroup1 300.0 2.7 0.1 2.0 {images.shape[-1]} 2"]
    report = check_particles(write_particles(tmp_path, images, optics=optics))
    (found,) = [one for one in report.findings if one.code == "uneven-background"]
    assert (found.level, found.count) == ("note", odd.sum())
    assert list(found.rows) == (np.flatnonzero(odd)[:10] + 1).tolist()
