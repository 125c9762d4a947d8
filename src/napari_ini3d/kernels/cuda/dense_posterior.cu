// Convert the scores of all poses to posterior weights, in place: one block per image.
#include "common.cuh"

#define LOWEST -3.4e38f
#define NEGLIGIBLE -20.0f  // log weight, relative to the best, below which a pose has weight zero

__device__ inline float weigh(float log_weight)
{
    return log_weight > NEGLIGIBLE ? expf(log_weight) : 0.0f;
}

extern "C" __global__ void dense_posterior(
    float* scores, const float* norm, const float* log_prior, int n_shifts, int n_rotations,
    int n_classes, double* summary)
{
    const int64 image = blockIdx.x;
    const int block = n_rotations / n_classes;
    float* mine = scores + image * n_shifts * n_rotations;
    norm += image * n_rotations;
    log_prior += image * n_shifts * n_classes;

    Found best = {LOWEST, 0};
    for (int s = 0; s < n_shifts; ++s)
        for (int r = threadIdx.x; r < n_rotations; r += THREADS) {
            const int64 i = (int64)s * n_rotations + r;
            const float v = mine[i] - norm[r] + log_prior[s * n_classes + r / block];
            mine[i] = v;
            const Found here = {v, i};
            if (beats(here, best)) best = here;
        }
    best = block_max(best);

    double sum = 0.0;
    for (int s = 0; s < n_shifts; ++s) {
        float part = 0.0f;
        for (int r = threadIdx.x; r < n_rotations; r += THREADS)
            part += weigh(mine[(int64)s * n_rotations + r] - best.value);
        sum += part;
    }
    const double total = block_sum(sum);
    const float scale = (float)(1.0 / total);
    for (int64 i = threadIdx.x; i < (int64)n_shifts * n_rotations; i += THREADS)
        mine[i] = weigh(mine[i] - best.value) * scale;

    if (threadIdx.x == 0) {
        summary[4 * image] = best.value + log(total);
        summary[4 * image + 1] = 1.0 / total;
        summary[4 * image + 2] = (double)(best.index % n_rotations);
        summary[4 * image + 3] = (double)(best.index / n_rotations);
    }
}
