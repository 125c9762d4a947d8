// Convert the scores of the fine poses to posterior weights, in place: one block per image.
#include "common.cuh"

#define LOWEST -3.4e38f

extern "C" __global__ void fine_posterior(
    float* scores, const int64* first, int n_shifts, float share, float* row_max, double* summary)
{
    const int64 image = blockIdx.x, low = first[image], n_rows = first[image + 1] - low;
    float* mine = scores + low * n_shifts;
    row_max += low;

    Found best = {LOWEST, 0};
    for (int64 i = threadIdx.x; i < n_rows * n_shifts; i += THREADS) {
        const Found here = {mine[i], i};
        if (beats(here, best)) best = here;
    }
    best = block_max(best);
    double sum = 0.0;
    for (int64 i = threadIdx.x; i < n_rows * n_shifts; i += THREADS) {
        const float weight = expf(mine[i] - best.value);
        mine[i] = weight;
        sum += weight;
    }
    const double total = block_sum(sum);
    const float scale = (float)(1.0 / total), floor = share * scale;
    int significant = 0;
    for (int64 row = threadIdx.x; row < n_rows; row += THREADS) {
        float top = 0.0f;
        for (int s = 0; s < n_shifts; ++s) {
            const float weight = mine[row * n_shifts + s] * scale;
            mine[row * n_shifts + s] = weight;
            top = fmaxf(top, weight);
        }
        row_max[row] = top;
        significant += top > floor;
    }
    const double n_significant = block_sum(significant);

    if (threadIdx.x == 0) {
        summary[5 * image] = best.value + log(total);
        summary[5 * image + 1] = scale;
        summary[5 * image + 2] = (double)(low + best.index / n_shifts);
        summary[5 * image + 3] = (double)(best.index % n_shifts);
        summary[5 * image + 4] = n_significant;
    }
}
