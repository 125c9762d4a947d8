// The best pose of each image, as a record of BEST_COLUMNS numbers.
#include "common.cuh"

// Of the coarse grid, with the weight of each rotation over all shifts: one block per image.
extern "C" __global__ void coarse_best_poses(
    const float* weights, const double* summary, int n_shifts, int n_rotations, int n_classes,
    float share, float* per_rotation, double* best)
{
    const int64 image = blockIdx.x;
    weights += image * n_shifts * n_rotations;
    per_rotation += image * n_rotations;
    summary += 4 * image;
    best += BEST_COLUMNS * image;
    const Found largest = rotation_weights(weights, n_shifts, n_rotations, per_rotation);
    int significant = 0;
    for (int r = threadIdx.x; r < n_rotations; r += THREADS)
        significant += per_rotation[r] > share * largest.value;
    const double n_significant = block_sum(significant);
    if (threadIdx.x > 0) return;
    const int of_class = n_rotations / n_classes, row = (int)summary[2];
    best[LOG_EVIDENCE] = summary[0];
    best[BEST_PROBABILITY] = summary[1];
    best[N_SIGNIFICANT] = n_significant;
    best[BEST_CLASS] = row / of_class;
    best[BEST_ROTATION] = row % of_class;
    best[BEST_SHIFT] = summary[3];
    best[BEST_FINE_SHIFT] = 0.0;
    best[JUNK_PROBABILITY] = 0.0;
    best[OVERLAP] = 0.0;
    best[REFERENCE_POWER] = 0.0;
}

// Of the fine grid, with the probability of junk; `cells` is the log of the volume of a fine pose,
// `odds` the log odds of junk a priori: one thread per image.
extern "C" __global__ void fine_best_poses(
    const double* summary, const float* norm, const int* row_class, const int* row_rotation,
    const int* row_shift, const float* start, const float* shifts, const float* fine_shifts,
    const float* class_share, const float* class_bias, float narrowness, float limit2,
    const float* scale, const double* ball, const float* excess, const double* null_count,
    const double* null_limit, double cells, double odds, int n_images, int n_classes, int n_shells,
    int* n_significant, double* best)
{
    const int64 b = (int64)blockIdx.x * THREADS + threadIdx.x;
    if (b >= n_images) return;
    summary += 5 * b;
    best += BEST_COLUMNS * b;
    const int64 row = (int64)summary[2];
    const int k = row_class[row], s = row_shift[row], t = (int)summary[3];
    const ShiftPrior shift_prior = {narrowness, limit2};
    const float prior = shift_prior.at(
        start[2 * b] + shifts[2 * s] + fine_shifts[2 * t],
        start[2 * b + 1] + shifts[2 * s + 1] + fine_shifts[2 * t + 1])
        + class_share[k] + class_bias[b * n_classes + k];

    double contaminant = 0.0;
    for (int i = 0; i < n_shells; ++i) {
        const double power = excess[b * n_shells + i];
        if (power > null_limit[i] && power > 1.0)
            contaminant += null_count[i] * (power - 1.0 - log(power));
    }
    const double high = fmax(ball[b], 0.0), low = fmin(ball[b], 0.0);
    const double featureless = high + log1p(exp(low - high)) - LOG_2;  // noise or a ball
    const double log_odds = fmax(featureless, contaminant) - (summary[0] + cells) + odds;

    n_significant[b] = (int)summary[4];
    best[LOG_EVIDENCE] = summary[0];
    best[BEST_PROBABILITY] = summary[1];
    best[N_SIGNIFICANT] = summary[4];
    best[BEST_CLASS] = k;
    best[BEST_ROTATION] = row_rotation[row];
    best[BEST_SHIFT] = s;
    best[BEST_FINE_SHIFT] = t;
    best[JUNK_PROBABILITY] = (float)(1.0 / (1.0 + exp(-fmin(fmax(log_odds, -50.0), 50.0))));
    // log p = overlap - power / 2 + log prior, with the scale of the image in both
    best[OVERLAP] = (summary[0] + log(summary[1]) + norm[row] - prior) / scale[b];
    best[REFERENCE_POWER] = 2.0 * norm[row] / ((double)scale[b] * scale[b]);
}
