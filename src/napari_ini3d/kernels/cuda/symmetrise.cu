// Sum a half cube and its weights over the operators of a point group: one thread per voxel.
#include "common.cuh"

extern "C" __global__ void symmetrise(
    const float2* numerator, const float* denominator, const float* operators, int n_operators,
    int m, float2* out_numerator, float* out_denominator)
{
    const int row = m + 2, side = 2 * m + 1;
    const int64 voxel = (int64)blockIdx.x * THREADS + threadIdx.x;
    if (voxel >= (int64)side * side * row) return;
    const int h = voxel % row, j = (voxel / row) % side - m, i = voxel / row / side - m;
    float re = 0.0f, im = 0.0f, weight = 0.0f;
    const bool inside = h <= m && i * i + j * j + h * h <= (m - 1) * (m - 1) + 1;
    for (int g = 0; inside && g < n_operators; ++g) {
        const float* a = operators + 9 * g;
        float x = a[0] * h + a[1] * j + a[2] * i;
        float y = a[3] * h + a[4] * j + a[5] * i;
        float z = a[6] * h + a[7] * j + a[8] * i;
        const float sign = x < 0 ? -1.0f : 1.0f;  // x < 0: use the Friedel mate
        x *= sign;
        y *= sign;
        z *= sign;
        const int x0 = (int)x, y0 = (int)floorf(y), z0 = (int)floorf(z);
        const float fx = x - x0, fy = y - y0, fz = z - z0;
        for (int q = 0; q < 4; ++q) {
            const float wzy = (q & 2 ? fz : 1.0f - fz) * (q & 1 ? fy : 1.0f - fy);
            // beyond the last plane the weight is a rounding error: stay inside the cube
            const int pz = min(z0 + m + (q >> 1), 2 * m), py = min(y0 + m + (q & 1), 2 * m);
            const int64 at = ((int64)pz * side + py) * row + x0;
            re += wzy * ((1.0f - fx) * numerator[at].x + fx * numerator[at + 1].x);
            im += sign * wzy * ((1.0f - fx) * numerator[at].y + fx * numerator[at + 1].y);
            weight += wzy * ((1.0f - fx) * denominator[at] + fx * denominator[at + 1]);
        }
    }
    out_numerator[voxel].x = re;
    out_numerator[voxel].y = im;
    out_denominator[voxel] = weight;
}
