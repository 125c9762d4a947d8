// Normalise, shift and mask images: one block per image.
#include "common.cuh"

__device__ inline int wrapped(int place, int size)
{
    const int rest = place % size;
    return rest < 0 ? rest + size : rest;
}

extern "C" __global__ void normalise_images(
    const float* images, const float* weight, const float* planes, const float* mask,
    const int* shift, int size, float sign, float least_spread, float* whole, float* masked)
{
    const int area = size * size;
    const float* image = images + (int64)blockIdx.x * area;
    whole += (int64)blockIdx.x * area;
    masked += (int64)blockIdx.x * area;

    double sum = 0.0;
    for (int p = threadIdx.x; p < area; p += THREADS) sum += (double)image[p] * weight[p];
    const float mean = (float)block_sum(sum);
    float slope[3];  // with the rest of a mean that is far larger than the spread
    for (int j = 0; j < 3; ++j) {
        double along = 0.0;
        for (int p = threadIdx.x; p < area; p += THREADS)
            along += (double)((image[p] - mean) * weight[p]) * planes[j * area + p];
        slope[j] = (float)block_sum(along);
    }
    double squares = 0.0;
    for (int p = threadIdx.x; p < area; p += THREADS) {
        const float plane = slope[0] * planes[p] + slope[1] * planes[area + p]
            + slope[2] * planes[2 * area + p];
        const float flat = image[p] - mean - plane;
        squares += (double)(flat * flat) * weight[p];
    }
    const float variance = (float)block_sum(squares);
    const float constant = least_spread * least_spread * mean * mean;
    const float scale = variance <= constant ? sign : sign / sqrtf(variance);
    const int right = shift[2 * blockIdx.x], down = shift[2 * blockIdx.x + 1];
    for (int p = threadIdx.x; p < area; p += THREADS) {
        const int x = wrapped(p % size - right, size), y = wrapped(p / size - down, size);
        const int from = y * size + x;
        const float plane = slope[0] * planes[from] + slope[1] * planes[area + from]
            + slope[2] * planes[2 * area + from];
        const float value = (image[from] - mean - plane) * scale;
        whole[p] = value;
        masked[p] = value * mask[p];
    }
}
