"""User configuration: the last settings and the list of runs; no Qt.

Two small JSON files in the user's configuration folder. A file that cannot be read is ignored.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import platformdirs

from napari_ini3d.errors import Ini3dError, InputError, SettingsError
from napari_ini3d.io import atomic_path
from napari_ini3d.runs import changed_settings
from napari_ini3d.settings import STORED_VERSION, InitialModelSettings, from_stored

logger = logging.getLogger(__name__)

_MOST_RUNS = 200


@dataclass(frozen=True, slots=True)
class FormState:
    """Content of the form: particles, output folder, settings and cluster."""

    particles: str
    output: str
    settings: InitialModelSettings
    cluster: str = ""


def config_folder() -> Path:
    """Return the configuration folder of the plugin."""
    return Path(platformdirs.user_config_dir("napari-ini3d", appauthor=False))


def save_form_state(path: Path, state: FormState) -> None:
    """Write the content of a form as JSON.

    Raises
    ------
    RunFolderError
        If the file cannot be written.
    """
    values = {"particles": state.particles, "output": state.output, "cluster": state.cluster}
    stored = {"settings_version": STORED_VERSION, "settings": asdict(state.settings)}
    text = json.dumps({**values, **stored}, indent=2)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def load_form_state(path: Path) -> FormState:
    """Read the content of a form, from a saved file or from `settings.json` of a run folder.

    Raises
    ------
    InputError
        If the file has no settings.
    SettingsError
        If a setting in it is out of range.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        known = {field.name for field in fields(InitialModelSettings)}
        values = from_stored(data["settings"], data.get("settings_version"))
        values = {name: value for name, value in values.items() if name in known}
        particles, output = str(data.get("particles", "")), str(data.get("output", ""))
        cluster = str(data.get("cluster", ""))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} has no settings ({error}); choose a file saved by this dock, or the "
            "settings.json of a run folder"
        ) from error
    if data.get("mask_estimated"):
        values["mask_diameter"] = None
    if data.get("inversion_measured"):
        values["invert_contrast"] = "auto"
    return FormState(particles, output, InitialModelSettings(**values), cluster)


def remember_settings(settings: InitialModelSettings, cluster: str = "") -> None:
    """Save the settings that differ from the defaults and the cluster, without the particles."""
    kept = changed_settings(settings)
    for name in ("mask_diameter", "invert_contrast"):  # depend on the particles
        kept.pop(name, None)
    values = {"settings_version": STORED_VERSION, "settings": kept, "cluster": cluster}
    _write("settings.json", values)


def remembered_cluster() -> str:
    """Return the saved cluster; empty for this machine."""
    found = _read("settings.json", {}).get("cluster", "")
    return found if isinstance(found, str) else ""


def remembered_settings(defaults: InitialModelSettings) -> InitialModelSettings:
    """Return the defaults with the saved settings applied."""
    found = _read("settings.json", {})
    version = found.get("settings_version")
    values = found if version is None else found.get("settings")  # version 1: settings only
    try:
        return defaults.with_changes(**from_stored(values, version))
    except (SettingsError, TypeError) as error:
        logger.info("the saved settings are ignored: %s", error)
        return defaults


def recorded_cluster(run: Path) -> str:
    """Return the cluster on which a run was last; empty if it was on one machine, or is unknown."""
    try:
        return load_form_state(run / "settings.json").cluster
    except Ini3dError:
        return ""


def remember_run(folder: Path) -> None:
    """Add a run at the top of the list."""
    others = [run for run in known_runs() if run != folder]
    _write("runs.json", [str(run) for run in [folder, *others][:_MOST_RUNS]])


def forget_run(folder: Path) -> None:
    """Remove a run from the list; its folder stays."""
    _write("runs.json", [str(run) for run in known_runs() if run != folder])


def known_runs() -> list[Path]:
    """Return the folders of the runs, newest first."""
    return [Path(text) for text in _read("runs.json", []) if isinstance(text, str)]


def _read(name: str, empty: Any) -> Any:
    try:
        found = json.loads((config_folder() / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return empty
    return found if isinstance(found, type(empty)) else empty


def _write(name: str, values: Any) -> None:
    path = config_folder() / name
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    except Ini3dError as error:
        logger.warning("%s; the settings and the list of runs are not remembered", error)
