// Shift images cyclically by whole pixels: one thread per pixel.
#include "common.cuh"

extern "C" __global__ void shift_images(
    const float* images, const int* by, int64 n_images, int size, float* out)
{
    const int64 i = (int64)blockIdx.x * THREADS + threadIdx.x, area = (int64)size * size;
    if (i >= n_images * area) return;
    const int64 image = i / area;
    int x = (i % size - by[2 * image]) % size, y = (i / size % size - by[2 * image + 1]) % size;
    if (x < 0) x += size;
    if (y < 0) y += size;
    out[i] = images[image * area + (int64)y * size + x];
}
