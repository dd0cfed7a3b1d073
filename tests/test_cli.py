"""The command line, as a shell runs it."""

import gzip
import subprocess
import sys
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification

from autoimb import AutoImbalance
from autoimb._cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with one table as CSV, gzipped CSV and Parquet."""
    path = tmp_path_factory.mktemp("cli")
    X, y = make_classification(200, 5, weights=[0.85], random_state=0)
    table = pd.DataFrame(X).add_prefix("x")
    table["city"] = np.where(X[:, 0] > 0, "Oslo", "Rome")
    table["fraud"] = np.where(y == 1, "yes", "no")
    table.to_csv(path / "data.csv", index=False)
    with gzip.open(path / "data.csv.gz", "wt") as file:
        table.to_csv(file, index=False)
    return path


FIT = ["--target", "fraud", "--n-trials", "1", "--n-jobs", "1", "--seed", "0"]
FIT += ["--families", "logistic_regression"]


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
        (["fit", "{binary}", "--target", "y"], "cannot be read"),
        (["fit", "{data}", *FIT, "--metric", "prauc"], "metric='prauc'"),
        (["fit", "{data}", *FIT, "--pos-label", "maybe"], "it holds no, yes"),
        (["fit", "{data}", *FIT, "--out", "none/m.skops"], "no folder 'none'"),
        (["fit", "{data}", *FIT, "--report", "r.pdf"], "let it end in .html"),
        (["fit", "{data}", "--target", "x0"], "y holds no classes"),
        (["predict", "{data}", "{data}"], "not a model"),
        (["catalogue", "--data", "{data}"], "needs --target"),
        (["report", "{model}", "--out", "r.md", "--data", "{data}"], "needs --target"),
    ],
    ids=[
        "absent file",
        "absent target",
        "empty file",
        "no table",
        "metric",
        "pos label",
        "no folder",
        "no format",
        "no classes",
        "no model",
        "no target",
        "no target of a report",
    ],
)
def test_bad_input_is_one_clear_line_and_status_2(
    folder, model, tmp_path, capsys, arguments, message
):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)) * 20)
    names = {
        "data": folder / "data.csv",
        "model": model,
        "empty": tmp_path / "empty.csv",
        "binary": tmp_path / "binary.csv",
    }
    assert main([argument.format(**names) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert "Traceback" not in error


def test_help_teaches_and_missing_arguments_are_status_2(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["fit", "--help"])
    assert "example:" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main(["fit"])


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
