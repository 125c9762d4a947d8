"""Posterior weights from scores, significant rotations, and conjugate products, by Numba."""

from __future__ import annotations

import math

import numpy as np

from napari_ini3d._types import Complex64, Float32, Float64, Int32
from napari_ini3d.kernels.numba_jit import jit

_LOWEST = np.float32(-3.4e38)  # the kernels are compiled for finite numbers: no -inf


# Loops that reduce floats to a maximum, or that write to their input, are not vectorised: hence
# the integers and the buffers.


@jit
def _largest(values: Float32) -> np.float32:
    """Return the largest value, by comparing bits as integers of the same order."""
    bits = values.view(np.int32)  # negative floats are in reverse order as integers
    top = np.int32(-0x80000000)
    for j in range(bits.shape[0]):
        top = max(top, bits[j] ^ ((bits[j] >> np.int32(31)) & np.int32(0x7FFFFFFF)))
    found = np.empty(1, np.int32)
    found[0] = top ^ ((top >> np.int32(31)) & np.int32(0x7FFFFFFF))
    largest: np.float32 = found.view(np.float32)[0]
    return largest


@jit
def _exp_row(x: Float32, bits: Int32, out: Float32) -> None:
    """Write e^x for x <= 0 to `out`, another array, 0 below -20; relative error 1e-6.

    2^f on [-1/2, 1/2] is a Taylor polynomial, 2^i is set through the exponent's bits, so that
    the loop vectorises (a call of exp does not).
    """
    power = bits.view(np.float32)  # 2^i, once the exponent is in the bits
    for j in range(x.shape[0]):
        y = max(x[j], np.float32(-80.0)) * np.float32(1.4426950408889634)
        i = np.int32(y - np.float32(0.5))  # the nearest: y <= 0, and numbers are cut towards 0
        f = y - np.float32(i)
        bits[j] = (i + np.int32(127)) << np.int32(23)
        p = np.float32(1.5403530e-4)  # ln(2)^n / n!, n = 6 to 0
        p = p * f + np.float32(1.3333558e-3)
        p = p * f + np.float32(9.6181291e-3)
        p = p * f + np.float32(5.5504109e-2)
        p = p * f + np.float32(2.4022651e-1)
        p = p * f + np.float32(6.9314718e-1)
        out[j] = p * f + np.float32(1.0)
    for j in range(x.shape[0]):
        out[j] = out[j] * power[j] if x[j] > np.float32(-20.0) else np.float32(0.0)


@jit
def dense_posterior(scores: Float32, norm: Float32, log_prior: Float32, summary: Float64) -> None:
    """Convert scores to posterior weights, in place.

    Parameters
    ----------
    scores : (B, S, R) float32
        In: cross terms of image and reference. Out: posterior weights, which sum to 1 for each
        image.
    norm : (B, R) float32
        Half the power of each reference, times CTF² / σ² of the image; subtracted from the scores.
    log_prior : (B, S, K) float32
        For each shift and class; the R rotations are K equal blocks.
    summary : (B, 4) float64
        Output: log evidence, largest weight, its rotation, its shift.
    """
    n_images, n_shifts, n_rotations = scores.shape
    block = n_rotations // log_prior.shape[2]  # rotations of one class
    bits = np.empty(n_rotations, np.int32)
    buffer = np.empty(n_rotations, np.float32)
    row_max = np.empty(n_shifts, np.float32)
    for b in range(n_images):
        power = norm[b]
        # first pass: the largest score, so that exponentials cannot overflow
        best = _LOWEST
        best_s = 0
        for s in range(n_shifts):
            row = scores[b, s]
            for r in range(n_rotations):
                row[r] -= power[r]
            row_max[s] = _LOWEST
            for k in range(log_prior.shape[2]):
                of_class = _largest(row[k * block : (k + 1) * block]) + log_prior[b, s, k]
                row_max[s] = max(row_max[s], of_class)
            if row_max[s] > best:
                best, best_s = row_max[s], s
        # second pass: weights relative to the best; a shift without any above e^-20 is skipped
        total = np.float64(0.0)
        for s in range(n_shifts):
            row = scores[b, s]
            if row_max[s] < best - 20:
                row[:] = 0
                continue
            for k in range(log_prior.shape[2]):
                offset = log_prior[b, s, k] - best
                for r in range(k * block, (k + 1) * block):
                    buffer[r] = min(row[r] + offset, np.float32(0))
            _exp_row(buffer, bits, row)
            part = np.float32(0.0)
            for r in range(n_rotations):
                part += row[r]
            total += part
        # the best rotation, at the best shift
        largest = _largest(scores[b, best_s])
        best_r = 0
        while scores[b, best_s, best_r] < largest:
            best_r += 1
        scale = np.float32(1.0 / total)  # third pass: the weights of an image sum to 1
        for s in range(n_shifts):
            if row_max[s] >= best - 20:
                row = scores[b, s]
                for r in range(n_rotations):
                    row[r] *= scale
        summary[b, 0] = best + math.log(total)
        summary[b, 1] = 1.0 / total  # the best weight was e^0
        summary[b, 2] = best_r
        summary[b, 3] = best_s


@jit
def significant_rotations(
    weights: Float32, share: float, most: int, rotation: Int32, shift: Int32, count: Int32
) -> None:
    """Find the rotations of each image that have significant posterior weight.

    A rotation is significant if its weight, summed over the shifts, is at least `share` of the
    image's largest; of these, at most the `most` largest are kept.

    Parameters
    ----------
    weights : (B, S, R) float32
    share : float
    most : int
    rotation, shift : (B, most) int32
        Output: the rotations in order of decreasing weight, and the best shift of each.
    count : (B,) int32
        Output: the number of rotations kept.
    """
    n_images, n_shifts, n_rotations = weights.shape
    marginal = np.empty(n_rotations, np.float32)  # (R,), summed over shifts
    for b in range(n_images):
        marginal[:] = 0
        for s in range(n_shifts):
            for r in range(n_rotations):
                marginal[r] += weights[b, s, r]
        floor = _largest(marginal) * np.float32(share)
        kept = 0
        for r in range(n_rotations):
            value = marginal[r]
            if value < floor or (kept == most and value <= marginal[rotation[b, most - 1]]):
                continue
            kept = min(kept + 1, most)
            place = kept - 1  # behind those with as much weight: ties stay in order
            while place > 0 and marginal[rotation[b, place - 1]] < value:
                rotation[b, place] = rotation[b, place - 1]
                place -= 1
            rotation[b, place] = r
        count[b] = kept
        for j in range(kept):
            best = 0
            for s in range(1, n_shifts):
                if weights[b, s, rotation[b, j]] > weights[b, best, rotation[b, j]]:
                    best = s
            shift[b, j] = best


def conjugate_products(
    slices: Complex64,
    row_slice: Int32,
    row_image: Int32,
    row_shift: Int32,
    images: Complex64,
    shift_phase: Complex64,
    ctf2: Float32,
    out: Complex64,
    norm: Float32,
) -> None:
    """Multiply images by the complex conjugate of the slices they are compared with.

    Parameters
    ----------
    slices : (R, P) complex64
    row_slice, row_image, row_shift : (N,) int32
        Slice, image and coarse shift of each row; fastest if the rows of one image and shift are
        consecutive.
    images : (B, P) complex64
        CTF · X / σ².
    shift_phase : (S, P) complex64
    ctf2 : (B, P) float32
        CTF² / σ².
    out : (N, P) complex64
        Output: image · phase · conj(slice).
    norm : (N,) float32
        Output: half the sum of ctf2 · |slice|².
    """
    parts = (array.view(np.float32) for array in (slices, images, shift_phase, out))
    _conjugate_products(*parts, row_slice, row_image, row_shift, ctf2, norm)


@jit
def _conjugate_products(
    slices: Float32,
    images: Float32,
    shift_phase: Float32,
    out: Float32,
    row_slice: Int32,
    row_image: Int32,
    row_shift: Int32,
    ctf2: Float32,
    norm: Float32,
) -> None:
    # real arithmetic in short loops is vectorised
    n_components = ctf2.shape[1]
    real, imag = np.empty(n_components, np.float32), np.empty(n_components, np.float32)
    image, shift = np.int32(-1), np.int32(-1)
    for n in range(row_slice.shape[0]):
        # rows of one image and shift are consecutive: shift the image once for all of them
        if row_image[n] != image or row_shift[n] != shift:
            image, shift = row_image[n], row_shift[n]
            x, t = images[image], shift_phase[shift]
            for p in range(n_components):
                real[p] = x[2 * p] * t[2 * p] - x[2 * p + 1] * t[2 * p + 1]
                imag[p] = x[2 * p] * t[2 * p + 1] + x[2 * p + 1] * t[2 * p]
        a, c, o = slices[row_slice[n]], ctf2[image], out[n]
        for p in range(n_components):  # (real + i imag) · conj(a)
            o[2 * p] = real[p] * a[2 * p] + imag[p] * a[2 * p + 1]
            o[2 * p + 1] = imag[p] * a[2 * p] - real[p] * a[2 * p + 1]
        total = np.float32(0.0)
        for p in range(n_components):
            total += c[p] * (a[2 * p] * a[2 * p] + a[2 * p + 1] * a[2 * p + 1])
        norm[n] = np.float32(0.5) * total
