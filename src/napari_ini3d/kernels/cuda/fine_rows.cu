// Rows of the fine pass: pairs of an image and a fine rotation, sorted by image.
#include "common.cuh"

// first[b] is `factor` times the sum of the counts before image b; first[n] of all: one block.
extern "C" __global__ void running_total(const int* counts, int n, int factor, int64* first)
{
    __shared__ int64 last;
    int64 before = 0;  // of the earlier rounds
    for (int low = 0; low < n; low += THREADS) {
        const int i = low + threadIdx.x;
        const int64 sum = block_scan(i < n ? (int64)factor * counts[i] : 0);
        if (i < n) first[i + 1] = before + sum;
        if (threadIdx.x == THREADS - 1) last = sum;
        __syncthreads();
        before += last;
    }
    if (threadIdx.x == 0) first[0] = 0;
}

// The children of the significant rotations: one block per image.
extern "C" __global__ void list_rows(
    const int* rotation, const int* shift, const int64* first, int most, int n_rotations,
    int n_children, int* row_image, int* row_class, int* row_rotation, int* row_shift,
    int* row_slice)
{
    const int64 image = blockIdx.x, low = first[image], n_rows = first[image + 1] - low;
    for (int64 i = threadIdx.x; i < n_rows; i += THREADS) {
        const int64 place = image * most + i / n_children, n = low + i;
        const int k = rotation[place] / n_rotations, r = rotation[place] % n_rotations;
        row_image[n] = (int)image;
        row_class[n] = k;
        row_rotation[n] = r * n_children + (int)(i % n_children);
        row_shift[n] = shift[place];
        row_slice[n] = k * n_rotations * n_children + row_rotation[n];
    }
}

// Keep the rows of significant weight, in their order; those of an image sum to its probability of
// a particle: one block per image.
extern "C" __global__ void keep_rows(
    const float* posterior, const float* row_max, const int64* first, const int64* kept_first,
    const double* best, const int* row_image, const int* row_class, const int* row_rotation,
    const int* row_shift, const int* row_slice, int n_shifts, float share,
    int* image, int* class_index, int* rotation, int* shift, int* slice, float* weight,
    float* total)
{
    __shared__ int64 last;
    const int64 low = first[blockIdx.x], high = first[blockIdx.x + 1];
    const double* mine = best + (int64)blockIdx.x * BEST_COLUMNS;
    const float floor = share * (float)mine[BEST_PROBABILITY];
    double sum = 0.0;
    for (int64 n = low + threadIdx.x; n < high; n += THREADS)
        if (row_max[n] > floor)
            for (int t = 0; t < n_shifts; ++t) sum += posterior[n * n_shifts + t];
    const float scale = (float)((1.0 - mine[JUNK_PROBABILITY]) / block_sum(sum));
    int64 before = kept_first[blockIdx.x];
    for (int64 start = low; start < high; start += THREADS) {
        const int64 n = start + threadIdx.x;
        const bool kept = n < high && row_max[n] > floor;
        const int64 place = block_scan(kept);
        if (kept) {
            const int64 to = before + place - 1;
            image[to] = row_image[n];
            class_index[to] = row_class[n];
            rotation[to] = row_rotation[n];
            shift[to] = row_shift[n];
            slice[to] = row_slice[n];
            float of_row = 0.0f;
            for (int t = 0; t < n_shifts; ++t) {
                const float value = posterior[n * n_shifts + t] * scale;
                weight[to * n_shifts + t] = value;
                of_row += value;
            }
            total[to] = of_row;
        }
        if (threadIdx.x == THREADS - 1) last = place;
        __syncthreads();
        before += last;
    }
}

// Turn sums over fine shifts into sums over poses: coarse shift and image; and their weights: one
// thread per row and component.
extern "C" __global__ void weigh_rows(
    const int* row_image, const int* row_shift, const float* total, const float2* images,
    const float2* shift_phase, const float* ctf2, int64 n_rows, int64 n_components,
    float2* numerator, float* denominator)
{
    const int64 i = (int64)blockIdx.x * THREADS + threadIdx.x;
    if (i >= n_rows * n_components) return;
    const int64 n = i / n_components, p = i % n_components;
    const int64 of_image = row_image[n] * n_components + p;
    const float2 x = images[of_image], t = shift_phase[row_shift[n] * n_components + p];
    const float re = x.x * t.x - x.y * t.y, im = x.x * t.y + x.y * t.x;
    const float2 sum = numerator[i];
    numerator[i].x = sum.x * re - sum.y * im;
    numerator[i].y = sum.x * im + sum.y * re;
    denominator[i] = total[n] * ctf2[of_image];
}

// Power that the references explain, summed over the rows of each of some parts: a thread per part
// and component. The sum over all parts has a fixed order.
extern "C" __global__ void explained_power(
    const float2* slices, const int* row_slice, const float2* numerator, const float* denominator,
    int64 n_rows, int64 n_components, int rows_per_part, int64 n_values, double* parts)
{
    const int64 i = (int64)blockIdx.x * THREADS + threadIdx.x;
    if (i >= n_values) return;
    const int64 p = i % n_components, low = i / n_components * rows_per_part;
    const int64 high = min(low + rows_per_part, n_rows);
    double sum = 0.0;
    for (int64 n = low; n < high; ++n) {
        const float2 a = slices[row_slice[n] * n_components + p];
        const float2 x = numerator[n * n_components + p];
        const float own = denominator[n * n_components + p] * (a.x * a.x + a.y * a.y);
        sum += 2.0f * (a.x * x.x + a.y * x.y) - own;
    }
    parts[i] = sum;
}
