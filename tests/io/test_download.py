"""Downloads from a server on the loopback: verified, kept, refused, broken off, out of reach."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import socket
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from typer.testing import CliRunner

from napari_ini3d import read_map
from napari_ini3d.cli.app import app
from napari_ini3d.errors import DownloadError, InputError, RunFolderError
from napari_ini3d.io import download
from napari_ini3d.io.download import REMOTE_MAPS, RemoteMap, fetch_map, find_remote_map

VOLUME = np.random.default_rng(1).normal(size=(16, 16, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "map.mrc"
    with mrcfile.new(path) as file:
        file.set_data(VOLUME)
        file.voxel_size = 2.0
    return gzip.compress(path.read_bytes())


@pytest.fixture
def server(content, monkeypatch):
    """An archive with one map; `server.fault` says what it does wrong."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            archive.asked.append(self.path)
            self.send_response(503 if archive.fault == "status" else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if archive.fault == "broken":
                self.wfile.write(content[:5000])
                self.wfile.flush()
                self.connection.close()
            elif archive.fault == "silent":
                archive.ended.wait(30)
            elif archive.fault == "other":
                self.wfile.write(content[::-1])
            else:
                self.wfile.write(content)

        def log_message(self, *_):
            pass

        def handle(self):
            try:
                super().handle()
            except (OSError, ValueError):  # the connection was closed on purpose
                self.close_connection = True

        def finish(self):
            pass

    archive = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    archive.daemon_threads = True
    archive.asked, archive.fault, archive.ended = [], "", threading.Event()
    threading.Thread(target=archive.serve_forever, daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "ARCHIVE", f"http://127.0.0.1:{archive.server_port}")
    yield archive
    archive.ended.set()
    archive.shutdown()
    archive.server_close()


@pytest.fixture
def wanted(content, monkeypatch):
    found = RemoteMap("small", "a small map", 1, "C1", hashlib.sha256(content).hexdigest())
    monkeypatch.setattr("napari_ini3d.io.REMOTE_MAPS", (found,))
    monkeypatch.setattr(download, "REMOTE_MAPS", (found,))
    return found


def test_a_map_is_downloaded_verified_and_can_be_read(server, wanted, content, tmp_path):
    arrived = []
    folder = tmp_path / "new" / "folder"
    path, downloaded = fetch_map(wanted, folder, lambda *found: arrived.append(found))
    assert (path, downloaded) == (folder / "emd_1.map.gz", True)
    assert server.asked == ["/EMD-1/map/emd_1.map.gz"]
    assert arrived[-1] == (len(content), len(content))
    np.testing.assert_array_equal(read_map(path).data, VOLUME)
    assert [found.name for found in folder.iterdir()] == ["emd_1.map.gz"]


def test_a_map_that_is_there_is_verified_and_not_downloaded_again(server, wanted, tmp_path):
    fetch_map(wanted, tmp_path)
    assert fetch_map(wanted, tmp_path) == (tmp_path / "emd_1.map.gz", False)
    assert len(server.asked) == 1


def test_another_file_of_the_name_is_neither_replaced_nor_taken(server, wanted, tmp_path):
    (tmp_path / "emd_1.map.gz").write_bytes(b"mine")
    with pytest.raises(DownloadError, match=r"not replaced; move .*emd_1\.map\.gz away"):
        fetch_map(wanted, tmp_path)
    assert (tmp_path / "emd_1.map.gz").read_bytes() == b"mine"
    assert server.asked == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("other", "SHA-256 is .* is expected of EMD-1; it is not kept"),
        ("broken", "connection broke before all bytes had come; try again"),
        ("status", "answers with status 503; try again later"),
        ("silent", "(?s)(connection broke|no answer|cannot be reached)"),
    ],
)
def test_a_download_that_fails_leaves_nothing_and_can_be_repeated(
    server, wanted, tmp_path, monkeypatch, fault, words
):
    monkeypatch.setattr(download, "_SECONDS", 1.0)
    server.fault = fault
    with pytest.raises(DownloadError, match=words):
        fetch_map(wanted, tmp_path)
    assert list(tmp_path.iterdir()) == []
    server.fault = ""
    assert fetch_map(wanted, tmp_path)[1]


def test_without_a_network_the_message_has_the_address_and_another_way(
    wanted, tmp_path, monkeypatch
):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "ARCHIVE", "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(DownloadError) as caught:
        fetch_map(wanted, tmp_path)
    for words in (
        "http://127.0.0.1:9/EMD-1/",
        "network and the proxy",
        "put it at",
        "emd_1.map.gz",
    ):
        assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_proxy_of_the_environment_is_asked(server, wanted, tmp_path, monkeypatch):
    proxy = download.ARCHIVE
    monkeypatch.setattr(download, "ARCHIVE", "http://archive.invalid")
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", proxy)
    assert fetch_map(wanted, tmp_path)[1]
    assert server.asked == ["http://archive.invalid/EMD-1/map/emd_1.map.gz"]


def test_a_proxy_that_does_not_answer_is_named_as_a_cause(wanted, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "ARCHIVE", "http://archive.invalid")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match=r"check the network and the proxy \(HTTPS_PROXY\)"):
        fetch_map(wanted, tmp_path)


def test_a_server_without_a_certificate_is_refused_with_the_name_of_the_variable(
    wanted, tmp_path, monkeypatch
):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_in_plain_text():
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                connection.recv(65536)

        thread = threading.Thread(target=answer_in_plain_text)
        thread.start()
        port = listener.getsockname()[1]
        monkeypatch.setattr(download, "ARCHIVE", f"https://127.0.0.1:{port}")
        with pytest.raises(DownloadError, match="in REQUESTS_CA_BUNDLE, or download it"):
            fetch_map(wanted, tmp_path)
        thread.join(timeout=30)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_folder_that_cannot_be_written_is_named_and_nothing_stays(
    server, wanted, tmp_path, monkeypatch, number
):
    opened = open

    def refuse(path, mode="r", *args, **kwargs):
        if "w" in mode and Path(path).parent == tmp_path:
            raise OSError(number, os.strerror(number), str(path))
        return opened(path, mode, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr("builtins.open", refuse)
        with pytest.raises(RunFolderError, match=r"emd_1\.map\.gz.*; "):
            fetch_map(wanted, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_nothing(server, wanted, tmp_path):
    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_map(wanted, tmp_path, interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(wanted, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="file"):
        fetch_map(wanted, tmp_path / "file" / "folder")


def test_an_entry_without_a_hash_is_refused():
    for text in ("", "0" * 63, "unknown"):
        with pytest.raises(ValueError, match="no SHA-256"):
            replace(REMOTE_MAPS[0], sha256=text)


def test_names_and_hashes_are_unique_and_addresses_are_those_of_the_emdb():
    assert len({found.name for found in REMOTE_MAPS}) == len(REMOTE_MAPS)
    assert len({found.sha256 for found in REMOTE_MAPS}) == len(REMOTE_MAPS)
    assert find_remote_map("Apoferritin").url == (
        "https://ftp.ebi.ac.uk/pub/databases/emdb/structures/EMD-4905/map/emd_4905.map.gz"
    )
    with pytest.raises(InputError, match="choose one of: apoferritin, "):
        find_remote_map("nothing")


def test_the_command_downloads_and_says_what_it_verified(server, wanted, tmp_path):
    def invoke(*arguments):
        return CliRunner().invoke(app, ["fetch", *arguments])

    result = invoke("small", "--output", str(tmp_path), "--json")
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    assert (values["event"], values["downloaded"], values["licence"]) == (
        "fetched",
        True,
        "CC0 1.0",
    )
    assert "is there already" in invoke("small", "-o", str(tmp_path)).stdout
    assert invoke("large").exit_code == 1


def test_without_a_name_all_maps_are_listed():
    said = CliRunner().invoke(app, ["fetch"]).stdout
    assert all(found.name in said and f"EMD-{found.entry}" in said for found in REMOTE_MAPS)
