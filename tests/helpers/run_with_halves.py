"""A finished run whose map has independent half-maps."""

from fake_runs import make_record, make_report
from symmetry_driver import POSES_STAR

from napari_ini3d.io import write_map
from napari_ini3d.runs import IterationSummary, RunFolder, ValidationFiles
from napari_ini3d.runs.validation_files import FSC_CURVES
from napari_ini3d.settings import InitialModelSettings


def write_run(path, halves, voxel_size, *, classes=1):
    """Write a run of two iterations; the halves and the map belong to its first class."""
    folder = RunFolder.create(path)
    folder.write_record(make_record(settings=InitialModelSettings(classes=classes)))
    volume = (halves[0] + halves[1]) / 2
    for iteration in (1, 2):
        report = make_report(iteration, 2, classes=classes)
        folder.iteration_path(iteration, "data.star").write_text(POSES_STAR)
        folder.append_progress(IterationSummary.from_report(report).to_json())
        for k in range(classes):
            shown = volume * iteration if k == 0 else volume[:, :, ::-1]
            write_map(folder.class_map_path(iteration, k), shown, voxel_size)
    write_map(folder.map_path, volume, voxel_size)
    files = ValidationFiles(folder)
    for target, half in zip(files.half_map_paths, halves, strict=True):
        write_map(target, half, voxel_size)
    files.write_facts(
        {
            "verdict": "reliable",
            "reasons": [],
            "resolution_0143": 10.0,
            "resolution_05": 12.0,
            "box_size": len(volume),
            "voxel_size": voxel_size,
            "fsc": {name: [1.0, 0.5] for name in FSC_CURVES},
        }
    )
    return folder
