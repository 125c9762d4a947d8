"""Under a low limit of the address space, commands end with words, or compute with few threads."""

import subprocess
import sys

import pytest

from napari_ini3d.errors import explain

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limit is that of Linux")


def limited(megabytes, code):
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({megabytes} * 10**6,) * 2); "
    command = [sys.executable, "-c", limit + code]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_limit_below_what_libraries_need_is_named_before_they_are_loaded():
    code = "import sys; sys.argv = ['ini3d', 'check', 'a.star']; "
    done = limited(500, code + "from napari_ini3d.cli import main; main()")
    assert done.returncode == 1
    assert done.stderr.startswith("error: the address space is limited to 500 MB (ulimit -v)")
    assert "at least 700 MB" in done.stderr


def test_a_run_that_cannot_fit_is_refused_and_nothing_is_written(tmp_path):
    code = (
        "from pathlib import Path; from napari_ini3d.jobs import start_run; "
        "from napari_ini3d.settings import InitialModelSettings; "
        f"start_run(Path('a.star'), Path({str(tmp_path / 'run')!r}), InitialModelSettings())"
    )
    done = limited(1000, code)
    assert "limited to 1000 MB (ulimit -v); expected at least 1100 MB for a run" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("megabytes", "threads"), [(1200, "1"), (1_000_000, "None")])
def test_blas_gets_as_many_threads_as_fit(megabytes, threads):
    code = (
        "import os; os.environ.pop('OPENBLAS_NUM_THREADS', None); os.cpu_count = lambda: 64; "
        "from napari_ini3d._address_space import fit_into_address_space as fit; fit(); "
        "print(os.environ.get('OPENBLAS_NUM_THREADS'))"
    )
    assert limited(megabytes, code).stdout.strip() == threads


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ImportError("a.so: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
    ],
)
def test_a_lack_of_memory_is_not_called_a_bug(error):
    assert explain(error).startswith("out of memory")
