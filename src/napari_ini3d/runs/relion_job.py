"""Files of a run that is an External job of RELION."""

from __future__ import annotations

import filecmp
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from napari_ini3d.io import NodeKind, OutputNode, write_output_nodes
from napari_ini3d.runs.export import result_map, result_particles
from napari_ini3d.runs.folder import Outcome, RunFolder
from napari_ini3d.runs.lock import check_unlocked
from napari_ini3d.runs.requests import RunRequests
from napari_ini3d.runs.storage import explain_os_errors
from napari_ini3d.runs.symmetry_files import SymmetryFiles

_JOB = "job.star"  # RELION writes the job's parameters to it before it starts the job


@dataclass(frozen=True, slots=True)
class RelionJob:
    """An External job: the folder that RELION made for it in the project.

    Attributes
    ----------
    name : str
        As RELION gives it, such as ``External/job012/``.
    project : Path
        Folder in which RELION starts its jobs, to which `name` is relative.
    """

    name: str
    project: Path

    @property
    def path(self) -> Path:
        """Folder of the job."""
        return self.project / self.name

    @property
    def folder(self) -> RunFolder:
        """The run."""
        return RunFolder(self.path.absolute())

    @property
    def log_path(self) -> Path:
        """The report as PDF, which RELION shows under the name of its own logs."""
        return self.folder.path / "logfile.pdf"

    @property
    def nodes_path(self) -> Path:
        """List of the output nodes."""
        return self.folder.path / "RELION_OUTPUT_NODES.star"

    @property
    def unsymmetrised_path(self) -> Path:
        """The map without symmetry, if `initial_model.mrc` has the symmetry imposed."""
        return self.folder.path / "initial_model_c1.mrc"

    @property
    def requests(self) -> RunRequests:
        """With which RELION asks a job to stop."""
        return RunRequests(self.folder.path)

    @property
    def is_made_by_relion(self) -> bool:
        """Whether RELION made the folder, and not a user."""
        return (self.path / _JOB).is_file()

    def prepare(self) -> None:
        """Make a folder that has files of RELION in it one that a run can be written to.

        Raises
        ------
        RunFolderError
            If another run is going on in it, or it cannot be written.
        """
        if not self.is_made_by_relion:
            return
        check_unlocked(self.path)
        with explain_os_errors(self.path):
            self.folder.clear_marks()
        self.requests.clear()
        self.folder.claim(self.log_path, self.nodes_path)

    def fail(self, *, aborted: bool = False) -> None:
        """Mark a job that failed, unless it is marked already or a user made its folder."""
        if self.is_made_by_relion and self.folder.outcome() is None:
            self.folder.mark("ABORTED" if aborted else "FAILURE")

    def end(self, *, aborted: bool) -> None:
        """Remove RELION's request to stop; mark a job that was stopped before its run began."""
        if aborted and self.path.is_dir() and self.folder.outcome() is None:
            self.folder.mark("ABORTED")
        self.requests.clear()

    def take_symmetrised(self) -> bool:
        """Make the symmetrised map the result, as RELION's job does, and return True.

        Without one, the result stays, and False is returned.
        """
        folder, symmetrised = self.folder, SymmetryFiles(self.folder).symmetrised_path
        if not symmetrised.is_file() or filecmp.cmp(symmetrised, folder.map_path):
            return False
        folder.claim(self.unsymmetrised_path, folder.map_path)
        with explain_os_errors(folder.path):
            os.replace(folder.map_path, self.unsymmetrised_path)
            shutil.copyfile(symmetrised, folder.map_path)
        return True

    def write_nodes(self, outcome: Outcome) -> list[OutputNode]:
        """Write the list of output nodes; of an aborted job, those of its last written iteration.

        Returns
        -------
        list of OutputNode
        """
        found: dict[NodeKind, Path | None] = {
            "map": result_map(self.folder, outcome),
            "particles": result_particles(self.folder),
            "log": self.log_path,
        }
        nodes = [
            OutputNode(f"{self.name.rstrip('/')}/{path.name}", kind)
            for kind, path in found.items()
            if path is not None and path.is_file()
        ]
        self.folder.claim(self.nodes_path)
        write_output_nodes(self.nodes_path, nodes, self.project)
        return nodes
