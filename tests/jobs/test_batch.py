"""Batches: jobs files are checked completely, and their runs are done, skipped and resumed."""

import re
import shutil

import pytest
from fake_runs import use_fake_engine

from napari_ini3d.errors import InputError, RunFolderError, SettingsError
from napari_ini3d.jobs import (
    Batch,
    BatchPage,
    batch as batch_module,
    check_batch,
    read_batch,
    run_batch,
)
from napari_ini3d.report import check_batch_page
from napari_ini3d.runs import RunFolder, RunLock
from napari_ini3d.simulation import (
    SimulationSettings,
    make_phantom,
    simulate_particles,
    write_dataset,
)


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    use_fake_engine(monkeypatch)


@pytest.fixture(scope="module")
def particles(tmp_path_factory):
    """A folder with the particles of two phantoms, in `a` and `b`."""
    path = tmp_path_factory.mktemp("particles")
    for seed, name in enumerate("ab"):
        settings = SimulationSettings(number=12, box_size=32, pixel_size=4.0, seed=seed)
        phantom = make_phantom(diameter=80.0, seed=seed)
        write_dataset(path / name, simulate_particles(phantom, settings), phantom)
    return path


@pytest.fixture
def folder(particles, tmp_path):
    """A copy of these particles, for the runs of a test."""
    return shutil.copytree(particles, tmp_path, dirs_exist_ok=True)


DEFAULTS = """\
defaults:
  mask_diameter: 100
  iterations: 3
  threads: 1
  independent_half_sets: false
jobs:
"""
TWO = """\
  - {output: runs/a, particles: a/particles.star}
  - {name: the second, output: runs/b, particles: b/particles.star, seed: 2}
"""


@pytest.fixture
def jobs(folder):
    """A function that writes a jobs file and checks its jobs."""

    def write(text=TWO, head=DEFAULTS):
        (folder / "jobs.yaml").write_text(head + text, encoding="utf-8")
        return list(check_batch(read_batch(folder / "jobs.yaml")))

    return write


def run(checks, folder, **options):
    return list(run_batch(checks, BatchPage(folder / "jobs.html", "Batch"), **options))


def states(summaries):
    return [summary.state for summary in summaries]


def test_paths_are_relative_to_the_jobs_file_and_a_job_overrides_the_defaults(jobs, folder):
    first, second = (check.job for check in jobs())
    assert first.name == "runs/a"
    assert second.name == "the second"
    assert first.files.path == folder / "a" / "particles.star"
    assert second.output == folder / "runs" / "b"
    assert first.settings.mask_diameter == second.settings.mask_diameter == 100.0
    assert (first.settings.seed, second.settings.seed) == (1, 2)


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ("{output: x, particles: p, mask-diameter: 9}", "'mask-diameter' .* mean mask_diameter?"),
        ("{output: x, particles: p, sede: 9}", "'sede' is no key .* did you mean seed?"),
        ("{output: x, particles: p, threads: many}", "threads is 'many'; expected int"),
        ("{output: x, particles: p, starts: 99}", "starts is 99; it must be between 1 and 32"),
        ("{output: x, particles: p, symmetry: Q7}", "unknown point group 'Q7'; write one of"),
        ("{output: x, particles: p, classes_2d: [1, b]}", "classes are '1,b'; expected numbers"),
        ("{output: x, particles: p, max_resolution: 90}", "coarser than .*; decrease"),
        ("{output: x, particles: 7}", "particles is 7; expected a path"),
        ("{particles: p}", "it has no output; add a line"),
        ("{output: x}", "it has no particles; add a line"),
        ("just text", "found 'just text'; expected lines"),
    ],
)
def test_what_is_wrong_in_a_job_is_said_with_its_place(jobs, job, said):
    with pytest.raises(SettingsError, match=rf"jobs\.yaml: job 3.*: .*{said}"):
        jobs(f"{TWO}  - {job}\n")


def test_all_that_is_wrong_is_said_at_once(jobs):
    with pytest.raises(SettingsError) as raised:
        jobs("  - {output: x, sede: 1}\n  - 7\n", head="defaults: {iter: 3}\nextra: 1\njobs:\n")
    places = [re.findall(r"jobs\.yaml: ([^:(]*\w)", x)[0] for x in str(raised.value).split("\n")]
    assert places == ["the file", "defaults", "job 1", "job 2"]


@pytest.mark.parametrize("text", ["[]", "jobs: 3", "a: 1", ""])
def test_a_file_without_a_list_of_jobs_is_refused(jobs, text):
    with pytest.raises(SettingsError, match="has no list of jobs; expected `jobs:`"):
        jobs(text, head="")


def test_an_empty_list_of_jobs_and_a_file_that_is_missing_are_refused(jobs, folder):
    with pytest.raises(SettingsError, match="there are no jobs; list at least one"):
        jobs("jobs: []", head="")
    with pytest.raises(InputError, match="cannot be read"):
        read_batch(folder / "absent.yaml")


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("runs/../runs/a", "have one output"),
        ("runs/a/inside", "have outputs one of which lies in the other"),
        ("runs", "have outputs one of which lies in the other"),
    ],
)
def test_two_jobs_do_not_write_to_one_folder(jobs, output, said):
    with pytest.raises(SettingsError, match=f"'runs/a' and 'c' {said}.*; give each a folder"):
        jobs(f"{TWO}  - {{name: c, output: {output}, particles: a/particles.star}}\n")


def test_two_jobs_do_not_have_one_name(jobs):
    with pytest.raises(SettingsError, match="2 jobs are called 'runs/a'; give each another `name`"):
        jobs(f"{TWO}  - {{name: runs/a, output: x, particles: a/particles.star}}\n")


def test_all_jobs_are_checked_as_a_run_checks_its_particles(jobs, folder):
    (folder / "full").mkdir()
    (folder / "full" / "note.txt").touch()
    (stack,) = (folder / "b").glob("*.mrcs")
    stack.write_bytes(stack.read_bytes()[:-9])
    good, truncated, missing, occupied = jobs(
        f"{TWO}  - {{output: c, particles: no.star}}\n"
        "  - {output: full, particles: a/particles.star}\n"
    )
    assert good.to_do == "start"
    assert not good.problems
    assert good.report.n_particles == 12
    assert stack.name in truncated.problems[0]
    assert "cannot be read" in missing.problems[0]
    assert "is not empty" in occupied.problems[0]


def test_an_absent_device_is_found_before_the_first_job_unless_a_cluster_computes(jobs, folder):
    job = "  - {output: g, particles: a/particles.star, device: 'gpu:77'}\n"
    *_, here = jobs(TWO + job)
    assert "gpu" in here.problems[0].lower()
    *_, there = check_batch(Batch(folder / "jobs.yaml", (here.job,)), is_local=False)
    assert not there.problems


def test_the_images_of_particles_that_jobs_share_are_read_once(jobs, monkeypatch):
    from napari_ini3d.preflight import check_all

    read = []
    real = check_all.bad_images
    monkeypatch.setattr(
        check_all, "bad_images", lambda *args, **options: read.append(1) or real(*args, **options)
    )
    jobs(f"{TWO}  - {{output: runs/c, particles: a/particles.star, classes: 2}}\n")
    assert len(read) == 2


def test_the_jobs_run_one_after_another_and_their_page_links_to_their_reports(jobs, folder):
    found = run(jobs(), folder)
    assert states(found) == ["finished", "finished"]
    assert [each.to_json()["particles"] for each in found] == [12, 12]
    page = (folder / "jobs.html").read_text("utf-8")
    assert "2 jobs: 2 finished" in page
    for name in "ab":
        assert f"href='runs/{name}/report.html'" in page
    assert "<td>the second</td>" in page
    assert "last iteration" in page
    record = RunFolder.open(folder / "runs" / "b").read_record()
    assert record.settings.seed == 2
    assert record.command.startswith("ini3d run ")


def test_again_finished_jobs_are_skipped_and_a_failed_one_is_done(jobs, folder, monkeypatch):
    real = batch_module.start_run

    def fail(files, output, *args, **options):
        if output.name == "a":
            raise RunFolderError("no space; free some")
        return real(files, output, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(batch_module, "start_run", fail)
        first = run(jobs(), folder)
    assert states(first) == ["failed", "finished"]
    assert first[0].error == "no space; free some"
    assert "<p>no space; free some</p>" in (folder / "jobs.html").read_text("utf-8")
    checks = jobs()
    assert [check.to_do for check in checks] == ["start", "nothing"]
    done = []
    follow = lambda job, reports: done.append((job.name, len(list(reports))))  # noqa: E731
    assert states(run(checks, folder, follow=follow)) == ["finished", "finished"]
    assert done == [("runs/a", 3)]


def test_a_stopped_job_is_resumed_and_no_other_begins_after_a_stop(jobs, folder):
    iterations = []

    def follow(job, reports):
        iterations.extend((job.name, report.iteration) for report in reports)

    found = run(jobs(), folder, follow=follow, stop=lambda: bool(iterations))
    assert states(found) == ["stopped"]
    page = (folder / "jobs.html").read_text("utf-8")
    assert "1 stopped, 1 waiting" in page
    checks = jobs()
    assert [check.to_do for check in checks] == ["resume", "start"]
    assert states(run(checks, folder, follow=follow)) == ["finished", "finished"]
    assert iterations == [(job, i) for job in ("runs/a", "the second") for i in (1, 2, 3)]


def test_a_job_that_another_process_runs_is_left_to_it(jobs, folder):
    run(jobs(), folder, stop=lambda: (folder / "runs/a/checkpoint.npz").exists())
    lock = RunLock.acquire(folder / "runs" / "a")
    try:
        first, second = run(jobs(), folder)
    finally:
        lock.release()
    assert (first.state, second.state) == ("running", "finished")
    assert "is in use" in first.error


def test_a_finished_run_with_other_settings_or_particles_is_not_taken_for_the_job(jobs, folder):
    run(jobs(), folder)
    first, second = jobs(TWO.replace("seed: 2", "seed: 3, threads: 2"))
    assert first.to_do == "nothing"
    (problem,) = second.problems
    assert "(seed 2 instead of 3); give the job another output" in problem
    star = folder / "a" / "particles.star"
    star.write_text(star.read_text() + "\n# changed\n")
    first, second = jobs()
    assert "particles.star has changed since" in first.problems[0]
    assert not second.problems


def test_values_that_a_run_measured_are_those_that_the_job_left_out(jobs, folder):
    head = DEFAULTS.replace("mask_diameter: 100", "classes: 1")
    assert states(run(jobs(head=head), folder)) == ["finished", "finished"]
    assert [check.to_do for check in jobs(head=head)] == ["nothing", "nothing"]
    assert "mask_diameter" in jobs()[0].problems[0]


def test_a_file_of_others_is_not_replaced_by_the_page(jobs, folder):
    page = folder / "jobs.html"
    page.write_text("<p>mine</p>")
    with pytest.raises(RunFolderError, match="is no page of a batch; give another file by --page"):
        check_batch_page(page)
    with pytest.raises(RunFolderError, match="absent is no folder; create it"):
        check_batch_page(folder / "absent" / "jobs.html")
    page.unlink()
    run(jobs(), folder)
    check_batch_page(page)
