"""Free memory from descriptions of systems: control groups of both versions, and containers."""

import subprocess
import sys

import pytest

from napari_ini3d.kernels.host_memory import free_memory

MEMINFO = "MemTotal: 64000 kB\nMemAvailable:   32000 kB\n"
MIB = 2**20


def system(tmp_path, cgroup, mount, files, meminfo=MEMINFO):
    """Make a copy of /proc that describes a system, and the files of its control groups."""
    proc, top = tmp_path / "proc", tmp_path / "groups"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text(meminfo)
    (proc / "self" / "cgroup").write_text(cgroup)
    (proc / "self" / "mountinfo").write_text(mount.format(top=top))
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    return proc


V2 = "30 23 0:26 {root} {{top}} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "33 24 0:29 {root} {{top}} rw shared:9 - cgroup cgroup rw,memory\n"


def test_the_system_alone_tells_what_is_available(tmp_path):
    assert free_memory(system(tmp_path, "", "", {})) == 32000 * 1024


def test_a_system_that_tells_nothing_is_unknown(tmp_path):
    assert free_memory(tmp_path) is None


def test_the_limit_of_a_group_above_counts_in_version_2(tmp_path):
    files = {
        "slurm/job_7/memory.max": f"{20 * MIB}\n",
        "slurm/job_7/memory.current": f"{12 * MIB}\n",
        "slurm/job_7/memory.stat": f"anon 5\ninactive_file {3 * MIB}\n",
        "slurm/job_7/step_0/memory.max": "max\n",
        "slurm/job_7/step_0/memory.current": "7\n",
        "memory.stat": "inactive_file 5\n",
    }
    proc = system(tmp_path, "0::/slurm/job_7/step_0\n", V2.format(root="/"), files)
    assert free_memory(proc) == 11 * MIB


@pytest.mark.parametrize(("group", "root"), [("/docker/abc", "/docker/abc"), ("/", "/"),
                                             ("/docker/abc", "/")])  # fmt: skip
def test_a_container_sees_its_limit_in_version_2(tmp_path, group, root):
    place = "docker/abc/" if (group, root) == ("/docker/abc", "/") else ""
    files = {f"{place}memory.max": f"{9 * MIB}\n", f"{place}memory.current": f"{4 * MIB}\n"}
    proc = system(tmp_path, f"0::{group}\n", V2.format(root=root), files)
    assert free_memory(proc) == 5 * MIB


def test_the_limit_of_a_group_counts_in_version_1(tmp_path):
    files = {
        "slurm/job_7/memory.limit_in_bytes": f"{20 * MIB}\n",
        "slurm/job_7/memory.usage_in_bytes": f"{12 * MIB}\n",
        "slurm/job_7/memory.stat": f"cache 9\ntotal_inactive_file {2 * MIB}\n",
        "memory.limit_in_bytes": "9223372036854771712\n",
        "memory.usage_in_bytes": "5\n",
    }
    cgroup = "11:cpu,cpuacct:/elsewhere\n4:memory:/slurm/job_7\n0::/\n"
    proc = system(tmp_path, cgroup, V1.format(root="/") + V2.format(root="/x"), files)
    assert free_memory(proc) == 10 * MIB


def test_a_group_that_uses_more_than_its_limit_leaves_nothing(tmp_path):
    files = {"memory.max": "5\n", "memory.current": "9\n"}
    assert free_memory(system(tmp_path, "0::/\n", V2.format(root="/"), files)) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is that of Linux")
def test_a_limit_of_the_address_space_counts():
    code = (
        "import resource; from napari_ini3d.kernels.host_memory import free_memory\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31)); print(free_memory())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert 0 < int(found.stdout) < 2**31
