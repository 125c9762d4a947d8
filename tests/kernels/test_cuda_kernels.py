"""CUDA kernels: reproducible sums, checked arguments, and faults that the emulation finds.

`test_kernels.py` compares their results with the oracles.
"""

import inspect
import re

import numpy as np
import oracles
import pytest
from cuda_on_cpu import CompiledKernels

from napari_ini3d.kernels import cuda_kernels
from napari_ini3d.kernels.cuda_kernels import CudaKernels
from napari_ini3d.kernels.cuda_launch import kernel_parameters, kernel_source
from napari_ini3d.kernels.half_precision import scaled_product
from napari_ini3d.kernels.records import BestColumn


def kernels_of(threads: int, *, deterministic: bool = True) -> CudaKernels:
    launch = CompiledKernels(kernel_source(), threads).launch
    return CudaKernels(np, launch, np.matmul, threads=threads, deterministic=deterministic)


def test_the_sources_need_no_header_since_nvrtc_has_none():
    assert "#include" not in kernel_source()


def random_slices(rng, count: int = 40):
    kx, ky = (rng.integers(-4, 5, 30).astype(np.float32) for _ in range(2))
    values = rng.standard_normal((2, count, 30))
    numerator = (values[0] + 1j * values[1]).astype(np.complex64)
    weight = rng.uniform(0.5, 2, numerator.shape).astype(np.float32)
    return numerator, weight, oracles.random_matrices(rng, count), kx, ky


def backproject(kernels, numerator, weight, matrices, kx, ky):
    cube = np.zeros((17, 17, 10), np.complex64), np.zeros((17, 17, 10), np.float32)
    kernels.backproject(numerator, weight, matrices, kx, ky, *cube)
    return cube


def test_backprojection_has_the_same_bits_for_any_order_of_slices():
    rng = np.random.default_rng(1)
    numerator, weight, matrices, kx, ky = random_slices(rng)
    order = rng.permutation(len(matrices))
    one = backproject(kernels_of(16), numerator, weight, matrices, kx, ky)
    other = backproject(kernels_of(8), numerator[order], weight[order], matrices[order], kx, ky)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    floats = kernels_of(8, deterministic=False)
    loose = backproject(floats, numerator[order], weight[order], matrices[order], kx, ky)
    assert not np.array_equal(one[0], loose[0])
    assert np.allclose(one[0], loose[0], atol=1e-4)


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e30])
def test_the_fixed_point_scales_with_the_values(scale):
    numerator, weight, matrices, kx, ky = random_slices(np.random.default_rng(1))
    factor = np.float32(scale)
    one = backproject(kernels_of(16), numerator, weight, matrices, kx, ky)
    scaled = backproject(kernels_of(16), numerator * factor, weight * factor, matrices, kx, ky)
    for plain, found in zip(one, scaled, strict=True):
        assert np.allclose(found / factor, plain, rtol=1e-5, atol=1e-5)


def test_no_slices_and_zero_slices_add_nothing():
    numerator, weight, matrices, kx, ky = random_slices(np.random.default_rng(1))
    for count, factor in ((0, 1), (5, 0)):
        part = (numerator[:count] * factor, weight[:count] * factor, matrices[:count])
        cube = backproject(kernels_of(16), *part, kx, ky)
        assert not cube[0].any()
        assert not cube[1].any()


@pytest.mark.parametrize("threads", [1, 2, 64])
def test_significant_rotations_do_not_depend_on_the_block_size(threads):
    weights = np.random.default_rng(2).random((3, 4, 100)).astype(np.float32) ** 6
    weights[1] = 1
    rotation, shift = np.empty((2, 3, 10), np.int32)
    count = np.empty(3, np.int32)
    kernels_of(threads).significant_rotations(weights, 0.01, 10, rotation, shift, count)
    found = [
        list(zip(rotation[i, :n].tolist(), shift[i, :n].tolist(), strict=True))
        for i, n in enumerate(count)
    ]
    assert found == oracles.significant_rotations(weights, 0.01, 10)


def test_an_output_of_the_wrong_type_or_layout_is_refused():
    kernels = kernels_of(16)
    group, values = np.zeros(4, np.int32), np.ones(4)
    with pytest.raises(TypeError, match=r"is contiguous float32; the kernels write .* float64"):
        kernels.bincount_sum(group, values, np.empty(2, np.float32))
    with pytest.raises(TypeError, match="is strided float64"):
        kernels.bincount_sum(group, values, np.empty(4)[::2])


def test_a_barrier_that_only_some_threads_reach_is_found():
    source = """
    extern "C" __global__ void half(float* out) {
        if (threadIdx.x < THREADS / 2) __syncthreads();
        out[threadIdx.x] = 1;
    }"""
    with pytest.raises(AssertionError, match="wait at a barrier"):
        CompiledKernels(source, 8).launch("half", 1, (np.zeros(8, np.float32),))


def test_a_missing_barrier_is_found():
    source = """
    extern "C" __global__ void shift(float* out) {
        __shared__ float shared[THREADS];
        shared[threadIdx.x] = threadIdx.x;
        BARRIER
        out[threadIdx.x] = shared[threadIdx.x == 0 ? THREADS - 1 : threadIdx.x - 1];
    }"""
    expected = np.roll(np.arange(8, dtype=np.float32), 1)
    for barrier, right in ((" ", False), ("__syncthreads();", True)):
        for backwards in (False, True):
            out = np.zeros(8, np.float32)
            kernels = CompiledKernels(source.replace("BARRIER", barrier), 8, backwards=backwards)
            kernels.launch("shift", 1, (out,))
            assert np.array_equal(out, expected) == right


def test_uninitialised_shared_memory_is_not_zero():
    source = """
    extern "C" __global__ void sum(float* out) {
        __shared__ float total;
        total += 1;
        out[blockIdx.x] = total;
    }"""
    out = np.zeros(3, np.float32)
    CompiledKernels(source, 4).launch("sum", 3, (out,))
    assert np.isnan(out).all()


@pytest.mark.parametrize("place", [-1, 4])
def test_an_access_outside_of_an_array_is_found(place):
    source = """
    extern "C" __global__ void copy(const float* in, const int from, const int to, float* out) {
        out[to] = in[from];
    }"""
    kernels, given, out = (
        CompiledKernels(source, 1),
        np.ones(4, np.float32),
        np.zeros(4, np.float32),
    )
    kernels.launch("copy", 1, (given, np.int32(place), np.int32(0), out))
    assert np.isnan(out[0])
    with pytest.raises(AssertionError, match="copy: writes outside of out"):
        kernels.launch("copy", 1, (given, np.int32(0), np.int32(place), out))


def test_an_argument_of_the_wrong_type_is_found():
    wrong = np.zeros(4, np.int64), np.ones(4), np.int64(4), np.empty(2)
    with pytest.raises(AssertionError, match="group is int64, not int"):
        CompiledKernels(kernel_source(), 16).launch("bincount_sum", 2, wrong)


def test_an_input_of_another_type_or_layout_is_converted():
    kernels, out = kernels_of(16), np.empty(2)
    group, values = np.array([0, 9, 1, 9], np.int64)[::2], np.array([3, 4], np.float32)
    kernels.bincount_sum(group, values, out)
    assert out.tolist() == [3, 4]


def test_every_kernel_of_the_sources_is_launched_by_its_name():
    source = inspect.getsource(cuda_kernels)
    for name in kernel_parameters(kernel_source()):
        assert f'"{name}"' in source, name


def test_the_parameters_of_a_kernel_are_read_from_its_source():
    source = """extern "C" __global__ void add(
        const float2* a, const int* b, int64 n, double c,
        uint64* out) {}"""
    (parameters,) = kernel_parameters(source).values()
    assert [(p.name, p.dtype, p.is_array, p.is_output) for p in parameters] == [
        ("a", np.complex64, True, False),
        ("b", np.int32, True, False),
        ("n", np.int64, False, False),
        ("c", np.float64, False, False),
        ("out", np.uint64, True, True),
    ]


def test_the_record_of_a_best_pose_has_the_same_columns_in_both_languages():
    (listed,) = re.findall(r"enum \{([^}]*)\}", kernel_source())
    names = [name.strip() for name in listed.split(",")]
    assert names == [*(column.name for column in BestColumn), "BEST_COLUMNS"]


@pytest.mark.parametrize("scale", [1e-30, 1e-9, 1.0, 1e9, 1e25])
def test_factors_are_scaled_to_the_range_of_half_precision(scale):
    def half_product(a, b, out=None):
        halves = a.astype(np.float16), b.astype(np.float16)
        assert all(np.isfinite(half).all() for half in halves)
        assert all(np.abs(half).max() > 1e4 for half in halves)
        return np.matmul(*(half.astype(np.float32) for half in halves), out=out)

    rng = np.random.default_rng(3)
    a, b = (rng.standard_normal((20, 20)).astype(np.float32) for _ in range(2))
    out = np.empty((20, 20), np.float32)
    found = scaled_product(np, half_product)(a * np.float32(scale), b, out)
    assert found is out
    assert np.allclose(out / np.float32(scale), a @ b, atol=2e-2)


def test_a_scaled_product_with_zero_is_zero():
    zeros = np.zeros((3, 3), np.float32)
    assert not scaled_product(np, np.matmul)(zeros, zeros + 1).any()
