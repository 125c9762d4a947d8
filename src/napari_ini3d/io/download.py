"""Maps of public archives by name: download, verify by hash, keep.

Only what has a published SHA-256 is listed, and a file with another hash is not kept. The density
maps of the EMDB are in the public domain (CC0). The hashes are those of ASPIRE-Python's registry
(``src/aspire/downloader/registry.py``), of the files as the archive serves them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_ini3d.errors import DownloadError, InputError
from napari_ini3d.io.files import atomic_path, remove_abandoned, write_error

logger = logging.getLogger(__name__)

ARCHIVE = "https://ftp.ebi.ac.uk/pub/databases/emdb/structures"
LICENCE = "CC0 1.0"
_SECONDS = 30.0  # without a byte, before the connection is given up
_HASH = re.compile(r"[0-9a-f]{64}")

Progress = Callable[[int, int], None]
"""Called with the bytes that have arrived, and their number at the end (0 if it is unknown)."""


@dataclass(frozen=True, slots=True)
class RemoteMap:
    """A density map of the EMDB.

    Attributes
    ----------
    name : str
        By which it is asked for.
    title : str
    entry : int
        Accession number, 4905 of EMD-4905.
    symmetry : str
        Point group that its authors imposed.
    sha256 : str
        Of the compressed file.
    """

    name: str
    title: str
    entry: int
    symmetry: str
    sha256: str

    def __post_init__(self) -> None:
        if not _HASH.fullmatch(self.sha256):
            raise ValueError(f"{self.name} has no SHA-256, without which nothing is downloaded")

    @property
    def file_name(self) -> str:
        """Name of the file, which `read_map` reads as it is."""
        return f"emd_{self.entry}.map.gz"

    @property
    def url(self) -> str:
        """Address of the file."""
        return f"{ARCHIVE}/EMD-{self.entry}/map/{self.file_name}"


REMOTE_MAPS = (
    RemoteMap(
        "apoferritin",
        "horse spleen apoferritin on graphene supports",
        4905,
        "O",
        "fe9ce303b43b11ccf253c8786b339cea3273ef70ff49dd6099155d576181f3c2",
    ),
    RemoteMap(
        "beta-galactosidase",
        "beta-galactosidase with an inhibitor, 2.2 Å",
        2984,
        "D2",
        "0194f44cb28f2a8daa5d477d25852de9cc81ed093487de181ee4b30b0d77ef90",
    ),
    RemoteMap(
        "proteasome",
        "T20S proteasome, 2.8 Å",
        6287,
        "D7",
        "81463aa6d024c80efcd19aa9b5ac58f3b3464af56e1ef0f104bd25071acc9204",
    ),
    RemoteMap(
        "trpv1",
        "capsaicin receptor TRPV1",
        5778,
        "C4",
        "877cbe37b86561c3dfb255aa2308fefcdd8f51f91928b17c2ef5c8dd3afaaef7",
    ),
    RemoteMap(
        "ribosome",
        "Plasmodium falciparum 80S ribosome with emetine",
        2660,
        "C1",
        "49aecfd4efce09afc937d1786bbed6f18c2a353c73a4e16a643a304342d0660e",
    ),
)


def find_remote_map(name: str) -> RemoteMap:
    """Return the map of a name.

    Raises
    ------
    InputError
        If there is none.
    """
    for found in REMOTE_MAPS:
        if found.name == name.lower():
            return found
    known = ", ".join(found.name for found in REMOTE_MAPS)
    raise InputError(f"{name} is not a map that can be fetched; choose one of: {known}")


def fetch_map(
    wanted: RemoteMap, folder: Path, progress: Progress | None = None
) -> tuple[Path, bool]:
    """Download a map unless it is in the folder, and verify it.

    Parameters
    ----------
    wanted : RemoteMap
    folder : Path
        Is made if it does not exist.
    progress : callable, optional

    Returns
    -------
    path : Path
    downloaded : bool
        False if it was there already.

    Raises
    ------
    DownloadError
        If the archive cannot be reached, the connection breaks, or the file is not the one that is
        listed. A file of that name that is there is never replaced.
    RunFolderError
        If the folder cannot be written.
    """
    path = folder / wanted.file_name
    if path.exists():
        _verify(path, wanted, f"it is not replaced; move {path} away, or give another folder")
        return path, False
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    remove_abandoned(folder)
    with atomic_path(path) as temporary:
        _download(wanted.url, temporary, path, progress)
        advice = "it is not kept; try again, or ask whether the entry has changed"
        _verify(temporary, wanted, advice, wanted.url)
    return path, True


def _download(url: str, target: Path, final: Path, progress: Progress | None) -> None:
    import pooch
    import requests

    bar: Any = False if progress is None else _Bar(progress)
    fetch = pooch.HTTPDownloader(progressbar=bar, timeout=_SECONDS)
    by_hand = f"or download it in another way, and put it at {final}"
    try:
        fetch(url, str(target), None)
    except requests.HTTPError as error:
        status = "?" if error.response is None else error.response.status_code
        raise DownloadError(
            f"{url}: the server answers with status {status}; try again later, {by_hand}"
        ) from error
    except requests.exceptions.ChunkedEncodingError as error:
        raise DownloadError(
            f"{url}: the connection broke before all bytes had come; try again, {by_hand}"
        ) from error
    except requests.Timeout as error:
        raise DownloadError(
            f"{url}: no answer within {_SECONDS:.0f} s; try again later, {by_hand}"
        ) from error
    except requests.exceptions.SSLError as error:
        raise DownloadError(
            f"{url}: the server does not prove who it is ({error}); if your network has "
            f"certificates of its own, name their file in REQUESTS_CA_BUNDLE, {by_hand}"
        ) from error
    except requests.RequestException as error:
        raise DownloadError(
            f"{url}: the server cannot be reached; check the network and the proxy (HTTPS_PROXY), "
            f"{by_hand}"
        ) from error


def _verify(path: Path, wanted: RemoteMap, advice: str, source: str = "") -> None:
    import pooch

    found = pooch.file_hash(str(path), alg="sha256")
    if found != wanted.sha256:
        raise DownloadError(
            f"{source or path}: the SHA-256 is {found}, but {wanted.sha256} is expected of "
            f"EMD-{wanted.entry}; {advice}"
        )
    logger.info("%s: SHA-256 as expected", path)


class _Bar:
    """What pooch takes for a progress bar."""

    def __init__(self, progress: Progress) -> None:
        self.total = 0
        self._progress, self._done = progress, 0

    def update(self, count: int) -> None:
        self._done += count
        self._progress(self._done, int(self.total or 0))

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        """Do nothing: the file has ended."""
