"""Small datasets of cryoSPARC, with the fields and types of real ones."""

import mrcfile
import numpy as np

BLOB = [
    ("blob/path", "S80"),
    ("blob/idx", "<u4"),
    ("blob/shape", "<u4", (2,)),
    ("blob/psize_A", "<f4"),
    ("blob/sign", "<f4"),
    ("blob/import_sig", "<u8"),
]
CTF = [
    ("ctf/type", "S9"),
    ("ctf/exp_group_id", "<u4"),
    ("ctf/accel_kv", "<f4"),
    ("ctf/cs_mm", "<f4"),
    ("ctf/amp_contrast", "<f4"),
    ("ctf/df1_A", "<f4"),
    ("ctf/df2_A", "<f4"),
    ("ctf/df_angle_rad", "<f4"),
    ("ctf/phase_shift_rad", "<f4"),
    ("ctf/scale", "<f4"),
    ("ctf/scale_const", "<f4"),
    ("ctf/shift_A", "<f4", (2,)),
    ("ctf/tilt_A", "<f4", (2,)),
    ("ctf/trefoil_A", "<f4", (2,)),
    ("ctf/tetra_A", "<f4", (4,)),
    ("ctf/anisomag", "<f4", (4,)),
    ("ctf/bfactor", "<f4"),
]
LOCATION = [
    ("location/micrograph_uid", "<u8"),
    ("location/exp_group_id", "<u4"),
    ("location/micrograph_path", "S40"),
    ("location/micrograph_shape", "<u4", (2,)),
    ("location/center_x_frac", "<f4"),
    ("location/center_y_frac", "<f4"),
]


def alignment_fields(result="alignments3D", *, classes=None):
    """The fields of a result with poses; with `classes`, an axis of classes."""
    pose = () if result == "alignments2D" else (3,)
    shapes = {"shift": (2,), "pose": pose}
    kinds = {"split": "<u4", "class": "<u4"}
    names = ("split", "shift", "pose", "psize_A", "error", "cross_cor", "alpha", "weight",
             "class_posterior", "class", "class_ess")  # fmt: skip
    axis = () if classes is None else (classes,)
    return [(f"{result}/{n}", kinds.get(n, "<f4"), axis + shapes.get(n, ())) for n in names]


def make_dataset(n=6, fields=None, *, seed=1, box=32, pixel_size=1.345):
    """A structured array of `n` particles in two stacks; numbers are random unless they matter."""
    rng = np.random.default_rng(seed)
    fields = [*BLOB, *CTF, *alignment_fields()] if fields is None else fields
    table = np.zeros(n, dtype=[("uid", "<u8"), *fields])
    for name in table.dtype.names:
        kind = table.dtype[name].base.kind
        shape = table[name].shape
        if kind == "f":
            table[name] = rng.normal(size=shape)
        elif kind == "u":
            table[name] = rng.integers(0, 2, size=shape)
    half = n // 2
    known = {
        "uid": rng.integers(2**63, 2**64 - 1, size=n, dtype=np.uint64),
        "blob/path": [b">J7/extract/a_particles.mrc"] * half + [b"J7/extract/b.mrcs"] * (n - half),
        "blob/idx": np.r_[np.arange(half), np.arange(n - half)],
        "blob/shape": box,
        "blob/psize_A": pixel_size,
        "blob/sign": 1,
        "ctf/type": b"imported",
        "ctf/exp_group_id": np.where(np.arange(n) < half, 3, 23),
        "ctf/accel_kv": np.where(np.arange(n) < half, 300, 200),
        "ctf/cs_mm": 2.7,
        "ctf/amp_contrast": 0.1,
        "ctf/df1_A": rng.uniform(8000, 25000, n),
        "ctf/df2_A": rng.uniform(8000, 25000, n),
        "location/micrograph_path": b"J2/motion/m.mrc",
    }
    for name, values in known.items():
        if name in table.dtype.names:
            table[name] = values
    for name in table.dtype.names:
        if name.endswith("/psize_A"):
            table[name] = pixel_size if name == "blob/psize_A" else 2 * pixel_size
        elif name.endswith("/class_posterior"):
            table[name] = rng.uniform(size=table[name].shape)
    return table


def save(path, table):
    """Write a dataset, as cryoSPARC does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.save(file, table, allow_pickle=False)
    return path


def write_stacks(project, table, *, images=None, seed=2):
    """Write the stacks of a dataset into a project folder; return the images (N, n, n)."""
    n, box = len(table), int(table["blob/shape"][0, 0])
    if images is None:
        images = np.random.default_rng(seed).normal(size=(n, box, box))
    images = np.asarray(images, dtype=np.float32)
    for name in np.unique(table["blob/path"]):
        rows = np.flatnonzero(table["blob/path"] == name)
        path = project / name.decode().removeprefix(">")
        path.parent.mkdir(parents=True, exist_ok=True)
        stack = np.zeros((len(rows), box, box), dtype=np.float32)
        stack[table["blob/idx"][rows]] = images[rows]
        with mrcfile.new(path, overwrite=True) as file:
            file.set_data(stack)
            file.set_image_stack()
            file.voxel_size = float(table["blob/psize_A"][0])
    return images
