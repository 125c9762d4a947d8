// The contrast transfer function: one thread per image and component. The phase reaches hundreds of
// radians, hence double precision.
#include "common.cuh"

#define HALF_PI 1.5707963267948966

extern "C" __global__ void ctf_values(
    const double* terms, const float* kx, const float* ky, double unit, double wavelength,
    double spherical, int ignore_first_peak, int phase_flipped, int64 n_images, int64 n_components,
    float* out)
{
    const int64 i = (int64)blockIdx.x * THREADS + threadIdx.x;
    if (i >= n_images * n_components) return;
    const double* term = terms + 4 * (i / n_components);
    const double x = kx[i % n_components] * unit, y = ky[i % n_components] * unit;
    const double s2 = x * x + y * y;
    const double defocus = term[0] * s2 + term[1] * (x * x - y * y) + term[2] * x * y;
    const double phase = 2 * HALF_PI * wavelength * defocus - spherical * s2 * s2 + term[3];
    double value = sin(phase);
    if (ignore_first_peak && fabs(phase) < HALF_PI) value = 1.0;
    out[i] = (float)(phase_flipped ? fabs(value) : value);
}
