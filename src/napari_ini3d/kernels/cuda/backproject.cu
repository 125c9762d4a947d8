// Backproject slices into a half cube, the transpose of project.cu: one thread per rotation and
// component, with atomic additions, since several slices can share a voxel.
#include "common.cuh"

// The sum of integers does not depend on the order of the additions. Scaling a float by a power of
// two is exact, so that the only loss is the rounding to an integer.
struct FixedPoint {
    uint64* numerator;
    uint64* denominator;
    float numerator_scale, denominator_scale;

    __device__ void add(int64 voxel, float re, float im, float weight) const
    {
        atomicAdd(numerator + 2 * voxel, (uint64)llrintf(re * numerator_scale));
        atomicAdd(numerator + 2 * voxel + 1, (uint64)llrintf(im * numerator_scale));
        atomicAdd(denominator + voxel, (uint64)llrintf(weight * denominator_scale));
    }
};

struct FloatingPoint {
    float* numerator;
    float* denominator;

    __device__ void add(int64 voxel, float re, float im, float weight) const
    {
        atomicAdd(numerator + 2 * voxel, re);
        atomicAdd(numerator + 2 * voxel + 1, im);
        atomicAdd(denominator + voxel, weight);
    }
};

template <typename Sums>
__device__ inline void backproject_slices(
    const float2* numerator, const float* denominator, const float* matrices, const float* kx,
    const float* ky, int m, int64 n_rotations, int64 n_components, Sums sums)
{
    const int64 i = (int64)blockIdx.x * THREADS + threadIdx.x;
    if (i >= n_rotations * n_components || denominator[i] == 0.0f) return;
    const int64 r = i / n_components, p = i % n_components;
    const Place at = locate(matrices + 9 * r, kx[p], ky[p], m);
    const float re = numerator[i].x, im = numerator[i].y * at.sign, weight = denominator[i];
    for (int q = 0; q < 4; ++q) {
        const float wz = q & 2 ? at.fz : 1.0f - at.fz;
        const float wzy = wz * (q & 1 ? at.fy : 1.0f - at.fy);
        const int64 voxel = at.corner + (q & 1 ? at.row : 0) + (q & 2 ? at.plane : 0);
        const float near = wzy * (1.0f - at.fx), far = wzy * at.fx;
        sums.add(voxel, re * near, im * near, weight * near);
        sums.add(voxel + 1, re * far, im * far, weight * far);
    }
}

extern "C" __global__ void backproject_fixed(
    const float2* numerator, const float* denominator, const float* matrices, const float* kx,
    const float* ky, int m, int64 n_rotations, int64 n_components, const float* scales,
    uint64* map_numerator, uint64* map_denominator)
{
    const FixedPoint sums = {map_numerator, map_denominator, scales[0], scales[1]};
    backproject_slices(numerator, denominator, matrices, kx, ky, m, n_rotations, n_components, sums);
}

extern "C" __global__ void backproject_float(
    const float2* numerator, const float* denominator, const float* matrices, const float* kx,
    const float* ky, int m, int64 n_rotations, int64 n_components, float2* map_numerator,
    float* map_denominator)
{
    const FloatingPoint sums = {(float*)map_numerator, map_denominator};
    backproject_slices(numerator, denominator, matrices, kx, ky, m, n_rotations, n_components, sums);
}
