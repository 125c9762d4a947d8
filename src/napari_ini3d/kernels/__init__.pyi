from .backend import (
    available_threads as available_threads,
    check_device as check_device,
    choose_backend as choose_backend,
    list_gpus as list_gpus,
)
from .blas import blas_threads as blas_threads
from .cpu.preparation import (
    ctf_values as ctf_values,
    shell_weights as shell_weights,
    subtract_background as subtract_background,
)
from .half_precision import scaled_product as scaled_product
from .host_memory import free_memory as free_memory
from .numba_jit import jit as jit, jit_inline as jit_inline
from .points import compare_copies as compare_copies, read_points as read_points
from .records import (
    BestColumn as BestColumn,
    NullEvidence as NullEvidence,
    PosePrior as PosePrior,
    Rows as Rows,
)
from .types import Array as Array, Backend as Backend, GpuInfo as GpuInfo
