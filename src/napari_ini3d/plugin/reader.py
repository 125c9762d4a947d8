"""Reader for maps, particles, and folders of runs and jobs; napari calls `get_reader`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import mrcfile
import numpy as np

from napari_ini3d._types import FloatArray, IntArray
from napari_ini3d.errors import InputError, MapError
from napari_ini3d.io import (
    HEADER_BYTES,
    PARTICLE_ENDINGS,
    ImageStack,
    StackHeader,
    StackReader,
    may_have_particles,
    read_map,
    read_particles,
    read_stack_header,
)
from napari_ini3d.plugin.layers import (
    LayerData,
    LazyFrames,
    class_colour,
    layer_name,
    map_layer,
    particle_layer,
    run_layer,
)
from napari_ini3d.runs import RunFolder, find_job_files, history_iterations, read_history

Reader = Callable[[str | Sequence[str]], list[LayerData]]
Kind = Literal["map", "stack", "particles", "run", "job"]

_MAP_ENDINGS = (".mrc", ".map", ".ccp4")
_CLASS_MAP = re.compile(r"run_(?:ct\d+_)?it(\d+)_class(\d+)\.mrc")


def get_reader(path: str | Sequence[str]) -> Reader | None:
    """Return the function that reads `path`, or None if the plugin does not read such files.

    It reads cubic MRC maps, MRC stacks of images (``.mrcs``), STAR files with particle images,
    datasets of cryoSPARC (``.cs``), run folders, and the folders of RELION's jobs. Only headers are
    checked here. A file that cannot be opened is accepted, so that reading it reports the error.
    """
    kinds = {_kind_of(Path(p)) for p in _as_list(path)}
    return read_layers if kinds and None not in kinds else None


def read_layers(path: str | Sequence[str]) -> list[LayerData]:
    """Read files, run folders and the folders of RELION's jobs as layers.

    Raises
    ------
    InputError
        If one cannot be used.
    """
    layers = read_files(path)
    _prepare_viewer(layers)
    return layers


def read_files(path: str | Sequence[str]) -> list[LayerData]:
    """Read files and run folders as `read_layers`, but leave the window alone, for a thread."""
    return [layer for p in _as_list(path) for layer in _read_one(Path(p))]


def read_map_layer(path: Path) -> LayerData:
    """Read a map (MRC) as an isosurface, with its voxel size.

    Raises
    ------
    MapError
        If the file is not a cubic map.
    """
    found = read_map(path, allow_odd=True, allow_empty=True)
    known = {"path": str(path), "file_origin": found.origin}
    return map_layer(found.data, found.voxel_size, layer_name(path), metadata=known)


def read_particle_layer(path: Path) -> LayerData:
    """Read the particles of a STAR file or a dataset of cryoSPARC.

    Images are read when they are shown.

    Raises
    ------
    InputError
        If the file or one of its stacks cannot be used.
    """
    particles, table = read_particles(path, ctf=False)
    source = StackReader(particles)
    side = source.box_size
    frames = LazyFrames(
        len(source), (1, 1, side, side), lambda index: source.read(index).images[:, None, None]
    )
    known = {"path": str(path), "features": dict(table.particles), "particles": particles}
    return particle_layer(frames, source.pixel_size, layer_name(path), known)


def read_stack_layer(path: Path) -> LayerData:
    """Read a stack of images (MRC) without a STAR file.

    Raises
    ------
    StackError
        If it is not a complete stack of square images.
    """
    header = read_stack_header(path)
    stack = ImageStack(path, header)

    def read(index: IntArray) -> FloatArray:
        images = np.empty((len(index), header.ny, header.nx), dtype=np.float32)
        stack.read(index, images)
        return images[:, None, None]

    frames = LazyFrames(header.n_images, (1, 1, header.ny, header.nx), read)
    return particle_layer(frames, _pixel_size(path), layer_name(path), {"path": str(path)})


def read_run_layers(folder: Path) -> list[LayerData]:
    """Read the maps of a run: one layer per class, one frame per iteration.

    Written maps are used, and those of `history/` if they have the full size. Maps are read when
    they are shown. Runs of RELION can be read, too.

    Raises
    ------
    MapError
        If there are no maps, or they differ in size.
    """
    found = find_class_maps(folder)
    if not found:
        raise MapError(
            f"{folder} has no map run_itNNN_classMMM.mrc; expected the output folder of a run that "
            "has written maps"
        )
    return [_read_class(folder, k, maps, len(found)) for k, maps in sorted(found.items())]


def find_class_maps(folder: Path) -> dict[int, dict[int, Path]]:
    """Return the maps of a run folder: class (from 0) -> iteration -> path, ascending."""
    matches = ((_CLASS_MAP.fullmatch(p.name), p) for p in folder.iterdir())
    named = sorted((int(m[1]), int(m[2]) - 1, p) for m, p in matches if m)
    found: dict[int, dict[int, Path]] = {}
    for iteration, class_index, path in named:
        found.setdefault(class_index, {})[iteration] = path
    return found


def _read_class(folder: Path, class_index: int, maps: dict[int, Path], n_classes: int) -> LayerData:
    side = _common_side(list(maps.values()))
    iterations = sorted({*maps, *_kept_iterations(folder, class_index, side)})

    def read(index: IntArray) -> FloatArray:
        return np.stack([_read_frame(folder, class_index, maps, iterations[i]) for i in index])

    name = folder.absolute().name
    return run_layer(
        LazyFrames(len(iterations), (side,) * 3, read),
        read_map(maps[max(maps)], allow_odd=True, allow_empty=True).voxel_size,
        name if n_classes == 1 else f"{name} class {class_index + 1}",
        colormap=class_colour(class_index, n_classes),
        metadata={"path": str(folder), "class_index": class_index, "iterations": iterations},
    )


def _read_frame(
    folder: Path, class_index: int, maps: dict[int, Path], iteration: int
) -> FloatArray:
    if iteration in maps:
        return read_map(maps[iteration], allow_odd=True, allow_empty=True).data
    return read_history(RunFolder(folder), iteration, class_index)[0]


def _kept_iterations(folder: Path, class_index: int, side: int) -> list[int]:
    """Return the iterations in the history of a run, if its maps have the full size."""
    run = RunFolder(folder)
    kept = history_iterations(run, class_index)
    if not kept or read_history(run, kept[0], class_index)[0].shape[0] != side:
        return []
    return kept


def _common_side(paths: Sequence[Path]) -> int:
    headers = [read_stack_header(path) for path in paths]
    side = headers[-1].nx
    for path, header in zip(paths, headers, strict=True):
        if not header.nx == header.ny == header.n_images == side:
            raise MapError(
                f"{path}: {_sides(header)} voxels; expected a cube of {side} as {paths[-1].name}; "
                "move the maps of other runs to another folder"
            )
    return side


def _sides(header: StackHeader) -> str:
    return f"{header.nx} x {header.ny} x {header.n_images}"


def _read_one(path: Path) -> list[LayerData]:
    kind = _kind_of(path)
    if kind == "run":
        return read_run_layers(path)
    if kind == "job":
        return _read_job(path)
    if kind == "particles":
        return [read_particle_layer(path)]
    return [read_stack_layer(path) if kind == "stack" else read_map_layer(path)]


def _read_job(folder: Path) -> list[LayerData]:
    """Read the maps, class averages and particles of a RELION job."""
    found = find_job_files(folder)
    layers = [read_map_layer(path) for path in found.maps]
    if found.class_averages is not None:
        layers.append(read_stack_layer(found.class_averages))
    if found.particles is not None:
        layers.append(read_particle_layer(found.particles))
    return layers


def _kind_of(path: Path) -> Kind | None:
    name = path.name.lower()
    if path.is_dir():
        if any(_CLASS_MAP.fullmatch(p.name) for p in path.iterdir()):
            return "run"
        return "job" if find_job_files(path) else None
    if name.endswith(".mrcs"):
        return "stack"
    if name.endswith(PARTICLE_ENDINGS):
        return "particles" if _may_have_particles(path) else None
    if name.removesuffix(".gz").endswith(_MAP_ENDINGS):
        return "map" if _may_be_a_cube(path) else None
    return None


def _may_have_particles(path: Path) -> bool:
    """Tell whether a file may have particles; True if it cannot be read, to show the error."""
    try:
        return may_have_particles(path)
    except (OSError, InputError):
        return True


def _may_be_a_cube(path: Path) -> bool:
    """Tell whether a file may be a cubic map rather than a movie or tomogram, by its header."""
    if path.name.lower().endswith(".gz"):
        return True
    try:
        with open(path, "rb") as file:
            raw = file.read(HEADER_BYTES)
    except OSError:
        return True
    if len(raw) < HEADER_BYTES:
        return True
    sides = np.frombuffer(raw, dtype="i4", count=3)
    return bool((sides == sides[0]).all())  # in either byte order


def _pixel_size(path: Path) -> float:
    """Return the pixel size of a header (Å), 0 if it has none."""
    with mrcfile.open(path, mode="r", header_only=True, permissive=True) as file:
        size = float(file.voxel_size.x)
    return round(size, 6) if np.isfinite(size) and size > 0 else 0.0


def _as_list(path: str | Sequence[str]) -> list[str]:
    return [path] if isinstance(path, str) else list(path)


def _prepare_viewer(layers: list[LayerData]) -> None:
    """Prepare the current viewer for maps among layers; by default napari shows them mirrored."""
    if "napari" in sys.modules:
        from napari import current_viewer

        from napari_ini3d.plugin.viewer import prepare_for_opened_maps

        viewer = current_viewer()
        if viewer is not None:
            prepare_for_opened_maps(viewer, layers)
