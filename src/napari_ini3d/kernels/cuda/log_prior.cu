// Log priors of shifts and classes.
#include "common.cuh"

// Of all coarse shifts: one thread per image, shift and class.
extern "C" __global__ void coarse_log_prior(
    const float* start, const float* shifts, const float* class_share, const float* class_bias,
    float narrowness, float limit2, int64 n_images, int n_shifts, int n_classes, float* out)
{
    const int64 i = (int64)blockIdx.x * THREADS + threadIdx.x;
    if (i >= n_images * n_shifts * n_classes) return;
    const int k = i % n_classes, s = i / n_classes % n_shifts;
    const int64 b = i / n_classes / n_shifts;
    const ShiftPrior prior = {narrowness, limit2};
    out[i] = prior.at(start[2 * b] + shifts[2 * s], start[2 * b + 1] + shifts[2 * s + 1])
        + class_share[k] + class_bias[b * n_classes + k];
}

// Add the prior to the scores of the fine pass, and subtract half the power of the reference: one
// thread per row and fine shift.
extern "C" __global__ void add_fine_log_prior(
    const float* norm, const int* image, const int* class_index, const int* shift,
    const float* start, const float* shifts, const float* fine_shifts, const float* class_share,
    const float* class_bias, float narrowness, float limit2, int64 n_rows, int n_fine_shifts,
    int n_classes, float* scores)
{
    const int64 i = (int64)blockIdx.x * THREADS + threadIdx.x;
    if (i >= n_rows * n_fine_shifts) return;
    const int64 n = i / n_fine_shifts;
    const int t = i % n_fine_shifts, b = image[n], k = class_index[n], s = shift[n];
    const float x = start[2 * b] + shifts[2 * s] + fine_shifts[2 * t];
    const float y = start[2 * b + 1] + shifts[2 * s + 1] + fine_shifts[2 * t + 1];
    const ShiftPrior prior = {narrowness, limit2};
    scores[i] += prior.at(x, y) + class_share[k] + class_bias[b * n_classes + k] - norm[n];
}
