"""Files are written as a whole or not at all; text in them starts no formula."""

import errno
import os
import stat
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification

import autoimb
from autoimb import AutoImbalance
from autoimb._execution.files import replacing, without_formulas, write_csv

ROOT = os.geteuid() == 0 if hasattr(os, "geteuid") else False


@pytest.fixture(scope="module")
def table():
    return make_classification(200, 5, weights=[0.85], random_state=0)


@pytest.fixture(scope="module")
def model(table):
    return AutoImbalance(
        families="logistic_regression", n_trials=1, n_jobs=1, cv=2, random_state=0
    ).fit(*table)


def test_a_new_file_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_permissions_that_the_user_set(tmp_path):
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "file") as file:
            file.write(b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_after_an_error_the_old_file_is_there_and_no_other(error, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail():
        with replacing(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "file", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    with replacing(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_named_pipe_is_written_to(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    with replacing(pipe) as file:
        file.write(b"new")
    reader.join()
    assert read == [b"new"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_model_goes_through_a_pipe(model, table, tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    model.save(pipe)
    reader.join()
    (tmp_path / "model.skops").write_bytes(read[0])
    same = autoimb.load(tmp_path / "model.skops")
    assert (same.predict(table[0]) == model.predict(table[0])).all()


@pytest.mark.parametrize("at", ["absent/file", "a_file/file", ".", "/dev/full"])
def test_an_error_is_one_line_with_the_path(at, tmp_path):
    (tmp_path / "a_file").touch()
    path = tmp_path / at
    with pytest.raises(OSError, match=str(path)) as caught, replacing(path) as file:
        file.write(b"new")
    assert "\n" not in str(caught.value)
    assert caught.value.errno


@pytest.mark.skipif(ROOT, reason="root may write everywhere")
def test_a_file_that_is_read_only_stays_as_it_is(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with pytest.raises(PermissionError, match=str(path)), replacing(path):
        pass
    assert path.read_bytes() == b"old"


# --- a full disk

WRITERS = """
import sys
import pandas as pd
import autoimb
from autoimb._cli import main

kind, good, rows, path = sys.argv[1:5]
if kind == "csv":
    sys.exit(main(["predict", good, rows, "--out", path]))
model = autoimb.load(good)
if kind == "model":
    model.extra_ = list(range(50_000))
    model.save(path)
else:
    model.report().save(path)
"""
LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
LIMITED += "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
NAMES = {"model": "old.skops", "report": "old.html", "csv": "old.csv"}


def write_elsewhere(kind, model, table, tmp_path, folder, head=""):
    """Write in a process of its own; return how it ended, and the path."""
    good, rows, path = tmp_path / "good.skops", tmp_path / "rows.csv", folder
    model.save(good)
    pd.DataFrame(np.tile(table[0], (60, 1))).to_csv(rows, index=False)
    path = folder / NAMES[kind]
    path.write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", head + WRITERS, kind, good, rows, path],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done, path


def assert_nothing_was_lost(kind, done, path):
    assert done.returncode == (2 if kind == "csv" else 1)
    last = done.stderr.splitlines()[-1]
    assert str(path) in last
    assert any(os.strerror(e) in last for e in (errno.ENOSPC, errno.EFBIG))
    if kind == "csv":
        lines = done.stderr.splitlines()
        assert [line for line in lines if not line.startswith("warning: ")] == [last]
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("kind", NAMES)
def test_a_disk_that_takes_no_more_leaves_the_old_file(kind, model, table, tmp_path):
    pytest.importorskip("resource")
    folder = tmp_path / "small"
    folder.mkdir()
    done, path = write_elsewhere(kind, model, table, tmp_path, folder, LIMITED)
    assert_nothing_was_lost(kind, done, path)


@pytest.mark.parametrize("kind", NAMES)
def test_a_full_disk_leaves_the_old_file(kind, model, table, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    if not ROOT or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no permission to mount a small disk")
    try:
        done, path = write_elsewhere(kind, model, table, tmp_path, folder)
        assert_nothing_was_lost(kind, done, path)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


# --- tables for a spreadsheet


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"])
def test_text_that_would_be_a_formula_gets_an_apostrophe(start):
    table = pd.DataFrame({f"{start}head": [f"{start}cell", "a;" + start + "b"]})
    harmless = without_formulas(table)
    assert harmless.columns.tolist() == [f"'{start}head"]
    assert harmless.iloc[0, 0] == f"'{start}cell"
    assert harmless.iloc[1, 0] == f"a;'{start}b"


@pytest.mark.parametrize(
    "value", [-1, -1.5, "-1", "+1.5", "-1e-3", "a-b", "", "x=1"], ids=repr
)
def test_numbers_and_other_text_stay_as_they_are(value):
    assert without_formulas(pd.DataFrame({"x": [value]})).iloc[0, 0] == value


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "csv.zip", "csv.xz", "csv.bz2"])
def test_a_table_is_compressed_as_its_name_says(suffix, tmp_path):
    table = pd.DataFrame({"x": [1, 2]})
    write_csv(table, tmp_path / f"table.{suffix}")
    assert pd.read_csv(tmp_path / f"table.{suffix}").equals(table)
