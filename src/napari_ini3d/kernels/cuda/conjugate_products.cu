// Multiply images by the conjugate of the slices they are compared with: one block per row.
#include "common.cuh"

extern "C" __global__ void conjugate_products(
    const float2* slices, const int* row_slice, const int* row_image, const int* row_shift,
    const float2* images, const float2* shift_phase, const float* ctf2, int64 n_components,
    float2* out, float* norm)
{
    const int64 n = blockIdx.x;
    const float2* a = slices + row_slice[n] * n_components;
    const float2* x = images + row_image[n] * n_components;
    const float2* t = shift_phase + row_shift[n] * n_components;
    const float* c = ctf2 + row_image[n] * n_components;
    out += n * n_components;
    float power = 0.0f;
    for (int64 p = threadIdx.x; p < n_components; p += THREADS) {
        const float re = x[p].x * t[p].x - x[p].y * t[p].y;
        const float im = x[p].x * t[p].y + x[p].y * t[p].x;
        out[p].x = re * a[p].x + im * a[p].y;
        out[p].y = im * a[p].x - re * a[p].y;
        power += c[p] * (a[p].x * a[p].x + a[p].y * a[p].y);
    }
    const double total = block_sum(power);
    if (threadIdx.x == 0) norm[n] = (float)(0.5 * total);
}
