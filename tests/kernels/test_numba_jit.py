import os
import subprocess
import sys
from types import SimpleNamespace

import numba
import pytest
from numba.core import event

from napari_ini3d.kernels import numba_jit
from napari_ini3d.kernels.cpu.images import shift_images
from napari_ini3d.kernels.cpu.posterior import dense_posterior, significant_rotations


def test_loops_compile_if_nothing_can_be_cached_on_disk(monkeypatch):
    def njit(**options: object):
        if options.get("cache"):

            def refuse(function: object) -> None:
                raise RuntimeError("no locator available")

            return refuse
        return numba.njit(**options)

    monkeypatch.setattr(numba_jit, "numba", SimpleNamespace(njit=njit))
    assert numba_jit.jit(lambda x: x + 1)(2) == 3


COMPILED_LOOPS = """
import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from napari_ini3d.fourier import rotate_map
from napari_ini3d.geometry import random_rotation
from napari_ini3d.kernels import cpu
from napari_ini3d.kernels.points import read_points

rng = np.random.default_rng(0)
rotation = random_rotation(rng)
volume = rng.standard_normal((24, 24, 24)).astype(np.float32)
scores = (10 * rng.standard_normal((3, 5, 40))).astype(np.float32)
norm, prior = (rng.random((3, 40), np.float32), rng.random((3, 5, 2), np.float32))
summary = np.empty((3, 4))
cpu.dense_posterior(scores, norm, prior, summary)
parts = rng.standard_normal((2, 13, 13, 8))
cube = (parts[0] + 1j * parts[1]).astype(np.complex64)
matrices = np.stack([random_rotation(rng) for _ in range(9)]).astype(np.float32)
kx, ky = (rng.uniform(-3, 3, 50).astype(np.float32) for _ in range(2))
slices = np.empty((9, 50), np.complex64)
cpu.project(cube, matrices, kx, ky, slices)
sums = np.zeros_like(cube), np.zeros(cube.shape, np.float32)
cpu.backproject(slices, np.abs(slices), matrices, kx, ky, *sums)
points = np.empty((9, 50), np.complex64)
read_points(cube, matrices, np.stack([kx, ky, kx], 1), points)
rotated = rotate_map(volume, rotation, np.array([0.3, 0.2, 0.1]))
results = [rotated, scores, summary, slices, *sums, points]
print([hashlib.sha256(values.tobytes()).hexdigest() for values in results])
"""


@pytest.mark.slow
def test_the_process_that_compiles_the_loops_gives_the_bits_of_those_that_load_them(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", COMPILED_LOOPS]
    compiling, loading = (
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    assert compiling == loading


@pytest.mark.parametrize("suffix", ["*.nbi", "*.nbc"])
@pytest.mark.parametrize("size", [0, 10, 120])
def test_a_loop_whose_cache_was_truncated_is_compiled_again(tmp_path, suffix, size):
    (tmp_path / "loop.py").write_text(
        "from napari_ini3d.kernels.numba_jit import jit\n\n"
        "@jit\ndef add(x):\n    return x + 1\n\nprint(add(2))\n"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def run():
        command = [sys.executable, str(tmp_path / "loop.py")]
        return subprocess.run(command, capture_output=True, env=environment, text=True, check=True)

    run()
    for path in (tmp_path / "cache").rglob(suffix):
        path.write_bytes(path.read_bytes()[:size])
    for _ in range(2):
        assert run().stdout == "3\n"
    damaged = list((tmp_path / "cache").rglob("*.damaged"))
    assert len(damaged) == 1


@pytest.mark.parametrize(
    ("loop", "signature"),
    [
        (shift_images, "(float32[:, :, ::1], int32[:, ::1], float32[:, :, ::1])"),
        (
            significant_rotations,
            "(float32[:, :, ::1], float64, int64, int32[:, ::1], int32[:, ::1], int32[::1])",
        ),
        (
            dense_posterior,
            "(float32[:, :, ::1], float32[:, ::1], float32[:, :, ::1], float64[:, ::1])",
        ),
    ],
)
def test_no_loop_compiles_messages_about_shapes_or_a_sort(loop, signature):
    """Copies of slices and `argsort` made the first run of an installation seconds longer."""
    with event.install_recorder("numba:compile") as recorder:
        numba.njit(nogil=True, fastmath=True, error_model="numpy")(loop.py_func).compile(signature)
    compiled = " ".join(str(each.data["dispatcher"]) for _, each in recorder.buffer)
    assert loop.py_func.__name__ in compiled
    for slow in ("raise_with_shape", "str_generic", "mergesort"):
        assert slow not in compiled
