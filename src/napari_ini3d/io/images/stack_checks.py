"""Checks of the headers of stacks against the particles that refer to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_ini3d.errors import StackError
from napari_ini3d.io.mrc.stack import StackHeader, read_stack_header
from napari_ini3d.particles import Particles


def check_stacks(particles: Particles) -> dict[int, StackHeader]:
    """Check the header of every stack with particles against the STAR file.

    Returns
    -------
    dict
        Headers by position in `particles.stack_paths`.

    Raises
    ------
    StackError
        For the first error of `inspect_stacks`.
    """
    headers, errors = inspect_stacks(particles)
    if errors:
        raise errors[0]
    return headers


def inspect_stacks(particles: Particles) -> tuple[dict[int, StackHeader], list[StackError]]:
    """Return the headers of the stacks, and the errors, at most one per stack and optics group."""
    n_groups = len(particles.optics)
    pairs = np.unique(particles.stack_index.astype(np.int64) * n_groups + particles.optics_index)
    last = np.full(len(particles.stack_paths), -1, dtype=np.int64)
    np.maximum.at(last, particles.stack_index, particles.image_index)
    headers: dict[int, StackHeader] = {}
    errors: list[StackError] = []
    for stack, position in (divmod(pair, n_groups) for pair in pairs.tolist()):
        path, group = particles.stack_paths[stack], particles.optics[position]
        try:
            if stack not in headers:
                header = read_stack_header(path)
                _check_last_image(path, header, int(last[stack]))
                headers[stack] = header
            _check_box(path, headers[stack].nx, group.box_size, group.number)
        except StackError as error:
            errors.append(error)
    return headers, errors


def _check_last_image(path: Path, header: StackHeader, last: int) -> None:
    if last >= header.n_images:
        raise StackError(
            f"{path}: a particle refers to image {last + 1}, but the stack has {header.n_images}; "
            "extract the particles again, or use the STAR file that belongs to the stack"
        )


def _check_box(path: Path, box_size: int, expected: int, group: int) -> None:
    if box_size != expected:
        raise StackError(
            f"{path}: images of {box_size} pixels, but rlnImageSize of optics group {group} is "
            f"{expected}; correct data_optics or extract the particles again"
        )
    if box_size % 2:
        raise StackError(
            f"{path}: an odd box of {box_size} pixels; expected an even one; "
            f"extract the particles again in a box of {box_size + 1}"
        )
