"""Slow, obvious NumPy versions of the kernels, the transforms and the expectation.

They work in double precision on whole (not half) cubes: the component with frequency (x, y, z) is
``full[z + m, y + m, x + m + 1]``, also for negative x.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

JUNK_PRIOR = 0.1  # probability that an image is junk, before it was seen


def full_cube(half: np.ndarray) -> np.ndarray:
    """Return the whole cube (2m + 1, 2m + 1, 2m + 3) of a half cube, by Friedel's law."""
    mates = half[::-1, ::-1, :0:-1].conj()
    return np.concatenate([mates, half], axis=2).astype(np.complex128)


def half_cube(full: np.ndarray) -> np.ndarray:
    """Return the part of a whole cube with x >= 0."""
    return full[:, :, full.shape[2] // 2 :]


def random_cube(rng: np.random.Generator, m: int) -> np.ndarray:
    """Return a random half cube that belongs to a real map."""
    cube = rng.standard_normal((2, 2 * m + 1, 2 * m + 1, m + 2))
    cube = (cube[0] + 1j * cube[1]).astype(np.complex64)
    cube[:, :, 0] += cube[::-1, ::-1, 0].conj()
    return cube


def random_matrices(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return random rotation matrices (count, 3, 3) float32, by QR."""
    q, r = np.linalg.qr(rng.standard_normal((count, 3, 3)))
    q *= np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]
    q[:, :, 0] *= np.linalg.det(q)[:, None]
    return q.astype(np.float32)


def points_of(matrices: np.ndarray, kx: np.ndarray, ky: np.ndarray) -> np.ndarray:
    """Return the frequencies (R, P, 3), (x, y, z), of central sections."""
    k = np.stack([kx, ky, np.zeros_like(kx)], -1).astype(np.float64)
    return np.einsum("pi,rij->rpj", k, matrices.astype(np.float64))


def read_cube(full: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Interpolate a whole cube at points (..., 3), (x, y, z), trilinearly."""
    m = full.shape[0] // 2
    places = np.moveaxis(points[..., ::-1] + np.array([m, m, m + 1]), -1, 0)
    real, imaginary = (map_coordinates(part, places, order=1) for part in (full.real, full.imag))
    return real + 1j * imaginary


def project(half: np.ndarray, matrices: np.ndarray, kx: np.ndarray, ky: np.ndarray) -> np.ndarray:
    """Return central sections (R, P)."""
    return read_cube(full_cube(half), points_of(matrices, kx, ky))


def backproject(
    values: np.ndarray, matrices: np.ndarray, kx: np.ndarray, ky: np.ndarray, m: int
) -> np.ndarray:
    """Return the whole cube of slices (R, P), each component added with its Friedel mate."""
    full = np.zeros((2 * m + 1, 2 * m + 1, 2 * m + 3), np.complex128)
    points = points_of(matrices, kx, ky)
    for place, value in ((points, values), (-points, values.conj())):
        low = np.floor(place).astype(int)
        share = place - low
        for corner in np.ndindex(2, 2, 2):
            weight = np.prod(np.where(corner, share, 1 - share), axis=-1)
            x, y, z = np.moveaxis(low + corner, -1, 0)
            inside = weight > 0
            index = (z + m)[inside], (y + m)[inside], (x + m + 1)[inside]
            np.add.at(full, index, (weight * value)[inside])
    return full


def symmetrise(half: np.ndarray, operators: np.ndarray) -> np.ndarray:
    """Return the half cube summed over the operators, within a sphere of radius m - 1."""
    m = half.shape[0] // 2
    line = np.arange(-m, m + 1)
    z, y, x = np.meshgrid(line, line, np.arange(m + 2), indexing="ij")
    out = np.zeros(half.shape, np.complex128)
    inside = x**2 + y**2 + z**2 <= (m - 1) ** 2 + 1
    points = np.stack([x, y, z], -1)[inside].astype(np.float64)
    full = full_cube(half)
    for operator in operators.astype(np.float64):
        out[inside] += read_cube(full, points @ operator.T)
    return out


def dense_posterior(
    scores: np.ndarray, norm: np.ndarray, log_prior: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights (B, S, R) and the log evidence (B,)."""
    block = scores.shape[2] // log_prior.shape[2]
    log = scores.astype(np.float64) - norm[:, None, :] + np.repeat(log_prior, block, axis=2)
    top = log.max(axis=(1, 2), keepdims=True)
    weights = np.exp(log - top)
    total = weights.sum(axis=(1, 2), keepdims=True)
    return weights / total, (top + np.log(total))[:, 0, 0]


def significant_rotations(
    weights: np.ndarray, share: float, most: int
) -> list[list[tuple[int, int]]]:
    """Return (rotation, best shift) of each image's significant rotations, heaviest first."""
    found = []
    for image in weights:
        marginal = image.sum(axis=0)
        kept = [r for r in range(len(marginal)) if marginal[r] >= share * marginal.max()]
        kept.sort(key=lambda r, marginal=marginal: -marginal[r])
        found.append([(r, int(image[:, r].argmax())) for r in kept[:most]])
    return found


def conjugate_products(
    slices: np.ndarray,
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
    images: np.ndarray,
    shift_phase: np.ndarray,
    ctf2: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return products (N, P) and norms (N,) for rows (slice, image, shift)."""
    a, x, t = (table[row] for table, row in zip((slices, images, shift_phase), rows, strict=True))
    return x * t * a.conj(), (ctf2[rows[1]] * np.abs(a) ** 2).sum(1) / 2


def transform_at(image: np.ndarray, kx: np.ndarray, ky: np.ndarray) -> np.ndarray:
    """Return the Fourier components of an image (n, n) about pixel n // 2, over n²."""
    n = image.shape[0]
    line = np.arange(n) - n // 2
    y, x = np.meshgrid(line, line, indexing="ij")
    waves = [np.exp(-2j * np.pi * (u * x + v * y) / n) for u, v in zip(kx, ky, strict=True)]
    return np.array([(image * wave).sum() for wave in waves]) / n**2


def map_to_cube(volume: np.ndarray, m: int, padding: int) -> np.ndarray:
    """Return the half cube of a map (n, n, n) by the sum over its voxels, over n²."""
    n = volume.shape[0]
    line = np.arange(n) - n // 2
    whole = np.exp(-2j * np.pi * np.outer(np.arange(-m, m + 1), line) / (n * padding))
    half = np.exp(-2j * np.pi * np.outer(np.arange(m + 2), line) / (n * padding))
    return np.einsum("zyx,az,by,cx->abc", volume, whole, whole, half, optimize=True) / n**2


def cube_to_map(half: np.ndarray, n: int, padding: int) -> np.ndarray:
    """Return the map (n, n, n) of the Fourier components of a half cube."""
    full = full_cube(half)
    m, size = half.shape[0] // 2, n * padding
    line = np.arange(n) - n // 2
    whole = np.exp(2j * np.pi * np.outer(np.arange(-m, m + 1), line) / size)
    wide = np.exp(2j * np.pi * np.outer(np.arange(-m - 1, m + 2), line) / size)
    volume = np.einsum("abc,az,by,cx->zyx", full, whole, whole, wide, optimize=True)
    return volume.real * n**2 / size**3


@dataclass
class Pose:
    """A class, a rotation matrix and a shift."""

    class_index: int
    matrix: np.ndarray
    shift: np.ndarray


@dataclass
class Expectation:
    """The result of a brute-force expectation; cubes are whole cubes."""

    weights: list[np.ndarray]
    evidence: np.ndarray
    junk: np.ndarray
    numerator: np.ndarray
    denominator: np.ndarray
    explained: np.ndarray
    class_weight: np.ndarray
    best: list[Pose]


def log_posterior(
    references, tile, image: int, poses: list[Pose], box_size: int, n: int
) -> np.ndarray:
    """Return the log posterior, up to |X|², of each pose of an image, on n components."""
    kx, ky = references.disk.kx[:n].astype(float), references.disk.ky[:n].astype(float)
    slices = slices_of(references, poses, n)
    out = np.empty(len(poses))
    for i, pose in enumerate(poses):
        wave = shift_wave(kx, ky, pose.shift, box_size)
        out[i] = _log_fit(references, tile, image, slices[i], wave)
        out[i] += _log_prior(references, tile, image, pose)
    return out


def _log_fit(references, tile, image: int, values: np.ndarray, wave: np.ndarray) -> float:
    """Return the log likelihood of the values of a slice (n,), over that of noise alone."""
    overlap, power = overlap_and_power(references, tile, image, values, wave)
    scale = float(tile.scale[image])
    return scale * overlap - scale**2 * power / 2


def overlap_and_power(
    references, tile, image: int, values: np.ndarray, wave: np.ndarray
) -> tuple[float, float]:
    """Return Re(X* CTF·A) / σ² and CTF² |A|² / σ² of the values of a slice A, (n,)."""
    n = len(values)
    sigma2, ctf = _noise_of(references, tile, image, n), tile.ctf[image, :n].astype(float)
    x = tile.images[image, :n] * wave
    product = x.conj() * values * (1 if tile.premultiplied else ctf)
    power = (ctf * np.abs(values)) ** 2
    return float((product.real / sigma2).sum()), float((power / sigma2).sum())


def _noise_of(references, tile, image: int, n: int) -> np.ndarray:
    """Return the noise variance of each component of an image; a shell of less weight has more."""
    shell = references.disk.shell[:n]
    return tile.sigma2[shell].astype(float) / tile.shell_weight[image, shell]


def _log_prior(references, tile, image: int, pose: Pose) -> float:
    off = tile.from_expected[image] + pose.shift
    prior = -(off @ off) / (2 * references.sigma_offset_px**2)
    if np.hypot(*off) > references.offset_limit_px + 1:
        prior -= 1e6
    prior += references.log_class_share[pose.class_index]
    return float(prior + tile.class_bias[image, pose.class_index])


def log_sum_exp(values: np.ndarray) -> float:
    """Return the log of the sum of exp(values)."""
    return float(values.max() + np.log(np.exp(values - values.max()).sum()))


def ball_log_evidence(references, tile, image: int, box_size: int) -> float:
    """Return the log evidence of the rotational averages, shift by shift, over that of noise."""
    n = references.n_coarse
    kx, ky = references.disk.kx[:n].astype(float), references.disk.ky[:n].astype(float)
    terms = []
    for k, ball in enumerate(references.null.ball_pairs[:, ::2].astype(float)):
        for shift in references.shifts:
            fit = _log_fit(references, tile, image, ball, shift_wave(kx, ky, shift, box_size))
            terms.append(fit + _log_prior(references, tile, image, Pose(k, np.eye(3), shift)))
    cell = references.shift_step_px**2 / (2 * np.pi * references.sigma_offset_px**2)
    return log_sum_exp(np.array(terms)) + np.log(cell)


def junk_probability(references, tile, image: int, log_evidence: float, box_size: int) -> float:
    """Return the probability of junk of an image, from the log of its sum over fine poses."""
    cell = references.fine.step_px**2 / (2 * np.pi * references.sigma_offset_px**2)
    particle = log_evidence + np.log(cell / len(references.fine.grid.matrices))
    power = 0.0
    for e, n, limit in zip(
        tile.excess[image], references.null.count, references.null.limit, strict=True
    ):
        if e > limit:  # noise of e times the variance, over noise of the variance
            power += n * (-np.log(e) - e * (1 / e - 1))
    noise_or_ball = np.log((1 + np.exp(ball_log_evidence(references, tile, image, box_size))) / 2)
    junk = JUNK_PRIOR * np.exp(max(noise_or_ball, power) - particle)
    return float(junk / (junk + 1 - JUNK_PRIOR))


def slices_of(references, poses: list[Pose], n: int) -> np.ndarray:
    """Return the slice of each pose, (N, n)."""
    kx, ky = (
        references.disk.kx[:n] * references.padding,
        references.disk.ky[:n] * references.padding,
    )
    out = np.empty((len(poses), n), np.complex128)
    matrix, same = distinct_matrices(poses)
    of_class = np.array([p.class_index for p in poses])
    for k in np.unique(of_class):
        out[of_class == k] = project(references.cubes[k], matrix, kx, ky)[same[of_class == k]]
    return out


def distinct_matrices(poses: list[Pose]) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct matrices of poses, and the index of each pose's matrix."""
    rows = np.stack([p.matrix for p in poses]).reshape(-1, 9)
    matrix, same = np.unique(rows, axis=0, return_inverse=True)
    return matrix.reshape(-1, 3, 3), same.ravel()


def shift_wave(kx: np.ndarray, ky: np.ndarray, shift: np.ndarray, box_size: int) -> np.ndarray:
    """Return the phases that shift an image by (x, y), pixels."""
    return np.exp(-2j * np.pi * (kx * shift[0] + ky * shift[1]) / box_size)


def expect(
    references, tile, candidates: list[list[Pose]], box_size: int, kept: float = 0.0
) -> Expectation:
    """Compare each image with its candidate poses, one by one.

    Rotations (runs of poses, one for each fine shift) are excluded from the sums if the weight of
    their best pose is at most `kept` times the image's best.
    """
    n = len(references.disk) if references.fine is not None else references.n_coarse
    kx, ky = references.disk.kx[:n].astype(float), references.disk.ky[:n].astype(float)
    m, classes = references.cubes.shape[1] // 2, len(references.cubes)
    cubes = np.zeros((2, classes, 2 * m + 1, 2 * m + 1, 2 * m + 3), complex)
    of_images, of_shells = np.zeros((2, len(tile.images))), np.zeros(tile.excess.shape[1])
    found = Expectation([], *of_images, *cubes, of_shells, np.zeros(classes), [])
    for image, poses in enumerate(candidates):
        log = log_posterior(references, tile, image, poses, box_size, n)
        weights = np.exp(log - log.max())
        found.evidence[image] = log_sum_exp(log)
        if references.fine is not None:
            found.junk[image] = junk_probability(
                references, tile, image, found.evidence[image], box_size
            )
        weights /= weights.sum()
        found.weights.append(weights.copy())
        found.best.append(poses[int(weights.argmax())])
        if kept:
            runs = weights.reshape(-1, len(references.fine.shifts))
            runs[runs.max(1) <= kept * runs.max()] = 0
        weights *= (1 - found.junk[image]) / weights.sum()
        _add_sums(found, references, tile, image, (poses, weights), (kx, ky, box_size))
    return found


def _add_sums(found, references, tile, image, weighted_poses, waves) -> None:
    poses, weights = weighted_poses
    kx, ky, box_size = waves
    n = len(kx)
    sigma2, scale = _noise_of(references, tile, image, n), float(tile.scale[image])
    ctf = scale * tile.ctf[image, :n].astype(float)
    slices = slices_of(references, poses, n)
    matrix, same = distinct_matrices(poses)
    data = np.empty((len(poses), n), complex)
    for i, pose in enumerate(poses):
        x = tile.images[image, :n] * shift_wave(kx, ky, pose.shift, box_size)
        data[i] = x * (scale if tile.premultiplied else ctf)
    gain = 2 * (data.conj() * slices).real - (ctf * np.abs(slices)) ** 2
    gain *= tile.shell_weight[image, references.disk.shell[:n]]
    np.add.at(found.explained, references.disk.shell[:n], weights @ gain)
    of_class = np.array([p.class_index for p in poses])
    padded = kx * references.padding, ky * references.padding
    m = references.cubes.shape[1] // 2
    for k in np.unique(of_class):
        mine = of_class == k
        w = weights[mine, None]
        found.class_weight[k] += w.sum()
        values = np.zeros((2, len(matrix), n), complex)
        np.add.at(values[0], same[mine], w * data[mine] / sigma2)
        np.add.at(values[1], same[mine], w * ctf**2 / sigma2)
        found.numerator[k] += backproject(values[0], matrix, *padded, m)
        found.denominator[k] += backproject(values[1], matrix, *padded, m)
