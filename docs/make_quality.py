"""Pages of the benchmarks, made from `benchmarks/results`: `python docs/make_quality.py FOLDER`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

UNIT = re.compile(r"(?<=\d) (?=(?:Å|s|MB|GiB)$)")  # a space before a unit does not break a line
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
NAMES = {
    "pha": "a tetramer, SNR 0.1",
    "asym": "no symmetry, SNR 0.05",
    "junkpref": "60 % in preferred views, 30 % junk",
    "d7": "double ring, D7",
    "ico": "icosahedral shell",
}


def load(name: str) -> Any:
    """Return the results of a benchmark."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    cells = ([UNIT.sub("\u00a0", str(cell)) for cell in line] for line in lines)
    return "".join("| " + " | ".join(line) + " |\n" for line in cells)


def source(name: str) -> str:
    """Return the line that names the file, its date and its command."""
    found = load(name)
    facts = found if isinstance(found, dict) else {}
    program = facts.get("command", "").removeprefix("python ").split(" --")[0]
    if ".py" in program:
        script = next(word for word in program.split() if word.endswith(".py"))
        program = f"benchmarks/{script.removeprefix('benchmarks/')}"
    command = f", by `{program}`" if program else ""
    date = f", {facts['date']}" if "date" in facts else ""
    note = f" {facts['note'][0].upper()}{facts['note'][1:].rstrip('.')}." if "note" in facts else ""
    return f"*From `benchmarks/results/{name}.json`{date}{command}.*{note}\n"


def format_maps() -> str:
    """Return the page of the resolution of maps, compared with the truth."""
    relion = load("relion_reference")["sets"]
    ratio = load("relion_ratio")["relion_3.1.3"]
    rows = []
    for found in [*load("quality_pha")["sets"], *load("quality_sets")["sets"]]:
        name = found["name"]
        other = "not measured"
        if name == "pha":
            other = f"{ratio['fsc05']:.1f} Å (iteration {ratio['iteration']})"
        elif name in relion:
            iteration, last = max(relion[name]["iterations"].items(), key=lambda item: int(item[0]))
            other = f"{last['fsc05']:.1f} Å (iteration {iteration})"
        rows.append(
            (
                NAMES.get(name, name),
                len(found["runs"]),
                f"{found['median_fsc05']:.1f} Å",
                f"{found['worst_fsc05']:.1f} Å",
                f"{found['limit_fsc05']:.1f} Å",
                other,
                f"{found['median_wall_s']:.0f} s",
                f"{found['peak_rss_mb']} MB",
            )
        )
    head = ("set", "seeds", "median", "worst", "true angles", "RELION 3.1.3", "time", "memory")
    sources = ("quality_pha", "quality_sets", "relion_reference", "relion_ratio")
    return (
        "# Maps\n\nSimulated particles, made with RELION's forward model, and reconstructed in "
        "C1. The numbers are the resolution at which the FSC with the truth falls below 0.5; "
        "*true angles* is the map from the true poses, the best that is possible. Time and "
        "memory are of the version that was measured ([notes](notes.md)).\n\n"
        + table(head, rows)
        + "\n"
        + "\n".join(source(name) for name in sources)
        + "\n## Binned particles\n\n"
        + table(
            ("particles", "box", "first shell with an FSC below 0.5", "time"),
            [
                (
                    key,
                    f"{found['box_size']}²",
                    found["first_shell_below_0.5"],
                    f"{found['wall_s']} s",
                )
                for key, found in load("binning").items()
                if isinstance(found, dict)
            ],
        )
        + "\n"
        + source("binning")
        + "\n## Precision on a GPU, by rounding on a CPU\n\n"
        + table(
            ("precision", "FSC 0.5 with the truth", "mean FSC to 20 Å", "iterations"),
            [
                (key, f"{m['fsc05_truth_A']} Å", m["mean_fsc_20A_truth"], m["iterations"])
                for key, m in load("precision")["medians"].items()
            ],
        )
        + "\n"
        + source("precision")
    )


def format_robustness() -> str:
    """Return the page of particles with the faults of real ones."""
    found = load("robustness")
    rows = []
    for key, group in found["sets"].items():
        letter, phantom = key.split("/")
        for run in group["runs"]:
            rows.append(
                (
                    found["about"][letter],
                    phantom,
                    run["seed"],
                    f"{group['limit']:.1f} Å",
                    f"{run['fsc05']:.1f} Å",
                    f"{run['reported']:.1f} Å" if run.get("reported") else "–",
                    run["verdict"],
                    f"{run['wall_s']:.0f} s",
                )
            )
    missing = [
        f"{text} ({letter})"
        for letter, text in found["about"].items()
        if not any(key.startswith(letter + "/") for key in found["sets"])
    ]
    unannounced = [
        f"{found['about'][key[0]]} ({key[2:]})"
        for key, group in found["sets"].items()
        if group["failed_unannounced"]
    ]
    classes = [
        (key, len(one["runs"]), f"{one['median']:.2f}", f"{one['worst']:.2f}")
        for key, one in load("classes").items()
    ]
    head = (
        "set",
        "phantom",
        "seed",
        "true angles",
        "FSC 0.5 with the truth",
        "half-sets",
        "verdict",
        "time",
    )
    return (
        "# Robustness\n\n4,000 particles of two phantoms at an SNR of 0.05 unless said, with "
        "structural noise, a B-factor, errors of the defocus and of the scale, all "
        "reconstructed in C1. "
        "*Half-sets* is the resolution that the run reports (FSC of 0.143).\n\n"
        + table(head, rows)
        + f"\nNot run: {', '.join(missing) if missing else 'none'}. Missed the goal of the "
        "benchmark, and the verdict did not warn: "
        f"{'; '.join(unannounced) if unannounced else 'none'}.\n\n"
        + source("robustness")
        + "\n## Classes\n\nParticles of several states, classified into K classes: the adjusted "
        "Rand index of classes and states (1: every particle in the right class, 0: at random).\n\n"
        + table(("set", "seeds", "median", "worst"), classes)
        + "\n*From `benchmarks/results/classes.json`.*\n"
    )


def format_symmetry() -> str:
    """Return the page of the search for symmetry."""
    found = load("symmetry")
    errors = [
        (
            kind,
            one["cases"],
            f"{one['median']:.3f}°",
            f"{one['worst']:.2f}°",
            f"{one['centre worst']:.2f} voxels",
        )
        for kind, one in found["by kind"].items()
    ]
    relion = [
        (
            one["group"],
            one["box"],
            f"{one['detect_seconds']:.1f} s",
            f"{one['seconds']:.1f} s",
            f"{one['degrees_off']:.3f}°",
            f"{one['relion_seconds']:.0f} s",
            f"{one['relion_degrees_off']:.1f}°",
        )
        for one in found["relion"]
    ]
    cases = [
        (
            one["map"],
            f"{one['box']}³",
            one["deposited"] or "–",
            one["detected"],
            one["verdict"],
            f"{one['seconds']:.1f} s",
            *(
                f"{other['detected']}, {other['seconds']:.1f} s"
                for other in one.get("proshade", ())
            ),
        )
        for one in load("symmetry_cases")["maps"]
    ]
    proshade = [
        f"ProSHADE, {other['resolution']:g} Å"
        for other in load("symmetry_cases")["maps"][0].get("proshade", ())
    ]
    relaxed = [
        (
            one["case"],
            one["density"],
            one["snr"],
            one["number"],
            f"{one['in place before']:.0%}",
            f"{one['in place']:.0%}",
            f"{one['possible']:.0%}",
            f"{one['seconds']:.0f} s",
        )
        for one in load("relaxation")
    ]
    right, c1 = found["symmetric"], found["asymmetric"]
    return (
        "# Symmetry\n\nPhantoms in random orientation and off the middle of the box. The "
        f"right group was found in {right['right group']} of {right['cases']} symmetric maps, "
        f"C1 in {c1['right group']} of {c1['cases']} maps without symmetry.\n\n"
        + table(("maps", "cases", "error of the axis, median", "worst", "centre, worst"), errors)
        + "\n## Compared with `relion_align_symmetry`\n\n"
        + table(("group", "box", "detect", "align", "error", "RELION", "error of RELION"), relion)
        + "\n"
        + source("symmetry")
        + "\n## Maps of the EMDB\n\n"
        + table(("map", "box", "deposited", "detected", "verdict", "time", *proshade), cases)
        + "\nProSHADE 0.7.6.6 with its defaults, at two resolutions (`-r`).\n"
        + "\n"
        + source("symmetry_cases")
        + "\n## Relaxation\n\nThe share of particles in the right asymmetric unit: before, after, "
        "and as the map of the true units would place them. *Density* is that of the odd subunits "
        "relative to the others.\n\n"
        + table(
            ("case", "density", "SNR", "particles", "before", "after", "possible", "time"), relaxed
        )
        + "\n"
        + source("relaxation")
    )


def format_speed() -> str:
    """Return the page of speed and memory."""
    ratio, bench, large = load("relion_ratio"), load("bench"), load("large")
    step, star, memory = load("e_step"), load("star_reading"), load("memory")
    long = load("star_reading_10m")
    ours, theirs = ratio["ini3d"], ratio["relion_3.1.3"]
    boxes = [
        (
            one["particles"],
            one["own_grid"],
            one["working_grid"] if way == "working" else "own",
            f"{run['wall_s']:.0f} s",
            f"{run['peak_rss_gib']} GiB",
            f"{run['fsc_0.5_angstrom']} Å",
        )
        for one in load("working_box")["sets"].values()
        for way, run in one.items()
        if way in {"working", "own"}
    ]
    whole = large["whole"]
    return (
        "# Speed and memory\n\n## A whole run\n\n"
        + table(
            ("program", "time", "FSC 0.5 with the truth"),
            [
                (
                    "ini3d",
                    f"{ours['wall_s_after']} s ({ours['wall_s_before']} s the first time)",
                    f"{ours['fsc05']} Å",
                ),
                (
                    f"RELION 3.1.3, to iteration {theirs['iteration']}",
                    f"{theirs['wall_s']} s",
                    f"{theirs['fsc05']} Å",
                ),
            ],
        )
        + "\n"
        + source("relion_ratio")
        + "\n## `ini3d bench`\n\n"
        + table(
            ("stage", "seconds"),
            [
                *((f"`{key}`", value) for key, value in bench["seconds"].items()),
                ("total", bench["total_seconds"]),
            ],
        )
        + "\n"
        + source("bench")
        + "\n## The expectation\n\nMatrix products at the machine's peak rate would take "
        f"{step['products_share_of_whole_time_at_peak']:.0%} of its time.\n\n"
        + source("e_step")
        + "\n## Large boxes\n\n"
        + table(("particles", "box", "processed in", "time", "memory", "FSC 0.5"), boxes)
        + "\n"
        + source("working_box")
        + "\n## Many particles\n\n"
        + table(
            ("what", "measured"),
            [
                (
                    f"STAR file of {whole['particles']:,} particles is read in",
                    f"{whole['star_file_s']} s",
                ),
                ("a run over them starts after", f"{whole['start_up_s']} s"),
                ("memory of that run", f"{whole['peak_rss_gib']} GiB"),
                (
                    f"memory of a run over {memory['particles']:,} particles of "
                    f"{memory['box_size']}²",
                    f"{memory['peak_rss_mb']} MB",
                ),
                (
                    f"STAR file of {star['particles']:,} particles, beside other work, is read in",
                    f"{star['read_cpu_seconds']} s of processor time",
                ),
                (
                    f"one of {long['particles']:,} ({long['file_megabytes'] / 1000:.1f} GB)",
                    f"{long['read_cpu_seconds']} s of processor time, at most "
                    f"{long['peak_megabytes_after_reading'] / 1000:.1f} GB of memory",
                ),
            ],
        )
        + "\n"
        + "\n".join(
            source(name) for name in ("large", "memory", "star_reading", "star_reading_10m")
        )
    )


def format_reliability() -> str:
    """Return the page of runs that are killed, disks that are full, and damaged files."""
    outcomes = ("survived", "refused", "other")
    rows = [
        (fault, f"{sum(found.values()):,}", *(f"{found.get(key, 0):,}" for key in outcomes))
        for fault, found in load("faults").items()
    ]
    return (
        "# Reliability\n\nRuns that are killed or whose disk is full, and files in which bytes are "
        "changed, removed, repeated or truncated. *Survived*: the run that was started again has "
        "the files of a run without faults, byte for byte; a damaged file was read, or logged and "
        "ignored. *Refused*: an error that says what to do. What is promised, and how this was "
        "tested: [Reliability of runs](../reliability.md).\n\n"
        + table(("fault", "cases", "survived", "refused", "other"), rows)
        + "\n"
        + source("faults")
    )


def pages() -> dict[str, str]:
    """Return the pages by their path in the site."""
    return {
        "quality/maps.md": format_maps(),
        "quality/robustness.md": format_robustness(),
        "quality/symmetry.md": format_symmetry(),
        "quality/speed.md": format_speed(),
        "quality/reliability.md": format_reliability(),
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for name, text in pages().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
