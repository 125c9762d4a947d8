"""Summary of an iteration: scalars, curves, and small slices and projections of the maps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from napari_ini3d._types import AnyArray, FloatArray
from napari_ini3d.fourier import MAP_CRITERION

if TYPE_CHECKING:
    from napari_ini3d.engine import IterationReport

PICTURE_SIZE = 96
"""Maximum number of pixels per side of a stored slice or projection."""

LINE_HEADER = " iteration phase    resolution   step   subset   Pmax  junk   change    time"
"""The columns of `format_line`."""

_DIGITS = 6
_LEAST_PERCENT = 0.5  # of junk that is mentioned
_STARVED = 0.1  # share of a class, relative to equal ones, below which it is called empty
_JUNK_BINS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class IterationSummary:
    """Scalars and curves of an `IterationReport`, as plain numbers.

    Units are those of `IterationReport`. Values that are not finite are NaN, and null in JSON.
    `resolution`, `class_shares` and `map_change` have one entry per class, `ssnr` and `fsc` one
    list per class with one entry per shell. `junk` is the expected share of the images that show no
    particle like that of the map, over the particles used so far; NaN in the random starts, and in
    runs that did not record it. `searches_to_come` is the number of searches, each with its
    refinement, that follow the current one: 1 where starts with a point group were tried.
    """

    iteration: int
    n_iterations: int
    phase: str
    start: int
    message: str
    converged: bool
    box_size: int
    voxel_size: float
    resolution: list[float]
    angular_step: float
    offset_range: float
    offset_step: float
    current_size: int
    subset_size: int
    step_size: float
    mean_max_probability: float
    class_shares: list[float]
    map_change: list[float]
    fsc: list[list[float]]
    ssnr: list[list[float]]
    seconds: dict[str, float]
    junk: float = math.nan
    searches_to_come: int = 0

    @classmethod
    def from_report(cls, report: IterationReport) -> Self:
        """Make the summary of a report."""
        values = {
            field.name: _plain(getattr(report, field.name))
            for field in fields(cls)
            if field.name not in ("box_size", "junk", "searches_to_come")
        }
        return cls(
            box_size=int(report.volumes.shape[-1]),
            junk=_plain(_junk_share(report)),
            searches_to_come=report.state.searches_to_come,
            **values,
        )

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Self:
        """Make a summary from the mapping that `to_json` returns; unknown names are ignored."""
        names = [f.name for f in fields(cls) if f.default is MISSING or f.name in line]
        return cls(**{name: _with_nan(line[name]) for name in names})

    def to_json(self) -> dict[str, Any]:
        """Return a mapping for JSON, with None for values that are not finite."""
        return {name: _without_nan(value) for name, value in asdict(self).items()}

    @property
    def best_resolution(self) -> float:
        """Å, of the best class; NaN if no class has a resolution."""
        finite = [value for value in self.resolution if math.isfinite(value)]
        return min(finite, default=math.nan)

    @property
    def total_seconds(self) -> float:
        """Wall time of the iteration: the stage "total", or the sum of the stages."""
        return self.seconds.get("total", math.fsum(self.seconds.values()))


def describe_resolution(value: float, missing: str = "no resolution yet") -> str:
    """Return the resolution (Å) of a map of an iteration with its criterion, or what is missing."""
    return f"{value:.1f} Å ({MAP_CRITERION})" if math.isfinite(value) else missing


def format_line(summary: IterationSummary) -> str:
    """Return an iteration as a line of text, with the columns of `LINE_HEADER`."""
    resolution = summary.best_resolution
    shown = f"{resolution:8.1f} Å" if math.isfinite(resolution) else "       - Å"
    junk = f"{100 * summary.junk:3.0f} %" if math.isfinite(summary.junk) else "    -"
    line = (
        f"{summary.iteration:5d}/{summary.n_iterations:<4d} {summary.phase:8s} {shown} "
        f"{summary.angular_step:6.2f}° {summary.subset_size:8d} "
        f"{summary.mean_max_probability:6.3f} {junk} {max(summary.map_change, default=0.0):8.4f} "
        f"{summary.total_seconds:5.1f} s"
    )
    return f"{line}  {summary.message}".rstrip()


def describe_junk(summary: IterationSummary) -> str:
    """Return the share of junk after an iteration as a sentence; empty if there is none."""
    percent = 100 * summary.junk
    if not percent >= _LEAST_PERCENT:  # or NaN
        return ""
    return (
        f"{percent:.0f} % of the images show no particle like that of the map; `ini3d select` "
        "leaves them out"
    )


def describe_result(map_name: str, summary: IterationSummary) -> list[str]:
    """Return which class is the result of a run, which ones are empty, and the share of junk.

    Parameters
    ----------
    map_name : str
    summary : IterationSummary
        Of the last iteration.

    Returns
    -------
    list of str
        Sentences.
    """
    share = max(summary.class_shares)
    best = summary.class_shares.index(share)
    chosen = f"{map_name} is class {best + 1}, with {100 * share:.0f} % of the particles"
    return [chosen, *filter(None, [_describe_starved(summary), describe_junk(summary)])]


def _describe_starved(summary: IterationSummary) -> str:
    """Return which classes hold hardly any particles, as a sentence; empty if none does."""
    n = len(summary.class_shares)
    starved = [
        f"class {i + 1} ({share:.1%})"
        for i, share in enumerate(summary.class_shares)
        if share < _STARVED / n
    ]
    if not starved:
        return ""
    verb = "holds" if len(starved) == 1 else "hold"
    return f"{', '.join(starved)} {verb} hardly any particles; fewer than {n} classes explain them"


def make_pictures(report: IterationReport) -> dict[str, AnyArray]:
    """Return the arrays of an iteration that the report page draws.

    Returns
    -------
    dict
        ``slices`` and ``projections`` (K, 3, m, m) float16 along z, y and x;
        ``view_counts`` (K, M) and ``sigma2_noise`` (G, n // 2 + 1) float32; ``junk_counts``, the
        particles used so far in bins of their probability of junk from 0 to 1.
    """
    junk_counts, _ = np.histogram(_junk_probability(report), _JUNK_BINS, (0, 1))
    return {
        "slices": np.stack([_scaled(central_slices(v)) for v in report.volumes]),
        "projections": np.stack([_scaled(projections(v)) for v in report.volumes]),
        "view_counts": np.asarray(report.view_counts, dtype=np.float32),
        "sigma2_noise": np.asarray(report.sigma2_noise, dtype=np.float32),
        "junk_counts": junk_counts,
    }


def central_slices(volume: FloatArray) -> FloatArray:
    """Return the slices (3, n, n) through the box centre, perpendicular to z, y and x."""
    centre = volume.shape[0] // 2
    return np.stack([np.take(volume, centre, axis=axis) for axis in range(3)])


def projections(volume: FloatArray) -> FloatArray:
    """Return the projections (3, n, n) along z, y and x."""
    return np.stack([volume.sum(axis=axis) for axis in range(3)])


def shrink(images: FloatArray, size: int) -> FloatArray:
    """Downsample images (..., n, n) to `size` by Fourier cropping; their mean stays the same.

    Images that are not larger than `size` are returned unchanged.
    """
    n = images.shape[-1]
    if n <= size:
        return images
    low, high = n // 2 - size // 2, n // 2 - size // 2 + size
    axes = (-2, -1)
    centred = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(images, axes=axes)), axes=axes)
    cropped = np.fft.ifftshift(centred[..., low:high, low:high], axes=axes)
    small = np.fft.fftshift(np.fft.ifft2(cropped).real, axes=axes) * (size / n) ** 2
    return np.asarray(small, dtype=images.dtype)


def _junk_probability(report: IterationReport) -> FloatArray:
    """Return the probability of junk of the particles used so far."""
    return report.assignments.junk_probability[report.assignments.class_index >= 0]


def _junk_share(report: IterationReport) -> float:
    probability = _junk_probability(report)
    if report.phase == "starts" or not probability.size:
        return math.nan
    return float(probability.mean(dtype=np.float64))


def _scaled(images: FloatArray) -> npt.NDArray[np.float16]:
    """Shrink images, and divide them by their largest magnitude to fit half precision."""
    small = shrink(np.asarray(images, dtype=np.float32), PICTURE_SIZE)
    peak = float(np.abs(small).max())
    return (small / peak if peak > 0 else small).astype(np.float16)


def _plain(value: Any) -> Any:
    """Convert arrays, NumPy scalars and mappings to lists, numbers and dicts."""
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    return value


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _with_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_nan(item) for item in value]
    return math.nan if value is None else value
