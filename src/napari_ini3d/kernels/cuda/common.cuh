// Functions shared by the kernels. Each block has THREADS threads; sums and maxima over a block are
// trees of fixed shape, so that the same input gives the same bits. No headers: NVRTC has none.
#pragma once

#ifndef THREADS
#define THREADS 512
#endif

typedef long long int64;
typedef unsigned long long uint64;

#define FORBIDDEN -1e6f  // log prior of a shift beyond the limit
#define LOG_2 0.6931471805599453

// Columns of the record of the best pose of an image; kernels.types.BestColumn has the same.
enum {
    LOG_EVIDENCE, BEST_PROBABILITY, N_SIGNIFICANT, BEST_CLASS, BEST_ROTATION, BEST_SHIFT,
    BEST_FINE_SHIFT, JUNK_PROBABILITY, OVERLAP, REFERENCE_POWER, BEST_COLUMNS
};

// The prior on the shifts: Gaussian about the expected one, forbidden beyond the limit; `narrowness`
// is 1 / 2 sigma².
struct ShiftPrior {
    float narrowness, limit2;

    __device__ float at(float x, float y) const
    {
        const float distance2 = x * x + y * y;
        return (distance2 > limit2 ? FORBIDDEN : 0.0f) - narrowness * distance2;
    }
};

// The position of a Fourier component of a slice in a half cube: `corner` is the voxel at or below
// it, fx, fy and fz are the trilinear weights of the next voxel along each axis; `sign` is -1 for a
// Friedel mate.
struct Place {
    int64 corner, row, plane;
    float fx, fy, fz, sign;
};

__device__ inline Place locate(const float* a, float kx, float ky, int m)
{
    Place place;
    const float x = kx * a[0] + ky * a[3];
    place.sign = copysignf(1.0f, x);
    const float px = x * place.sign;
    const float py = (kx * a[1] + ky * a[4]) * place.sign + m;
    const float pz = (kx * a[2] + ky * a[5]) * place.sign + m;
    const int x0 = (int)px, y0 = (int)py, z0 = (int)pz;
    place.row = m + 2;
    place.plane = place.row * (2 * m + 1);
    place.corner = z0 * place.plane + y0 * place.row + x0;
    place.fx = px - x0;
    place.fy = py - y0;
    place.fz = pz - z0;
    return place;
}

// The sum of one value per thread, returned to all threads.
__device__ inline double block_sum(double value)
{
    __shared__ double parts[THREADS];
    __syncthreads();
    parts[threadIdx.x] = value;
    for (int width = THREADS / 2; width > 0; width /= 2) {
        __syncthreads();
        if (threadIdx.x < width) parts[threadIdx.x] += parts[threadIdx.x + width];
    }
    __syncthreads();
    return parts[0];
}

// The running total of one value per thread, the thread's own included.
__device__ inline int64 block_scan(int64 value)
{
    __shared__ int64 sums[THREADS];
    __syncthreads();
    sums[threadIdx.x] = value;
    for (int width = 1; width < THREADS; width *= 2) {
        __syncthreads();
        const int64 before = threadIdx.x >= width ? sums[threadIdx.x - width] : 0;
        __syncthreads();
        sums[threadIdx.x] += before;
    }
    return sums[threadIdx.x];
}

#define LANES (THREADS < 32 ? THREADS : 32)

// The sum of one value per thread over each team of LANES threads, returned to the first of the team.
__device__ inline float team_sum(float value)
{
    __shared__ float parts[THREADS];
    __syncthreads();
    parts[threadIdx.x] = value;
    __syncthreads();
    float total = 0.0f;
    if (threadIdx.x % LANES == 0)
        for (int i = 0; i < LANES; ++i) total += parts[threadIdx.x + i];
    return total;
}

// A value and its index; of equal values, the one with the smaller index ranks first.
struct Found {
    float value;
    int64 index;
};

__device__ inline bool beats(Found one, Found other)
{
    return one.value > other.value || (one.value == other.value && one.index < other.index);
}

// The maximum of one value per thread, returned to all threads.
__device__ inline Found block_max(Found found)
{
    __shared__ float values[THREADS];
    __shared__ int64 indices[THREADS];
    __syncthreads();
    values[threadIdx.x] = found.value;
    indices[threadIdx.x] = found.index;
    for (int width = THREADS / 2; width > 0; width /= 2) {
        __syncthreads();
        if (threadIdx.x < width) {
            const int other = threadIdx.x + width;
            const Found mine = {values[threadIdx.x], indices[threadIdx.x]};
            const Found theirs = {values[other], indices[other]};
            if (beats(theirs, mine)) {
                values[threadIdx.x] = theirs.value;
                indices[threadIdx.x] = theirs.index;
            }
        }
    }
    __syncthreads();
    const Found largest = {values[0], indices[0]};
    return largest;
}

// The weight of each rotation of an image over all shifts, and the largest, returned to all threads.
__device__ inline Found rotation_weights(
    const float* weights, int n_shifts, int n_rotations, float* marginal)
{
    Found largest = {0.0f, 0};
    for (int r = threadIdx.x; r < n_rotations; r += THREADS) {
        float sum = 0.0f;
        for (int s = 0; s < n_shifts; ++s) sum += weights[(int64)s * n_rotations + r];
        marginal[r] = sum;
        const Found here = {sum, r};
        if (beats(here, largest)) largest = here;
    }
    return block_max(largest);
}
