// Components of images on the disk, the power of their shells, and the weight of each shell:
// one block per image.
#include "common.cuh"

// Power of each shell, whose components are consecutive: `first` is the first component of each.
__device__ inline void shell_power(
    const float2* transform, const int* place, const float* factor, const int* first, int n_shells,
    float* power)
{
    const int lane = threadIdx.x % LANES, team = threadIdx.x / LANES;
    for (int low = 0; low < n_shells; low += THREADS / LANES) {
        const int shell = low + team;
        float sum = 0.0f;
        if (shell < n_shells)
            for (int p = first[shell] + lane; p < first[shell + 1]; p += LANES) {
                const float2 value = transform[place[p]];
                const float re = value.x * factor[p], im = value.y * factor[p];
                sum += re * re + im * im;
            }
        const float total = team_sum(sum);
        if (lane == 0 && shell < n_shells) power[shell] = total;
    }
}

// limits: rows of n_shells; see ExcessLimits.
extern "C" __global__ void disk_components(
    const float2* whole, const float2* masked, const int* place, const float* factor,
    const int* first, const float* typical, const float* limits, int64 n_transform,
    int n_components, int n_shells, float2* components, float* excess, float* weight,
    float* image_power)
{
    const int64 image = blockIdx.x;
    whole += image * n_transform;
    masked += image * n_transform;
    components += image * n_components;
    excess += image * n_shells;
    weight += image * n_shells;
    image_power += image * n_shells;

    shell_power(whole, place, factor, first, n_shells, image_power);
    shell_power(masked, place, factor, first, n_shells, excess);
    for (int p = threadIdx.x; p < n_components; p += THREADS) {
        const float2 value = masked[place[p]];
        components[p].x = value.x * factor[p];
        components[p].y = value.y * factor[p];
    }
    __syncthreads();
    for (int s = threadIdx.x; s < n_shells; s += THREADS) excess[s] /= typical[s];
    __syncthreads();
    const float* alone = limits + n_shells;
    const float* together = limits + 2 * n_shells;
    const float* inner_mean = limits + 3 * n_shells;
    for (int s = threadIdx.x; s < n_shells; s += THREADS) {
        float mean = 0.0f;
        for (int t = 0; t < n_shells; ++t) mean += excess[t] * inner_mean[t * n_shells + s];
        float least = fminf(alone[s] / fmaxf(excess[s], 1e-30f), together[s] / fmaxf(mean, 1e-30f));
        least = fminf(least, 1.0f);
        weight[s] = least * least * least * least;
    }
}
