// Rotations of significant posterior weight, in order of weight: one block per image.
#include "common.cuh"

__device__ inline int count_from(const float* values, int n, float floor)
{
    int found = 0;
    for (int i = threadIdx.x; i < n; i += THREADS) found += values[i] >= floor;
    return (int)block_sum(found);
}

// The largest threshold that at least `most` values reach, found by bisection from `low`, which
// more of them reach. Non-negative floats are ordered as their bits.
__device__ inline float raise_floor(const float* values, int n, int most, float low, float high)
{
    int reached = __float_as_int(low), missed = __float_as_int(high) + 1;
    while (missed - reached > 1) {
        const int middle = reached + (missed - reached) / 2;
        if (count_from(values, n, __int_as_float(middle)) >= most) reached = middle;
        else missed = middle;
    }
    return __int_as_float(reached);
}

extern "C" __global__ void significant_rotations(
    const float* weights, int n_shifts, int n_rotations, float share, int most, float* marginals,
    int* candidates, int* rotation, int* shift, int* count)
{
    const int64 image = blockIdx.x;
    weights += image * n_shifts * n_rotations;
    float* marginal = marginals + image * n_rotations;
    int* candidate = candidates + image * n_rotations;
    rotation += image * most;
    shift += image * most;

    const Found best = rotation_weights(weights, n_shifts, n_rotations, marginal);
    float floor = best.value * share;
    int n = count_from(marginal, n_rotations, floor);
    if (n > most) floor = raise_floor(marginal, n_rotations, most, floor, best.value);

    __shared__ int n_candidates;
    if (threadIdx.x == 0) n_candidates = 0;
    __syncthreads();
    for (int r = threadIdx.x; r < n_rotations; r += THREADS)
        if (marginal[r] >= floor) candidate[atomicAdd(&n_candidates, 1)] = r;
    __syncthreads();
    // the order of the candidates varies; their rank does not depend on it
    for (int i = threadIdx.x; i < n_candidates; i += THREADS) {
        const Found mine = {marginal[candidate[i]], candidate[i]};
        int rank = 0;
        for (int j = 0; j < n_candidates && rank < most; ++j) {
            const Found other = {marginal[candidate[j]], candidate[j]};
            rank += beats(other, mine);
        }
        if (rank < most) rotation[rank] = candidate[i];
    }
    __syncthreads();
    n = min(n, most);
    if (threadIdx.x == 0) count[image] = n;
    for (int j = threadIdx.x; j < n; j += THREADS) {
        const float* column = weights + rotation[j];
        int at = 0;
        for (int s = 1; s < n_shifts; ++s)
            if (column[(int64)s * n_rotations] > column[(int64)at * n_rotations]) at = s;
        shift[j] = at;
    }
}
