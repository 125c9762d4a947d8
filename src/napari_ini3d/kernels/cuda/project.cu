// Project a half cube: central sections, trilinear, one thread per rotation and component.
#include "common.cuh"

extern "C" __global__ void project(
    const float2* cube, int m, const float* matrices, const float* kx, const float* ky,
    float2* out, int64 n_rotations, int64 n_components)
{
    const int64 i = (int64)blockIdx.x * THREADS + threadIdx.x;
    if (i >= n_rotations * n_components) return;
    const int64 r = i / n_components, p = i % n_components;
    const Place at = locate(matrices + 9 * r, kx[p], ky[p], m);
    float re = 0.0f, im = 0.0f;
    for (int q = 0; q < 4; ++q) {
        const float wz = q & 2 ? at.fz : 1.0f - at.fz;
        const float wzy = wz * (q & 1 ? at.fy : 1.0f - at.fy);
        const float2* near = cube + at.corner + (q & 1 ? at.row : 0) + (q & 2 ? at.plane : 0);
        re += wzy * ((1.0f - at.fx) * near[0].x + at.fx * near[1].x);
        im += wzy * ((1.0f - at.fx) * near[0].y + at.fx * near[1].y);
    }
    out[i].x = re;
    out[i].y = im * at.sign;
}
