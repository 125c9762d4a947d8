"""Jobs files: several runs in one YAML file."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_ini3d._setting import check_field
from napari_ini3d.errors import Ini3dError, SettingsError
from napari_ini3d.io import ParticleFiles, parse_classes, read_yaml
from napari_ini3d.preflight import check_path_name, check_symmetry
from napari_ini3d.settings import InitialModelSettings, check_types, setting_types

_OF_A_JOB = ("name", "output")
_OF_PARTICLES = ("particles", "passthrough", "project", "classes_2d", "from_class_averages")
_DEFAULTS = "defaults"


@dataclass(frozen=True, slots=True)
class BatchJob:
    """A run of a jobs file.

    Attributes
    ----------
    name : str
    files : ParticleFiles
    output : Path
        Folder of the run.
    settings : InitialModelSettings
    """

    name: str
    files: ParticleFiles
    output: Path
    settings: InitialModelSettings


@dataclass(frozen=True, slots=True)
class Batch:
    """The runs of a jobs file, in its order."""

    path: Path
    jobs: tuple[BatchJob, ...]


def read_batch(path: Path) -> Batch:
    """Read a jobs file, and check all that it says; particles are not read.

    The file has a list ``jobs``, and may have ``defaults`` for all of them. A job has an
    ``output``, ``particles``, a ``name`` if that of the output does not serve, the options of
    particle files, and any setting by its name. Relative paths are relative to the jobs file.

    Parameters
    ----------
    path : Path

    Raises
    ------
    InputError
        If it is no YAML.
    SettingsError
        With all that is wrong in it, one line each.
    """
    content, reader = read_yaml(path), _Reader(path.parent)
    if not isinstance(content, dict) or not isinstance(content.get("jobs"), list):
        raise SettingsError(
            f"{path} has no list of jobs; expected `jobs:`, and below it for each run "
            "`- output: FOLDER` with its particles and settings"
        )
    with reader.of("the file"):
        for key in content.keys() - {"jobs", _DEFAULTS}:
            reader.refuse(_unknown(key, ["jobs", _DEFAULTS]))
    with reader.of(_DEFAULTS):
        defaults = reader.values(content.get(_DEFAULTS) or {}, allowed=_names())
    found = [reader.job(i, each, defaults) for i, each in enumerate(content["jobs"], 1)]
    jobs = tuple(job for job in found if job is not None)
    _check_together(jobs, reader)
    if not found:
        reader.refuse("there are no jobs; list at least one below `jobs:`")
    if reader.problems:
        raise SettingsError("\n".join(f"{path}: {problem}" for problem in reader.problems))
    return Batch(path, jobs)


@dataclass
class _Reader:
    """Makes jobs of what is in a file, and collects what is wrong.

    Attributes
    ----------
    folder : Path
        To which paths are relative.
    problems : list of str
    """

    folder: Path
    problems: list[str] = field(default_factory=list)
    _place: str = ""

    @contextmanager
    def of(self, place: str) -> Iterator[None]:
        """Name the place in the file in the problems that are found in the context."""
        self._place = f"{place}: "
        yield
        self._place = ""

    def refuse(self, problem: str) -> None:
        """Add a problem."""
        self.problems.append(self._place + problem)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Add errors as problems."""
        try:
            yield
        except Ini3dError as error:
            self.refuse(str(error))

    def job(self, number: int, given: Any, defaults: Mapping[str, Any]) -> BatchJob | None:
        """Return a job; None if something in it is wrong."""
        before = len(self.problems)
        with self.of(_title(number, given)):
            own = self.values(given, allowed=(*_OF_A_JOB, *_names()))
            values = {**defaults, **own}
            for name in ("particles", "output"):
                if name not in values and len(self.problems) == before:
                    self.refuse(f"it has no {name}; add a line such as `{name}: PATH`")
            if len(self.problems) > before:
                return None
            with self.collecting():
                return self._make_job(given, values)
        return None

    def _make_job(self, given: Mapping[str, Any], values: dict[str, Any]) -> BatchJob:
        files = ParticleFiles(
            values.pop("particles"),
            values.pop("passthrough", ()),
            values.pop("project", None),
            classes_2d=values.pop("classes_2d", ()),
            class_averages=values.pop("from_class_averages", False),
        )
        output = values.pop("output")
        name = values.pop("name", str(given["output"]))
        settings = InitialModelSettings(**values)
        check_symmetry(settings)
        for path in (*files.all_paths, output):
            check_path_name(path)
        return BatchJob(name, files, output, settings)

    def values(self, given: Any, *, allowed: tuple[str, ...]) -> dict[str, Any]:
        """Return the values of a mapping that are right; the others are refused."""
        if not isinstance(given, dict):
            self.refuse(f"found {given!r:.60}; expected lines of the form `name: value`")
            return {}
        found = {}
        for name, value in given.items():
            if name not in allowed:
                self.refuse(_unknown(name, allowed))
                continue
            with self.collecting():
                found[name] = self._value(name, value)
        return found

    def _value(self, name: str, value: Any) -> Any:
        """Return a value as `ParticleFiles` and the settings have it.

        Raises
        ------
        SettingsError
            If it is of another type, or out of its bounds.
        """
        if name in setting_types():
            return self._setting(name, value)
        if name == "name" and isinstance(value, (str, int, float)):
            return str(value)
        if name == "from_class_averages" and isinstance(value, bool):
            return value
        if name == "classes_2d" and isinstance(value, (str, int, list)):
            return parse_classes(
                ",".join(map(str, value)) if isinstance(value, list) else str(value)
            )
        if name == "passthrough" and isinstance(value, (str, list)):
            listed = value if isinstance(value, list) else [value]
            return tuple(self._path(name, each) for each in listed)
        return self._path(name, value)

    def _setting(self, name: str, value: Any) -> Any:
        kind = setting_types()[name]
        check_types({name: value})
        if kind.plain is float and value is not None:
            value = float(value)
        check_field(name, value, InitialModelSettings.__dataclass_fields__[name].metadata["info"])
        return str(self._path(name, value)) if name == "scratch" and value is not None else value

    def _path(self, name: str, value: Any) -> Path:
        if not isinstance(value, str) or not value:
            raise SettingsError(f"{name} is {value!r:.60}; expected a path")
        return self.folder / Path(value).expanduser()


def _check_together(jobs: tuple[BatchJob, ...], reader: _Reader) -> None:
    """Refuse jobs of the same name, and jobs that would write to the same folder."""
    for name, count in Counter(job.name for job in jobs).items():
        if count > 1:
            reader.refuse(f"{count} jobs are called {name!r}; give each another `name`")
    places = [(job, job.output.resolve()) for job in jobs]
    for i, (job, place) in enumerate(places):
        for earlier, other in places[:i]:
            if place == other:
                said = f"have one output, {job.output}"
            elif place in other.parents or other in place.parents:
                said = "have outputs one of which lies in the other"
            else:
                continue
            reader.refuse(
                f"the jobs {earlier.name!r} and {job.name!r} {said}; give each a folder of its own"
            )


def _names() -> tuple[str, ...]:
    return (*_OF_PARTICLES, *setting_types())


def _title(number: int, given: Any) -> str:
    names = [given[key] for key in _OF_A_JOB if key in given] if isinstance(given, dict) else []
    return f"job {number}" + (f" ({names[0]})" if names else "")


def _unknown(name: Any, allowed: tuple[str, ...] | list[str]) -> str:
    near = difflib.get_close_matches(str(name).replace("-", "_"), allowed, 1)
    advice = f"did you mean {near[0]}?" if near else "`ini3d run --help` lists the settings"
    return f"{name!r} is no key that is known here; {advice}"
