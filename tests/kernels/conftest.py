import numpy as np
import pytest
from cuda_on_cpu import CompiledKernels

from napari_ini3d.kernels import cpu
from napari_ini3d.kernels.cuda_kernels import CudaKernels
from napari_ini3d.kernels.cuda_launch import kernel_source

THREADS = 16


def cuda_kernels(*, deterministic: bool = True, backwards: bool = False) -> CudaKernels:
    """The CUDA sources, compiled for the CPU, on NumPy's arrays."""
    launch = CompiledKernels(kernel_source(), THREADS, backwards=backwards).launch
    return CudaKernels(np, launch, np.matmul, threads=THREADS, deterministic=deterministic)


CUDA = {
    "cuda": {},
    "cuda, atomic additions of floats": {"deterministic": False},
    "cuda, last thread first": {"backwards": True},
}


@pytest.fixture(params=["cpu", *CUDA])
def kernels(request):
    if request.param == "cpu":
        return cpu
    return cuda_kernels(**CUDA[request.param])
