// Sum the values of each group, in a fixed order: one block per group.
#include "common.cuh"

extern "C" __global__ void bincount_sum(
    const int* group, const double* values, int64 n_values, double* out)
{
    double sum = 0.0;
    for (int64 i = threadIdx.x; i < n_values; i += THREADS)
        if (group[i] == blockIdx.x) sum += values[i];
    const double total = block_sum(sum);
    if (threadIdx.x == 0) out[blockIdx.x] = total;
}
