"""Processors, memory and cards are counted as the process may use them."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import psutil
import pytest

from autoimb._execution import resources as resources_module
from autoimb._execution.resources import (
    Layout,
    check_disk,
    check_memory,
    choose_layout,
    free_memory,
    resolve_device,
    resolve_n_jobs,
)
from autoimb.exceptions import BadInputError


def test_n_jobs_counts_cpus_as_joblib_does():
    cpus = resolve_n_jobs(-1)
    assert cpus >= 1
    assert resolve_n_jobs(3) == 3
    assert resolve_n_jobs(-2) == max(1, cpus - 1)
    assert resolve_n_jobs(-1000) == 1
    assert multiprocessing.parent_process() is not None or resolve_n_jobs(None) == cpus
    with pytest.raises(BadInputError, match="n_jobs=0 is no number"):
        resolve_n_jobs(0)


def test_devices_are_known_by_name():
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("cuda") == "cuda"
    assert resolve_device("auto") in ("cpu", "cuda")
    with pytest.raises(
        BadInputError, match=r"device='gpu' is not known\. .*Known: auto, cpu, cuda"
    ):
        resolve_device("gpu")


@pytest.mark.parametrize("n_jobs", [2, 16])
def test_large_tables_are_fitted_one_after_the_other_with_all_threads(n_jobs):
    assert choose_layout(n_jobs, 10_000, 60.0) == Layout(n_jobs, 1)
    assert choose_layout(n_jobs, 30_000_000, 60.0) == Layout(1, n_jobs)


@pytest.mark.parametrize("n_jobs", [2, 16])
def test_without_a_time_budget_every_fit_has_one_thread(n_jobs):
    assert choose_layout(n_jobs, 30_000_000, None) == Layout(n_jobs, 1)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_short_time_budgets_start_no_workers(n_jobs):
    assert choose_layout(n_jobs, 10_000, 1.0) == Layout(1, 1, in_process=True)


@pytest.mark.parametrize("time_budget_s", [None, 60.0])
@pytest.mark.parametrize("n_cells", [10_000, 30_000_000])
def test_one_job_stays_in_this_process(n_cells, time_budget_s):
    assert choose_layout(1, n_cells, time_budget_s) == Layout(1, 1, in_process=True)


def test_one_job_has_a_process_of_its_own_where_no_timer_can_interrupt_it():
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(choose_layout, 1, 9, 60.0).result() == Layout(1, 1)
        assert threads.submit(choose_layout, 1, 9, None).result().in_process


# --- memory


V1 = {"max": "limit_in_bytes", "current": "usage_in_bytes"}


@pytest.fixture(params=["2", "1", "1 beside 2"])
def group(tmp_path, monkeypatch, request):
    """Return a function that writes the files on memory of a nested control group."""
    own = tmp_path / "own"
    own.write_text(
        {
            "2": "0::/jobs/one\n",
            "1": "3:cpu,cpuacct:/else\n4:memory:/jobs/one\n",
            "1 beside 2": "4:memory:/jobs/one\n1:name=systemd:/x\n0::/\n",
        }[request.param],
        encoding="ascii",
    )
    monkeypatch.setattr(resources_module, "_CGROUP", tmp_path)
    monkeypatch.setattr(resources_module, "_OWN_GROUPS", own)
    mount = tmp_path if request.param == "2" else tmp_path / "memory"

    def write(path="jobs/one", **files):
        folder = mount / path
        folder.mkdir(parents=True, exist_ok=True)
        is_first = mount != tmp_path
        for name, text in files.items():
            file = folder / f"memory.{V1.get(name, name) if is_first else name}"
            cached = "total_inactive_file" if is_first else "inactive_file"
            file.write_text(text.replace("inactive_file", cached), encoding="ascii")

    return write


def test_without_a_limit_of_the_group_the_system_decides(group):
    everything = free_memory()
    assert everything > 1e6
    group(max="max", current="100")
    assert free_memory() == pytest.approx(everything, rel=0.2)


def test_a_limit_of_the_group_leaves_what_is_not_used(group):
    group(max="1000000", current="400000")
    assert free_memory() == 600_000


@pytest.mark.parametrize("outer", ["jobs", ""])
def test_the_limit_of_an_outer_group_holds_too(group, outer):
    group(max="1000000", current="400000")
    group(outer, max="2000000", current="1900000")
    assert free_memory() == 100_000


def test_a_container_may_see_its_group_as_the_root(group):
    """Then the path that the system knows it by is not there."""
    group("", max="1000000", current="400000")
    assert free_memory() == 600_000


def test_files_that_can_be_given_back_are_free(group):
    group(max="1000000", current="400000", stat="anon 1\ninactive_file 300000\n")
    assert free_memory() == 900_000


def test_a_system_without_control_groups_is_asked_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(resources_module, "_OWN_GROUPS", tmp_path / "none")
    assert 1e6 < free_memory() < 1e15


# --- room for a table


def with_free(monkeypatch, **n_bytes):
    """Make the machine have so much memory or disk space free."""
    if "memory" in n_bytes:
        monkeypatch.setattr(resources_module, "free_memory", lambda: n_bytes["memory"])
    if "disk" in n_bytes:
        usage = SimpleNamespace(free=n_bytes["disk"])
        monkeypatch.setattr(resources_module.shutil, "disk_usage", lambda _: usage)


def test_a_copy_that_fits_in_memory_is_no_reason_to_complain(monkeypatch):
    with_free(monkeypatch, memory=2e9)
    check_memory(2e9)
    with pytest.raises(
        BadInputError,
        match=r"takes 2\.01 GB of memory, and 2\.00 GB are free\. Pass",
    ):
        check_memory(2.01e9)


def test_a_file_needs_room_on_its_disk(tmp_path, monkeypatch):
    with_free(monkeypatch, disk=3e9, memory=1e9)
    monkeypatch.setattr(resources_module, "_IN_MEMORY", set())
    check_disk(3e9, tmp_path)
    with pytest.raises(
        BadInputError, match=r"3\.10 GB in .*, where 3\.00 GB are free\. Set TMPDIR"
    ):
        check_disk(3.1e9, tmp_path)


def test_a_file_in_memory_needs_room_there_too(tmp_path, monkeypatch):
    with_free(monkeypatch, disk=3e9, memory=1e9)
    mounts = [
        SimpleNamespace(mountpoint="/", fstype="ext4"),
        SimpleNamespace(mountpoint=str(tmp_path.resolve()), fstype="tmpfs"),
    ]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: mounts)
    with pytest.raises(BadInputError, match=r"where 1\.00 GB are free"):
        check_disk(2e9, tmp_path / "inner")
    check_disk(2e9, tmp_path.parent)


@pytest.mark.parametrize("n_jobs", [None, 3, -1])
def test_a_daemon_process_starts_no_workers(n_jobs, monkeypatch):
    """It may not have children, as in a worker of `multiprocessing.Pool`."""
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    assert resolve_n_jobs(n_jobs) == 1
    with ThreadPoolExecutor(1) as threads:  # where no timer can interrupt a fit
        assert threads.submit(choose_layout, 1, 9, 60.0).result().in_process
