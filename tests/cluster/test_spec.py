import importlib.util

import dask_jobqueue
import pytest

from napari_ini3d.cluster import connection
from napari_ini3d.cluster.connection import check_cluster, start_slurm
from napari_ini3d.cluster.spec import ClusterSpec, parse_spec, slurm_options
from napari_ini3d.errors import ClusterError, SettingsError


def test_each_kind_of_cluster_is_recognised(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("scheduler.json", "jobs.yaml"):
        (tmp_path / name).write_text("{}")
    for text, kind, value in (
        ("local:4", "local", "4"),
        ("tcp://node7:8786", "address", "tcp://node7:8786"),
        ("tls://node7:8786", "address", "tls://node7:8786"),
        ("scheduler.json", "file", "scheduler.json"),
        ("slurm:jobs.yaml", "slurm", "jobs.yaml"),
    ):
        assert parse_spec(text) == ClusterSpec(kind, value, text)
    assert parse_spec("local:4").workers == 4


@pytest.mark.parametrize("text", ["local", "local:", "local:0", "local:-1", "local:many"])
def test_a_local_cluster_without_a_number_of_processes_is_refused(text):
    with pytest.raises(SettingsError, match=r"number of processes, as in local:4"):
        parse_spec(text)


@pytest.mark.parametrize("text", ["", "node7", "slurm:", "slurm:absent.yaml", "http://node7"])
def test_what_names_no_cluster_is_refused_with_the_choices(text):
    with pytest.raises(SettingsError, match=r"there is no file .* tcp://host:8786"):
        parse_spec(text)


def test_without_dask_the_error_says_what_to_install(monkeypatch):
    def without(name: str):
        return None if name == "distributed" else importlib.util.find_spec(name)

    monkeypatch.setattr(connection, "find_spec", without)
    with pytest.raises(ClusterError, match=r"install napari-ini3d\[cluster\]"):
        check_cluster("local:2")
    assert check_cluster(None) is None


def test_a_worker_of_slurm_ends_before_its_job_so_that_others_take_its_work():
    options, scale = slurm_options({"cores": 16, "walltime": "1-02:00:00", "jobs": 3}, "x.yaml")
    assert scale == {"jobs": 3}
    lifetime = options["worker_extra_args"][1]
    assert options["worker_extra_args"][0] == "--lifetime"
    assert int(lifetime.removesuffix("s")) == 26 * 3600 * 19 // 20
    assert options["cores"] == 16
    assert "jobs" not in options


def test_a_lifetime_that_is_given_is_kept():
    given = {"walltime": "01:00:00", "jobs": 1, "worker_extra_args": ["--lifetime", "5m"]}
    assert slurm_options(given, "x.yaml")[0]["worker_extra_args"] == ["--lifetime", "5m"]


@pytest.mark.parametrize(
    ("loaded", "message"),
    [
        (None, "has no options"),
        (["cores"], "has no options"),
        ({"cores": 16}, "neither jobs nor maximum_jobs"),
        ({"jobs": "many"}, "jobs is 'many'"),
    ],
)
def test_options_that_say_nothing_of_jobs_are_refused(loaded, message):
    with pytest.raises(SettingsError, match=message):
        slurm_options(loaded, "x.yaml")


class RecordedCluster:
    """Stands for `dask_jobqueue.SLURMCluster`, which needs SLURM to start jobs."""

    def __init__(self, **options: object) -> None:
        self.options, self.asked = options, ()

    def scale(self, *, jobs: int) -> None:
        self.asked = ("scale", jobs)

    def adapt(self, *, minimum_jobs: int, maximum_jobs: int) -> None:
        self.asked = ("adapt", minimum_jobs, maximum_jobs)


YAML = "queue: cryo\ncores: 16\nprocesses: 1\nmemory: 64GB\nwalltime: '02:00:00'\n"


def test_jobs_of_slurm_are_asked_for_with_the_options_of_the_file(tmp_path):
    path = tmp_path / "jobs.yaml"
    path.write_text(YAML + "jobs: 4\n")
    cluster = start_slurm(path, RecordedCluster)
    assert cluster.asked == ("scale", 4)
    assert cluster.options["queue"] == "cryo"
    path.write_text(YAML + "maximum_jobs: 8\n")
    assert start_slurm(path, RecordedCluster).asked == ("adapt", 1, 8)


def test_the_job_script_of_slurm_has_the_options_and_the_lifetime(tmp_path):
    path = tmp_path / "jobs.yaml"
    path.write_text(YAML + "jobs: 0\n")  # the script is made, and no job is submitted
    cluster = start_slurm(path, dask_jobqueue.SLURMCluster)
    script = cluster.job_script()
    cluster.close()
    for line in ("#SBATCH -p cryo", "#SBATCH --cpus-per-task=16", "--lifetime 6840s"):
        assert line in script


def test_an_option_that_dask_jobqueue_does_not_know_is_an_error_with_the_file(tmp_path):
    path = tmp_path / "jobs.yaml"
    path.write_text(YAML + "jobs: 0\ncoffee: black\n")
    with pytest.raises(ClusterError, match=r"jobs\.yaml: .*coffee"):
        start_slurm(path)
