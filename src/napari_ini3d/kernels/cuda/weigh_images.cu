// Weight images by CTF, noise, shell and scale: one thread per image and component.
#include "common.cuh"

extern "C" __global__ void weigh_images(
    const float2* components, const float* ctf, const int* shell, const float* shell_weight,
    const float* sigma2, const float* scale, int n_shells, int premultiplied, int64 n_images,
    int64 n_components, float2* weighted, float* ctf2)
{
    const int64 i = (int64)blockIdx.x * THREADS + threadIdx.x;
    if (i >= n_images * n_components) return;
    const int64 image = i / n_components, p = i % n_components;
    const float weight = shell_weight[image * n_shells + shell[p]] / sigma2[shell[p]] * scale[image];
    const float factor = premultiplied ? weight : ctf[i] * weight;
    weighted[i].x = components[i].x * factor;
    weighted[i].y = components[i].y * factor;
    ctf2[i] = ctf[i] * ctf[i] * (weight * scale[image]);
}
