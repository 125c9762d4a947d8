"""Point groups of a run, judged by its particles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_ini3d.engine import GroupLikelihood, compare_group
from napari_ini3d.geometry import PointGroup, RigidTransform
from napari_ini3d.io import temporary_folder
from napari_ini3d.jobs.posed_run import PosedRun
from napari_ini3d.runs import RunClass, RunFolder

_MOST_PARTICLES = 2000
_DEVIATIONS = 3.0  # of the mean, that are more than chance


@dataclass(frozen=True, slots=True)
class GroupJudgement:
    """What the particles say about a point group of their map.

    Attributes
    ----------
    group : str
    n_particles : int
        That were compared.
    gain : float
        Mean change of the log likelihood of a particle when the group is imposed.
    deviation : float
        Standard deviation of this mean.
    control : float
        The same change for a group about random axes.
    """

    group: str
    n_particles: int
    gain: float
    deviation: float
    control: float

    @classmethod
    def of(cls, found: GroupLikelihood) -> GroupJudgement:
        """Return the means over the particles."""
        return cls(
            group=found.group,
            n_particles=len(found.gain),
            gain=float(found.gain.mean()),
            deviation=found.deviation,
            control=float(found.control.mean()),
        )

    @property
    def verdict(self) -> str:
        """The result in words."""
        change = f"{self.gain:+.2f} ± {self.deviation:.2f}"
        if abs(self.gain) <= _DEVIATIONS * self.deviation:
            said = "does not change the log likelihood of a particle"
        elif self.gain > 0:
            said = "raises the log likelihood of a particle"
        else:
            said = "lowers the log likelihood of a particle"
        return f"imposing {self.group} {said} ({change}; about random axes {self.control:+.2f})"

    def values(self) -> dict[str, Any]:
        """Return the result as values that JSON can hold."""
        return {
            "group": self.group,
            "particles": self.n_particles,
            "gain": round(self.gain, 6),
            "deviation": round(self.deviation, 6),
            "control": round(self.control, 6),
            "verdict": self.verdict,
        }


def judge_groups(
    path: Path,
    chosen: RunClass,
    groups: Sequence[tuple[str, RigidTransform]],
    *,
    threads: int = 0,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[GroupJudgement]:
    """Yield for each group whether imposing it raises the likelihood of particles.

    Up to 2,000 particles of the class are compared with maps of others, without the group, with it,
    and with it about random axes, after a short re-alignment to each.

    Parameters
    ----------
    path : Path
        Folder of the run.
    chosen : RunClass
    groups : sequence of (str, RigidTransform)
        Name, and the transform (Å) of the map to RELION's axes of the group.
    threads : int
        0 means as many as the process may use.
    stop : callable
        Called between the comparisons.

    Raises
    ------
    Ini3dError
        If the particles cannot be read, or are too few.
    """
    folder = RunFolder.open(path)
    for name, transform in groups:
        with temporary_folder() as temporary:
            target = temporary / "aligned.star"
            posed = PosedRun.read(
                folder, chosen.particles_path, chosen.class_index, transform, target
            ).thinned(_MOST_PARTICLES)
            settings = posed.settings.with_changes(threads=threads)
            with closing(posed.open_images(threads)) as images:
                found = compare_group(
                    images,
                    posed.particles,
                    settings,
                    posed.poses,
                    PointGroup.parse(name),
                    stop=stop,
                )
        if found is None:
            return
        yield GroupJudgement.of(found)
