"""The command line, as a shell runs it."""

import gzip
import os
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification

import autoimb
from autoimb import AutoImbalance, Cost, RecallAtLeast, TopK
from autoimb._cli import main
from autoimb._cli.commands import COMMANDS
from autoimb._cli.options import parse_threshold


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with one table as CSV, gzipped CSV and Parquet."""
    path = tmp_path_factory.mktemp("cli")
    X, y = make_classification(200, 5, weights=[0.85], random_state=0)
    table = pd.DataFrame(X).add_prefix("x")
    table["city"] = np.where(X[:, 0] > 0, "Oslo", "Rome")
    rng = np.random.default_rng(0)
    table["customer"] = rng.integers(0, 60, 200)
    table["weight"] = rng.integers(1, 4, 200)
    table["cost_no"] = rng.integers(0, 80, 200) + np.where(y, 50, 0)
    table["cost_yes"] = rng.integers(0, 80, 200) + np.where(y, 0, 10)
    table["fraud"] = np.where(y == 1, "yes", "no")
    table.to_csv(path / "data.csv", index=False)
    with gzip.open(path / "data.csv.gz", "wt") as file:
        table.to_csv(file, index=False)
    return path


FAST = ["--n-trials", "1", "--n-jobs", "1", "--seed", "0"]
FAST += ["--families", "logistic_regression"]
FIT = ["--target", "fraud", *FAST]
ROWS = ["--groups", "customer", "--weights", "weight", "--costs", "cost_no", "cost_yes"]


@pytest.fixture(scope="module")
def model(folder):
    status = main(
        ["fit", str(folder / "data.csv"), *FIT, "--out", str(folder / "model.skops")]
    )
    assert status == 0
    return folder / "model.skops"


def run(*arguments):
    """Run in a process of its own, as a shell does."""
    return subprocess.run(
        [sys.executable, "-m", "autoimb", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_fit_in_a_shell_prints_a_summary_and_writes_the_report(folder):
    out = folder / "report.html"
    done = run("fit", folder / "data.csv.gz", *FIT, "--report", out)
    assert done.returncode == 0, done.stderr
    assert "class of interest: yes" in done.stdout
    assert "On new data expect PR-AUC about" in " ".join(done.stdout.split())
    assert str(out) in done.stdout
    assert out.read_text().startswith("<!doctype html>")
    assert done.stderr == ""


def test_predict_reorders_columns_by_name_and_ignores_others(folder, model, tmp_path):
    table = pd.read_csv(folder / "data.csv")
    table[table.columns[::-1]].to_csv(tmp_path / "new.csv", index=False)
    for name in (folder / "data.csv", tmp_path / "new.csv"):
        assert (
            main(
                [
                    "predict",
                    str(model),
                    str(name),
                    "--out",
                    f"{tmp_path / name.stem}.out",
                ]
            )
            == 0
        )
    scores = pd.read_csv(tmp_path / "data.out")
    assert list(scores) == ["label", "probability_no", "probability_yes"]
    assert len(scores) == len(table)
    assert scores.equals(pd.read_csv(tmp_path / "new.out"))


def test_parquet_is_read(folder, model, capsys):
    pytest.importorskip("pyarrow")
    pd.read_csv(folder / "data.csv").to_parquet(folder / "data.parquet")
    assert main(["predict", str(model), str(folder / "data.parquet")]) == 0
    assert capsys.readouterr().out.startswith("label,probability_no")


def test_profile_prints_the_data_and_the_advice(folder, capsys):
    assert main(["profile", str(folder / "data.csv"), "--target", "fraud"]) == 0
    out = capsys.readouterr().out
    assert "200 rows" in out
    assert "Advice:" in out


def test_report_of_a_saved_model(model, tmp_path):
    assert main(["report", str(model), "--out", str(tmp_path / "r.md")]) == 0
    assert (tmp_path / "r.md").read_text().startswith("# Strategy report")


def test_report_with_the_training_table_says_more(folder, model, tmp_path):
    out, data = tmp_path / "r.md", ["--data", str(folder / "data.csv")]
    told = [*data, "--target", "fraud", "--time-budget", "20"]
    assert main(["report", str(model), "--out", str(out), *told]) == 0
    assert "PR-AUC lost when shuffled" in out.read_text()


def test_results_take_the_place_of_no_file_that_is_needed(folder, capsys):
    table = folder / "table.csv"
    shutil.copy(folder / "data.csv", table)
    (folder / "link.csv").symlink_to(table)
    (folder / "search.db").touch()
    storage = f"sqlite:///{folder / 'search.db'}"
    for out, more, named in [
        (folder / "link.csv", [], "the table"),
        (folder / "sub" / ".." / "search.db", ["--storage", storage], "--storage"),
        (folder / "r.html", ["--report", str(folder / "r.html")], "--out"),
    ]:
        (folder / "sub").mkdir(exist_ok=True)
        assert main(["fit", str(table), *FIT, "--out", str(out), *more]) == 2
        assert f"file of {named}: name another" in " ".join(
            capsys.readouterr().err.split()
        )
    assert table.read_bytes() == (folder / "data.csv").read_bytes()
    assert not (folder / "r.html").exists()


def test_folds_in_order_of_time(folder, tmp_path):
    out = tmp_path / "m.skops"
    fit = ["fit", str(folder / "data.csv"), *FIT, "--time", "x0", "--cv", "2"]
    assert main([*fit, "--out", str(out)]) == 0
    blocks = autoimb.load(out).report().data.over_time
    assert len(blocks) == 2
    assert blocks[0].n_training < blocks[1].n_training


def test_catalogue_says_what_fits(folder, capsys):
    assert main(["catalogue"]) == 0
    assert "xgboost" in capsys.readouterr().out
    data = ["--data", str(folder / "data.csv"), "--target", "fraud"]
    assert main(["catalogue", *data]) == 0
    printed = capsys.readouterr().out
    assert "does not fit" in printed
    assert "needs categories" in " ".join(printed.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "absent.csv", "--target", "y"], "no file 'absent.csv'"),
        (["fit", "{data}", "--target", "y"], "no column 'y'; its columns are x0"),
        (["fit", "{empty}", "--target", "y"], "cannot be read"),
        (["fit", "{only}", "--target", "y"], "has no column beside y"),
        (["fit", "{binary}", "--target", "y"], "cannot be read"),
        (["fit", "{data}", *FIT, "--metric", "prauc"], "metric='prauc'"),
        (["fit", "{data}", *FIT, "--pos-label", "maybe"], "it holds no, yes"),
        (["fit", "{data}", *FIT, "--out", "none/m.skops"], "no folder 'none'"),
        (["fit", "{data}", *FIT, "--report", "r.pdf"], "let it end in .html"),
        (["fit", "{data}", "--target", "x0"], "y holds no classes"),
        (["predict", "{data}", "{data}"], "not a model"),
        (["fit", "{data}", *FIT, "--out", "{folder}"], "is a folder"),
        (["fit", "{data}", *FIT, "--groups", "who"], "no column 'who'"),
        (["fit", "{data}", *FIT, "--weights", "city"], "--weights city: the column"),
        (["fit", "{data}", *FIT, "--costs", "x0", "city"], "--costs city: the column"),
        (["fit", "{data}", *FIT, "--threshold", "recal=0.9"], "Did you mean 'recall'"),
        (["fit", "{data}", *FIT, "--threshold", "top=many"], "for example, top=100"),
        (["fit", "{data}", *FIT, "--threshold", "recall=9"], "between 0 and 1"),
        (["fit", "{data}", *FIT, "--threshold", "cost=1"], "for example, cost=1:50"),
        (["fit", "{data}", *FIT, "--sep", ";"], "name it with --sep"),
        (["fit", "{data}", *FIT, "--cv", "1"], "cv=1"),
        (["fit", "{data}", *FIT, "--time", "when"], "TimeOrdered(by='when')"),
        (["fit", "{data}", *FIT, "--time", "city"], "times must be numbers, or dates"),
        (["fit", "{data}", *FIT, "--time", "x0", "--cv", "0"], "n_blocks=0"),
        (["fit", "{data}", *FIT, "--storage", "sqlite:///no/s.db"], "storage"),
        (["fit", "{data}", *FIT, "--storage", "sqlite:///{data}"], "storage"),
        (["fit", "{data}", *FIT, "--storage", "foo://x/y"], "storage"),
        (
            ["fit", "{data}", *FIT, "--storage", "mysql://a:secret@b/c"],
            "storage",
        ),
        (["fit", "{data}", *FIT, "--storage", "search.db"], "not a database URL"),
        (["predict", "{folder}", "{data}"], "is a folder"),
        (["predict", "{model}", "{folder}"], "is a folder"),
        (["predict", "{model}", "{data}", "--sep", ";"], "name it with --sep"),
        (["predict", "{model}", "{data}", "--top", "3", "--costs", "x0"], "exclude"),
        (["predict", "{model}", "{data}", "--costs", "x0"], "costs has shape (200, 1)"),
        (["report", "{model}", "--out", "r.pdf"], "let it end in .html"),
        (["catalogue", "--data", "{data}"], "needs --target"),
        (["fit", "{data}", *FIT, "--out", "{data}"], "replace the file of the table"),
        (["predict", "{model}", "{data}", "--out", "{model}"], "file of the model"),
        (["fit", "{data}", *FIT, "--out", "/proc/m.skops"], "cannot be written"),
        (["fit", "{data}", *FIT, "--report", "/proc/r.html"], "cannot be written"),
        (["predict", "{model}", "{data}", "--out", "/proc/p.csv"], "cannot be written"),
        (["predict", "{model}", "{data}", "--out", "{data}"], "file of the table"),
        (["report", "{model}", "--out", "r.md", "--data", "{data}"], "needs --target"),
    ],
)
def test_bad_input_is_one_clear_line_and_status_2(
    folder, model, tmp_path, capsys, arguments, message
):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "only.csv").write_text("y\n1\n0\n")
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)) * 20)
    names = {
        "data": folder / "data.csv",
        "model": model,
        "empty": tmp_path / "empty.csv",
        "only": tmp_path / "only.csv",
        "binary": tmp_path / "binary.csv",
        "folder": folder,
    }
    assert main([argument.format(**names) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert "Traceback" not in error
    assert "secret" not in error


def test_help_teaches_and_missing_arguments_are_status_2(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["fit", "--help"])
    assert "example:" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main(["fit"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "t.csv"], "usage: autoimb fit TABLE --target COLUMN [options]\n"),
        (["predict"], "usage: autoimb predict MODEL TABLE [options]\n"),
        (["profile", "t.csv"], "arguments are required: --target\n"),
        (["fit", "t.csv", *FIT, "--time-bugdet", "3"], "did you mean --time-budget?"),
        (["fit", "t.csv", *FIT, "--seeed=3"], "no argument '--seeed=3': did you mean"),
        (["predict", "a", "b", "c"], "no argument 'c': autoimb predict --help lists"),
        (["catalogue", "--colour"], "no argument '--colour': autoimb catalogue --help"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_line_is_two_lines(capsys, arguments, message):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 2


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=str)
def test_help_fits_into_a_terminal(capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit, match="0"):
        main([*command, "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) < 85


@pytest.mark.slow
def test_demo_runs_in_a_shell(tmp_path):
    report = tmp_path / "demo.html"
    done = run("demo", "--time-budget", "20", "--report", report)
    assert done.returncode == 0, done.stderr
    for part in ("is it an 8?", "1,797 rows", "PR-AUC", "The flowchart advised", "F1"):
        assert part in done.stdout
    assert report.exists()


def test_a_stored_search_goes_on_and_one_on_other_data_is_refused(
    folder, tmp_path, capsys
):
    import optuna

    url = f"sqlite:///{tmp_path / 'search.db'}"
    stored = ["--storage", url, "--study-name", "mine"]
    for n_trials in ("1", "3"):
        fit = ["fit", str(folder / "data.csv"), *FIT, "--n-trials", n_trials]
        assert main([*fit, *stored]) == 0
    study = optuna.load_study(study_name="mine", storage=url)
    assert [trial.user_attrs["status"] for trial in study.trials[:2]] == [
        "complete"
    ] * 2
    assert len(study.trials) == 3
    capsys.readouterr()
    assert main([*fit, *stored, "--metric", "roc_auc"]) == 2
    assert "another metric" in capsys.readouterr().err
    assert main([*fit, "--study-name", "mine"]) == 2
    assert "storage='sqlite:///search.db'" in capsys.readouterr().err


def test_a_model_fitted_without_column_names_reads_columns_by_position(
    tmp_path, capsys
):
    X, y = make_classification(120, 4, weights=[0.8], random_state=0)
    model = AutoImbalance(
        n_trials=1, families="logistic_regression", n_jobs=1, random_state=0
    ).fit(X, y)
    model.save(tmp_path / "model.skops")
    pd.DataFrame(X).add_prefix("x").to_csv(tmp_path / "rows.csv", index=False)
    paths = [str(tmp_path / name) for name in ("model.skops", "rows.csv")]
    assert main(["predict", *paths]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    labels = pd.read_csv(StringIO(printed.out))["label"]
    np.testing.assert_array_equal(labels, model.predict(X))


# --- what no work may be lost to


INTERRUPTED = """
import os, runpy, signal, sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
sys.argv = ["autoimb", "catalogue"]
runpy.run_module("autoimb", run_name="__main__")
"""


@pytest.mark.parametrize("module", ["numpy", "pandas", "sklearn.base", "rich.table"])
def test_ctrl_c_while_libraries_load_is_one_line(module):
    code = INTERRUPTED.format(module=module)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 130, done.stderr
    assert done.stderr == "interrupted before the result was complete\n"


def test_a_place_that_cannot_be_written_is_told_before_the_work(folder, capsys):
    """Before the table is read: there is none."""
    assert main(["fit", "absent.csv", *FIT, "--out", "/proc/m.skops"]) == 2
    assert "--out /proc/m.skops cannot be written" in capsys.readouterr().err
    before = set(folder.iterdir())
    assert main(["fit", "absent.csv", *FIT, "--out", str(folder / "new.skops")]) == 2
    assert set(folder.iterdir()) == before


def test_a_model_that_finds_no_room_is_saved_elsewhere(
    folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    results = ["--out", "/dev/full", "--report", str(tmp_path / "r.md")]
    assert main(["fit", str(folder / "data.csv"), *FIT, *results]) == 2
    printed = capsys.readouterr()
    assert "Logistic regression" in printed.out
    assert (tmp_path / "r.md").exists()
    (copy,) = tmp_path.glob("autoimb-*")
    assert "written to /dev/full (No space left on device): it is" in printed.err
    assert f"saved as {copy} instead" in printed.err
    assert printed.err.count("\n") == 1
    assert len(autoimb.load(copy).classes_) == 2


def test_a_model_that_finds_room_nowhere_is_an_error_that_says_so(
    folder, monkeypatch, capsys
):
    monkeypatch.chdir("/proc")
    monkeypatch.setenv("HOME", "/proc")
    monkeypatch.setattr("tempfile.tempdir", "/proc")
    assert main(["fit", str(folder / "data.csv"), *FIT, "--out", "/dev/full"]) == 2
    assert "nor to /proc, /proc, /proc: it is lost. Make" in capsys.readouterr().err


def test_a_column_of_labels_that_is_there_twice_is_an_error(tmp_path, capsys):
    """The copy would be a feature that tells all."""
    path = tmp_path / "twice.csv"
    path.write_text(
        "x,t,g,t\n" + "".join(f"{i},{i % 2},{i},{i % 2}\n" for i in range(60))
    )
    assert main(["fit", str(path), "--target", "t", *FAST]) == 2
    assert "more than one column is named 't', and it is no" in capsys.readouterr().err
    path.write_text("x,t,g,g\n" + "".join(f"{i},{i % 2},{i},{i}\n" for i in range(60)))
    assert main(["profile", str(path), "--target", "t", "--groups", "g"]) == 2
    assert "more than one column is named 'g'" in capsys.readouterr().err
    assert main(["profile", str(path), "--target", "t"]) == 0
    assert "warning: more than one column is named 'g'" in capsys.readouterr().err


# --- the options of fit, predict and report


def test_fit_passes_on_what_its_options_say(folder, tmp_path):
    """The model is the one that Python fits with these arguments."""
    options = [*FIT, *ROWS[:4], "--threshold", "cost=1:50", "--cv", "3"]
    out = tmp_path / "m.skops"
    assert main(["fit", str(folder / "data.csv"), *options, "--out", str(out)]) == 0
    table = pd.read_csv(folder / "data.csv")
    X = table.drop(columns=["customer", "weight", "fraud"])
    model = AutoImbalance(
        threshold=Cost(fp=1, fn=50),
        cv=3,
        n_trials=1,
        families="logistic_regression",
        n_jobs=1,
        random_state=0,
    ).fit(X, table["fraud"], groups=table["customer"], sample_weight=table["weight"])
    same = autoimb.load(out)
    assert list(same.feature_names_in_) == list(X)
    np.testing.assert_allclose(same.oof_proba_, model.oof_proba_)
    assert same.threshold_ == pytest.approx(model.threshold_)


@pytest.fixture(scope="module")
def model_of_costs(folder):
    out = folder / "costs.skops"
    fit = ["fit", str(folder / "data.csv"), *FIT, *ROWS, "--out", str(out)]
    assert main(fit) == 0
    return out


def test_costs_groups_and_weights_are_no_features(folder, model_of_costs):
    model = autoimb.load(model_of_costs)
    assert list(model.feature_names_in_) == ["x0", "x1", "x2", "x3", "x4", "city"]
    assert model._decision.needs_costs


def test_report_takes_the_words_of_fit(folder, model_of_costs, tmp_path):
    out, data = tmp_path / "r.md", ["--data", str(folder / "data.csv")]
    told = [*data, "--target", "fraud", *ROWS, "--time-budget", "20"]
    assert main(["report", str(model_of_costs), "--out", str(out), *told]) == 0
    assert "PR-AUC lost when shuffled" in out.read_text()
    aim = ["--threshold", "top=20"]
    assert main(["report", str(model_of_costs), "--out", str(out), *aim]) == 0
    assert "at most 20 alerts" in out.read_text()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            ["--threshold", "top=20"],
            lambda m, X, _: m.set_threshold(TopK(20)).predict(X),
        ),
        (["--threshold", "0.9"], lambda m, X, _: m.set_threshold(0.9).predict(X)),
        (["--threshold", "none"], lambda m, X, _: m.set_threshold(None).predict(X)),
        (
            ["--top", "7"],
            lambda m, X, _: np.where(np.isin(range(200), m.top(X, 7)), "yes", "no"),
        ),
        (
            ["--costs", "x1", "weight"],
            lambda m, X, t: m.predict(X, costs=t[["x1", "weight"]].to_numpy()),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_predict_decides_as_python_does(folder, model, tmp_path, options, expected):
    paths = [str(model), str(folder / "data.csv"), "--out", str(tmp_path / "o.csv")]
    assert main(["predict", *paths, *options]) == 0
    fitted, table = autoimb.load(model), pd.read_csv(folder / "data.csv")
    labels = expected(fitted, table[list(fitted.feature_names_in_)], table)
    np.testing.assert_array_equal(pd.read_csv(tmp_path / "o.csv")["label"], labels)


@pytest.mark.parametrize(
    ("text", "threshold"),
    [
        ("f1", "f1"),
        ("cost", "cost"),
        ("0.25", 0.25),
        ("none", None),
        ("recall=0.9", RecallAtLeast(0.9)),
        ("precision=0.8", autoimb.PrecisionAtLeast(0.8)),
        ("top=100", TopK(100)),
        ("share=0.01", autoimb.TopShare(0.01)),
        ("fbeta=2", autoimb.FBeta(2.0)),
        ("cost=1:50", Cost(fp=1, fn=50)),
    ],
)
def test_words_of_the_threshold(text, threshold):
    assert parse_threshold(text) == threshold


# --- the same row, the same score


CODES = pd.DataFrame(
    {
        "code": np.resize(["01", "02", "03", "A4", "1.50", "7"], 240),
        "price": np.resize(["1.5", "2.5", "9.9", "", "3"], 240),
        "open": np.resize(["True", "False", "True", ""], 240),
        "day": np.resize(["2020-01-01", "2021-06-05", ""], 240),
    }
)
CODES["y"] = ((CODES["code"] == "01") | (np.arange(240) % 17 == 0)).astype(int)


@pytest.fixture(scope="module")
def model_of_codes(tmp_path_factory):
    path = tmp_path_factory.mktemp("codes")
    CODES.to_csv(path / "t.csv", index=False)
    fit = ["fit", str(path / "t.csv"), "--target", "y", *FAST]
    assert main([*fit, "--out", str(path / "m.skops")]) == 0
    return path / "m.skops"


def scores_of(model, table, tmp_path, **form):
    table.to_csv(tmp_path / "n.csv", index=False, **form)
    paths = [str(model), str(tmp_path / "n.csv"), "--out", str(tmp_path / "o.csv")]
    assert main(["predict", *paths]) == 0
    return pd.read_csv(tmp_path / "o.csv")["probability_1"].to_numpy()


@pytest.mark.parametrize(
    "part",
    [
        CODES["code"].isin(["01", "02", "03"]),
        CODES["code"] == "1.50",
        CODES["price"] == "",
        CODES["open"] == "",
        CODES["day"] == "",
        CODES.index == 5,
    ],
    ids=["digits", "decimals", "no price", "never open", "no day", "one row"],
)
def test_a_row_has_one_score_whatever_other_rows_are_in_its_file(
    model_of_codes, tmp_path, part
):
    whole = scores_of(model_of_codes, CODES, tmp_path)
    alone = scores_of(model_of_codes, CODES[part], tmp_path)
    np.testing.assert_allclose(alone, whole[part], rtol=1e-12)


def test_a_row_has_one_score_in_every_form_of_file(model_of_codes, tmp_path):
    whole = scores_of(model_of_codes, CODES, tmp_path)
    for form in ({"sep": ";"}, {"sep": "\t", "encoding": "utf-16"}):
        np.testing.assert_array_equal(
            scores_of(model_of_codes, CODES, tmp_path, **form), whole
        )


@pytest.mark.parametrize(
    "codes",
    [
        np.resize([1.0, 2.0, np.nan, 3.0], 240),
        np.resize([1, 2, 3], 240),
        np.resize([1.5, 2.25, np.nan], 240),
        np.resize([True, False], 240),
        np.resize(["01", "1e5", "x"], 240),
    ],
    ids=["whole floats", "integers", "decimals", "booleans", "text"],
)
def test_categories_of_a_frame_are_those_of_its_file(tmp_path, codes):
    """A model that was fitted in Python gives the file's rows the frame's scores."""
    X = pd.DataFrame({"code": pd.Categorical(codes), "a": np.arange(240) % 7})
    y = (pd.Series(codes).astype(str) == str(codes[0])).astype(int)
    y.iloc[::8] = 1 - y.iloc[::8]  # no category is a leak
    model = AutoImbalance(
        n_trials=1, families="logistic_regression", n_jobs=1, random_state=0
    ).fit(X, y)
    model.save(tmp_path / "m.skops")
    scores = scores_of(tmp_path / "m.skops", X, tmp_path)
    np.testing.assert_allclose(scores, model.predict_proba(X)[:, 1], rtol=1e-12)


@pytest.mark.parametrize("labels", [["0", "1"], [False, True], [0, 1]], ids=repr)
def test_report_knows_the_labels_of_the_model(tmp_path, labels):
    X, y = make_classification(150, 4, weights=[0.8], random_state=0)
    X, y = pd.DataFrame(X).add_prefix("x"), np.array(labels, dtype=object)[y]
    X.assign(y=y).to_csv(tmp_path / "t.csv", index=False)
    X = pd.read_csv(tmp_path / "t.csv").drop(columns="y")
    model = AutoImbalance(
        n_trials=1, families="logistic_regression", n_jobs=1, random_state=0
    ).fit(X, y)
    model.save(tmp_path / "m.skops")
    paths = [str(tmp_path / name) for name in ("m.skops", "t.csv", "r.json")]
    told = ["--data", paths[1], "--target", "y", "--time-budget", "1"]
    assert main(["report", paths[0], "--out", paths[2], *told]) == 0


def test_text_in_a_column_of_numbers_is_refused_by_name(
    model_of_codes, tmp_path, capsys
):
    wrong = CODES.assign(price="dear")
    wrong.to_csv(tmp_path / "n.csv", index=False)
    assert main(["predict", str(model_of_codes), str(tmp_path / "n.csv")]) == 2
    assert "'price'" in capsys.readouterr().err


# --- nothing is lost on the way to the console


@pytest.mark.parametrize(
    "encoding", ["cp1252", pytest.param("ascii", marks=pytest.mark.slow)]
)
def test_signs_that_the_console_lacks_cost_nothing(tmp_path, encoding):
    """The model is saved, labels in a file are whole, those printed are replaced."""
    labels = np.where(CODES["y"] == 1, "да", "нет")
    data, out = tmp_path / "t.csv", tmp_path / "m.skops"
    CODES.assign(y=labels).to_csv(data, index=False)
    code = (
        "import sys; from autoimb._cli import main; data, out, *fast = sys.argv[1:]; "
        "fit = main(['fit', data, '--target', 'y', *fast, '--out', out]); "
        "print(fit, main(['predict', out, data]), main(['catalogue']))"
    )
    console = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code, data, out, *FAST],
        capture_output=True,
        check=True,
        env=console,
    )
    assert done.stdout.split()[-3:] == [b"0"] * 3
    error = done.stderr.decode(encoding)
    assert "Traceback" not in error
    assert error.count("--out FILE writes them all") == 1
    assert main(["predict", str(out), str(data), "--out", str(tmp_path / "o.csv")]) == 0
    assert set(pd.read_csv(tmp_path / "o.csv")["label"]) <= {"да", "нет"}


def test_a_pipe_that_is_closed_costs_no_model(folder, tmp_path):
    out, (reads, writes) = tmp_path / "m.skops", os.pipe()
    os.close(reads)
    fit = ["fit", folder / "data.csv", *FIT, "--out", out]
    done = subprocess.run(
        [sys.executable, "-m", "autoimb", *fit],
        stdout=writes,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writes)
    assert (done.returncode, done.stderr) == (0, b"")
    assert autoimb.load(out)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("command", ["fit", "report", "predict"])
def test_all_is_written_before_anything_is_printed(
    folder, model, tmp_path, monkeypatch, capsys, command
):
    """A console that fails costs neither the model nor what is made of it."""
    out = tmp_path / f"out.{'md' if command == 'report' else 'skops'}"
    data = str(folder / "data.csv")
    arguments = {
        "fit": ["fit", data, *FIT],
        "report": ["report", str(model)],
        "predict": ["predict", str(model), data],
    }
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main([*arguments[command], "--out", str(out)]) == 2
    assert "No space left" in capsys.readouterr().err
    assert out.stat().st_size > 1000


def test_a_report_that_cannot_be_written_costs_no_model(folder, tmp_path, capsys):
    out, report = tmp_path / "m.skops", tmp_path / "r.html"
    report.write_text("old")
    report.chmod(0o444)
    if os.access(report, os.W_OK):
        pytest.skip("root may write everywhere")
    paths = ["--out", str(out), "--report", str(report)]
    assert main(["fit", str(folder / "data.csv"), *FIT, *paths]) == 2
    assert f"model: {out}" in capsys.readouterr().out
    assert autoimb.load(out)


# --- errors that autoimb did not foresee


@pytest.mark.parametrize(
    "error",
    [RuntimeError("two\nlines"), ValueError("x" * 9999), MemoryError()],
    ids=repr,
)
def test_any_error_is_one_line_and_debug_shows_where(
    folder, monkeypatch, capsys, error
):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(AutoImbalance, "fit", fails)
    fit = ["fit", str(folder / "data.csv"), *FIT]
    assert main(fit) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"autoimb fit: {type(error).__name__}: ")
    assert line.count("\n") == 1
    assert len(line) < 700
    assert main([*fit, "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(("word", "is_refit"), [("folds", False), ("auto", True)])
def test_the_final_fit_can_be_chosen(folder, tmp_path, word, is_refit):
    out = tmp_path / "model.skops"
    arguments = [*FIT, "--final-fit", word, "--out", str(out)]
    assert main(["fit", str(folder / "data.csv"), *arguments]) == 0
    (member,) = autoimb.load(out).ensemble_
    assert member.is_refit == is_refit


def test_saving_on_the_command_line_replaces_fold_models(tmp_path):
    """Whatever happens in the fits on all rows, a first file is there."""
    from autoimb._cli.results import _save

    X, y = make_classification(200, 5, weights=[0.85], random_state=0)
    model = AutoImbalance(
        n_trials=1,
        families="logistic_regression",
        final_fit=False,
        n_jobs=1,
        random_state=0,
    ).fit(X, y)
    out = tmp_path / "model.skops"
    with pytest.raises(autoimb.exceptions.BadInputError, match="not the table"):
        _save(model, out, X=X[::-1], y=y)
    assert not autoimb.load(out).ensemble_[0].is_refit
    _save(model, out, X=X, y=y)
    assert autoimb.load(out).ensemble_[0].is_refit


def test_a_limit_of_milliseconds_needs_a_clock(folder, capsys):
    data = str(folder / "data.csv")
    assert main(["fit", data, *FIT, "--max-predict-ms", "20"]) == 2
    assert "time_budget" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["page.html", "page.md", "page.json"])
def test_monitor_says_whether_a_model_still_holds(
    folder, model, tmp_path, capsys, name
):
    out = tmp_path / name
    arguments = [str(model), str(folder / "data.csv"), "--target", "fraud"]
    assert main(["monitor", *arguments, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "PR-AUC on 200 labelled rows" in printed
    assert str(out.resolve()) in printed
    assert "labelled rows" in out.read_text(encoding="utf-8")


def test_monitor_reads_labels_that_are_partly_there(folder, model, tmp_path, capsys):
    table = pd.read_csv(folder / "data.csv").drop(columns="weight")
    table.loc[50:, "fraud"] = None
    table.to_csv(tmp_path / "new.csv", index=False)
    data = str(tmp_path / "new.csv")
    assert main(["monitor", str(model), data, "--target", "fraud"]) == 2
    assert "weight" in capsys.readouterr().err  # the model was fitted on it
    table.assign(weight=1).to_csv(tmp_path / "new.csv", index=False)
    assert main(["monitor", str(model), data, "--target", "fraud"]) == 0
    assert "on 50 labelled rows" in capsys.readouterr().out
    assert main(["monitor", str(model), data]) == 0
    assert "labelled rows" not in capsys.readouterr().out


def test_monitor_refuses_a_format_before_the_work(folder, model, tmp_path, capsys):
    out = str(tmp_path / "page.pdf")
    assert main(["monitor", str(model), str(folder / "data.csv"), "--out", out]) == 2
    assert "let it end in" in capsys.readouterr().err
