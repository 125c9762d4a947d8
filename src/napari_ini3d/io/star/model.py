"""Model files (RELION's ``_model.star``): classes, spectra of the maps and of the noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_ini3d._types import AnyArray, FloatArray, IntArray
from napari_ini3d.errors import StarError
from napari_ini3d.io.star.blocks import LoopBlock, find_loops
from napari_ini3d.io.star.format import Pairs, write_tables
from napari_ini3d.io.star.rows import parse_rows

_NO_RESOLUTION = 999.0  # RELION's value for the shell of zero frequency


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTables:
    """Contents of a model file: K classes, G optics groups, S = n // 2 + 1 shells.

    Attributes
    ----------
    map_names : sequence of str
        K file names of the maps.
    box_size : int
    voxel_size : float
        Å.
    current_size : int
        Fourier box (pixels) of the comparison.
    padding_factor : int
    tau2_fudge : float
    sigma_offset : float
        Å, standard deviation of the prior on the shifts.
    log_likelihood, mean_max_probability : float
    class_shares, resolution : (K,) float
        Sum to 1; Å.
    ssnr, fsc, tau2, sigma2 : (K, S) float
        Spectral signal-to-noise ratio, half-set FSC, power of the map and of its noise.
    sigma2_noise : (G, S) float
        Noise variance of the images.
    group_names : sequence of str
        G names of optics groups.
    group_counts : (G,) int
        Number of particles in each.
    fourier_completeness : (K,) float, optional
        Fraction of the Fourier components up to the resolution with data.
    """

    map_names: Sequence[str]
    box_size: int
    voxel_size: float
    current_size: int
    padding_factor: int = 1
    tau2_fudge: float
    sigma_offset: float
    log_likelihood: float = 0.0
    mean_max_probability: float
    class_shares: FloatArray
    resolution: FloatArray
    ssnr: FloatArray
    fsc: FloatArray
    tau2: FloatArray
    sigma2: FloatArray
    sigma2_noise: FloatArray
    group_names: Sequence[str]
    group_counts: IntArray
    fourier_completeness: FloatArray | None = None


def write_model_star(path: Path | str, tables: ModelTables) -> None:
    """Write a model file: general values, classes, spectra of the classes and of the noise.

    The noise of each optics group is written twice: in the tables of RELION 3.1 (groups) and in
    those of RELION 4 and later (optics groups).

    Raises
    ------
    RunFolderError
        If the file cannot be written.
    """
    write_tables(path, {"model_general": _general(tables), **dict(_loops(tables))})


def replace_class_fsc(
    path: Path | str, class_index: int, *, resolution: float, fsc: FloatArray, ssnr: FloatArray
) -> None:
    """Replace resolution, FSC and SSNR of a class in a model file that `write_model_star` wrote.

    Parameters
    ----------
    path : Path or str
    class_index : int
        From 0.
    resolution : float
        Å.
    fsc, ssnr : (S,) array

    Raises
    ------
    StarError
        If the file has no such class, or another number of shells.
    RunFolderError
        If it cannot be written.
    """
    model = Path(path)
    try:
        tables = {block.name: _read_block(model, block) for block in find_loops(model)}
        classes, spectrum = tables["model_classes"], tables[f"model_class_{class_index + 1}"]
        if not len(spectrum["rlnSsnrMap"]) == len(fsc) == len(ssnr):
            raise ValueError("another number of shells")
        classes["rlnEstimatedResolution"][class_index] = resolution
        spectrum |= {"rlnGoldStandardFsc": fsc, "rlnSsnrMap": ssnr}
        best = float(classes["rlnEstimatedResolution"].min())
        tables["model_general"]["rlnCurrentResolution"] = best
    except (KeyError, IndexError, ValueError) as error:
        raise StarError(
            f"{model}: no classes as ini3d writes them; write the model again"
        ) from error
    write_tables(model, tables)


def _read_block(path: Path, block: LoopBlock) -> dict[str, Any]:
    """Return the columns of a table, or the values of a block of single values."""
    columns = parse_rows(path, block)
    if block.values is None:
        return columns
    return {label: column[0] for label, column in columns.items()}


def _loops(tables: ModelTables) -> Iterator[tuple[str, dict[str, AnyArray]]]:
    yield "model_classes", _class_columns(tables)
    for number in range(1, len(tables.map_names) + 1):
        yield f"model_class_{number}", _spectrum_columns(tables, number - 1)
    yield "model_groups", _group_columns(tables)
    yield "model_optics_groups", _optics_columns(tables)
    for kind in ("model_group", "model_optics_group"):
        for number, noise in enumerate(tables.sigma2_noise, 1):
            yield f"{kind}_{number}", _noise_columns(tables, noise)


def _general(tables: ModelTables) -> Pairs:
    return {
        "rlnReferenceDimensionality": 3,
        "rlnDataDimensionality": 2,
        "rlnOriginalImageSize": tables.box_size,
        "rlnCurrentResolution": float(np.min(tables.resolution)),
        "rlnCurrentImageSize": tables.current_size,
        "rlnPaddingFactor": float(tables.padding_factor),
        "rlnIsHelix": 0,
        "rlnFourierSpaceInterpolator": 1,
        "rlnMinRadiusNnInterpolation": 10,
        "rlnPixelSize": tables.voxel_size,
        "rlnNrClasses": len(tables.map_names),
        "rlnNrBodies": 1,
        "rlnNrGroups": len(tables.group_names),
        "rlnNrOpticsGroups": len(tables.group_names),
        "rlnTau2FudgeFactor": tables.tau2_fudge,
        "rlnNormCorrectionAverage": 1.0,
        "rlnSigmaOffsetsAngst": tables.sigma_offset,
        "rlnOrientationalPriorMode": 0,
        "rlnSigmaPriorRotAngle": 0.0,
        "rlnSigmaPriorTiltAngle": 0.0,
        "rlnSigmaPriorPsiAngle": 0.0,
        "rlnLogLikelihood": tables.log_likelihood,
        "rlnAveragePmax": tables.mean_max_probability,
    }


def _class_columns(tables: ModelTables) -> dict[str, AnyArray]:
    columns: dict[str, AnyArray] = {
        "rlnReferenceImage": np.array(tables.map_names, dtype=object),
        "rlnClassDistribution": np.asarray(tables.class_shares),
        "rlnEstimatedResolution": np.asarray(tables.resolution),
    }
    if tables.fourier_completeness is not None:
        columns["rlnOverallFourierCompleteness"] = np.asarray(tables.fourier_completeness)
    return columns


def _spectrum_columns(tables: ModelTables, k: int) -> dict[str, AnyArray]:
    return _shell_columns(tables, tables.ssnr.shape[1]) | {
        "rlnSsnrMap": tables.ssnr[k],
        "rlnGoldStandardFsc": tables.fsc[k],
        "rlnReferenceSigma2": tables.sigma2[k],
        "rlnReferenceTau2": tables.tau2[k],
    }


def _shell_columns(tables: ModelTables, n_shells: int) -> dict[str, AnyArray]:
    shell = np.arange(n_shells)
    frequency = shell / (tables.box_size * tables.voxel_size)
    angstrom = np.full(n_shells, _NO_RESOLUTION)
    angstrom[1:] = 1 / frequency[1:]
    return {
        "rlnSpectralIndex": shell,
        "rlnResolution": frequency,
        "rlnAngstromResolution": angstrom,
    }


def _group_columns(tables: ModelTables) -> dict[str, AnyArray]:
    n_groups = len(tables.group_names)
    return {
        "rlnGroupNumber": np.arange(1, n_groups + 1),
        "rlnGroupName": np.array(tables.group_names, dtype=object),
        "rlnGroupNrParticles": np.asarray(tables.group_counts),
        "rlnGroupScaleCorrection": np.ones(n_groups),
    }


def _optics_columns(tables: ModelTables) -> dict[str, AnyArray]:
    return {
        "rlnOpticsGroup": np.arange(1, len(tables.group_names) + 1),
        "rlnOpticsGroupName": np.array(tables.group_names, dtype=object),
        "rlnGroupNrParticles": np.asarray(tables.group_counts),
    }


def _noise_columns(tables: ModelTables, noise: FloatArray) -> dict[str, AnyArray]:
    columns = _shell_columns(tables, len(noise))
    del columns["rlnAngstromResolution"]
    return columns | {"rlnSigma2Noise": noise}
