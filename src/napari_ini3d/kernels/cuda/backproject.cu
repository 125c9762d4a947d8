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

// The largest absolute real or imaginary part, and the largest weight, of all slices: one pair for
// each block. A maximum does not depend on the order.
extern "C" __global__ void largest_parts(
    const float2* numerator, const float* denominator, int64 n_values, int n_parts, float* parts)
{
    float part = 0.0f, weight = 0.0f;
    for (int64 i = (int64)blockIdx.x * THREADS + threadIdx.x; i < n_values;
         i += (int64)n_parts * THREADS) {
        part = fmaxf(part, fmaxf(fabsf(numerator[i].x), fabsf(numerator[i].y)));
        weight = fmaxf(weight, fabsf(denominator[i]));
    }
    const Found largest_part = block_max(Found{part, 0}), largest_weight = block_max(Found{weight, 0});
    if (threadIdx.x == 0) {
        parts[2 * blockIdx.x] = largest_part.value;
        parts[2 * blockIdx.x + 1] = largest_weight.value;
    }
}

// The largest powers of two that keep both values below 2^spare: one block.
extern "C" __global__ void fixed_scales(const float* parts, int n_parts, int spare, float* scales)
{
    for (int kind = 0; kind < 2; ++kind) {
        float value = 1e-30f;
        for (int i = threadIdx.x; i < n_parts; i += THREADS) value = fmaxf(value, parts[2 * i + kind]);
        const Found largest = block_max(Found{value, 0});
        if (threadIdx.x == 0)
            scales[kind] = exp2f(fminf(spare - ceilf(log2f(largest.value)), 126.0f));
    }
}

// Add the integer sums to a half cube: one thread per voxel.
extern "C" __global__ void add_fixed(
    const uint64* values, const uint64* weights, const float* scales, int64 n_voxels,
    float2* map_numerator, float* map_denominator)
{
    const int64 i = (int64)blockIdx.x * THREADS + threadIdx.x;
    if (i >= n_voxels) return;
    map_numerator[i].x += (float)((double)(int64)values[2 * i] / scales[0]);
    map_numerator[i].y += (float)((double)(int64)values[2 * i + 1] / scales[0]);
    map_denominator[i] += (float)((double)(int64)weights[i] / scales[1]);
}
