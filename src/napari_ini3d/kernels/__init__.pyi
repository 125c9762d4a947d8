from .backend import (
    available_threads as available_threads,
    check_device as check_device,
    choose_backend as choose_backend,
    list_gpus as list_gpus,
)
from .cuda_kernels import scaled_product as scaled_product
from .free_memory import free_memory as free_memory
from .numba_jit import jit as jit, jit_inline as jit_inline
from .points import compare_copies as compare_copies, read_points as read_points
from .types import Array as Array, Backend as Backend, GpuInfo as GpuInfo
