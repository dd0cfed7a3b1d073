"""CSV files of any form are read alike, and a row is read the same in any file."""

import csv
import gzip
import zipfile

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal, assert_series_equal

from autoimb._cli.table_files import (
    TextForm,
    numbers_of,
    read_table,
    without_row_numbers,
)
from autoimb.exceptions import AutoImbWarning, BadInputError

FOUND_OUT = TextForm()


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "amount": rng.normal(size=60).round(3),
            "n": rng.integers(0, 9, 60),
            "town": rng.choice(["Köln", "Bonn", "Ulm, am Fluss", "a;b|c", "x\ny"], 60),
            "is_new": rng.random(60) < 0.5,
            "y": rng.choice(["ja", "nein"], 60),
        }
    )
    table.loc[::7, ["amount", "town"]] = np.nan
    return table


@pytest.mark.newest  # before, pandas leaves such empty cells out
def test_rows_that_end_in_a_separator_are_never_read_by_the_column_beside(tmp_path):
    (tmp_path / "t.csv").write_text("y,a,b\n1,5,6,\n0,7,8,\n")
    with pytest.raises(BadInputError, match="more cells than its header has names"):
        read_table(tmp_path / "t.csv", FOUND_OUT, target="y")


FORMS = {
    "commas.csv": {},
    "semicolons.csv": {"sep": ";"},
    "tabs.tsv": {"sep": "\t"},
    "tabs.txt": {"sep": "\t"},
    "bars.csv": {"sep": "|"},
    "quoted.csv": {"quoting": csv.QUOTE_ALL},
    "windows_lines.csv": {"lineterminator": "\r\n"},
    "decimal_commas.csv": {"sep": ";", "decimal": ","},
    "decimal_commas.tsv": {"sep": "\t", "decimal": ","},
    "byte_order_mark.csv": {"encoding": "utf-8-sig"},
    "utf_16.txt": {"sep": "\t", "encoding": "utf-16"},
    "utf_32.csv": {"encoding": "utf-32"},
    "packed.csv.gz": {},
    "packed.csv.bz2": {},
    "packed.csv.xz": {},
    "packed.csv.zip": {},
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_a_csv_file_gives_the_same_table(table, tmp_path, name):
    table.to_csv(tmp_path / name, index=False, **FORMS[name])
    assert_frame_equal(read_table(tmp_path / name, FOUND_OUT), table)


@pytest.mark.parametrize(
    "given", [{"sep": ";"}, {"sep": ";", "decimal": ","}, {"sep": "\t"}], ids=repr
)
def test_western_text_is_read_with_a_remark(table, tmp_path, given):
    table.to_csv(tmp_path / "t.csv", index=False, encoding="cp1252", **given)
    with pytest.warns(AutoImbWarning, match="not in UTF-8 .* --encoding"):
        found = read_table(tmp_path / "t.csv", FOUND_OUT)
    assert_frame_equal(found, table)


@pytest.mark.parametrize(
    ("given", "form"),
    [
        ({"encoding": "cp1251"}, TextForm(encoding="cp1251")),
        ({"sep": "#"}, TextForm(separator="#")),
        ({"sep": "\t"}, TextForm(separator="tab")),
        ({"sep": ";", "decimal": ","}, TextForm("semicolon", "utf-8", ",")),
    ],
    ids=["encoding", "separator", "name of a separator", "all"],
)
def test_the_form_may_be_told(tmp_path, given, form):
    table = pd.DataFrame({"a": [1.5, 2.25], "b": ["да", "x,y"], "c": ["1,5 m", "2"]})
    table.to_csv(tmp_path / "t.csv", index=False, **given)
    assert_frame_equal(read_table(tmp_path / "t.csv", form), table)


def test_the_line_that_tells_excel_the_separator_is_no_header(tmp_path):
    (tmp_path / "t.csv").write_text("sep=;\na;b\n1,5;x\n")
    found = read_table(tmp_path / "t.csv", FOUND_OUT)
    assert found.to_dict("list") == {"a": [1.5], "b": ["x"]}


@pytest.mark.newest  # gaps of text are None before pandas 3
def test_parquet_keeps_its_types(table, tmp_path):
    pytest.importorskip("pyarrow")
    typed = table.assign(code=pd.Categorical(["01", "1", "A4"] * 20))
    typed.to_parquet(tmp_path / "t.parquet")
    assert_frame_equal(read_table(tmp_path / "t.parquet", FOUND_OUT), typed)


# --- what a column holds


ROWS = pd.DataFrame(
    {
        "code": ["01", "02", "A4", "03", "1e5", "1.50", "?", ""] * 5,
        "flag": ["True", "False", "", "True", "False", "True", "True", "False"] * 5,
        "mark": ["True", "no", "1", "False", "", "0", "NA", "True"] * 5,
        "day": ["2020-01-01", "", "2021-02-03", "9999-12-31"] * 10,
        "number": ["1", "2.50", "", "-3e2", "0.1", "7", "NA", "8"] * 5,
    }
)


@pytest.mark.parametrize("seed", range(6))
def test_a_row_is_read_the_same_whatever_other_rows_are_in_its_file(tmp_path, seed):
    """The columns that a model reads as text stay text, the others are numbers."""
    text = {"code", "mark", "day"}
    ROWS.to_csv(tmp_path / "all.csv", index=False)
    whole = read_table(tmp_path / "all.csv", FOUND_OUT, text=text)
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(ROWS), rng.integers(1, 6), replace=False))
    ROWS.iloc[rows].to_csv(tmp_path / "part.csv", index=False)
    part = read_table(tmp_path / "part.csv", FOUND_OUT, text=text)
    expected = whole.iloc[rows].reset_index(drop=True)
    assert_frame_equal(part[[*text]], expected[[*text]])
    for name in ("flag", "number"):
        values = [part[name].astype(float), expected[name].astype(float)]
        assert_series_equal(*values)


def test_columns_are_text_by_position_as_well(tmp_path):
    ROWS[["number", "number"]].to_csv(tmp_path / "t.csv", index=False)
    found = read_table(tmp_path / "t.csv", FOUND_OUT, text={1})
    assert [dtype.kind for dtype in found.dtypes] == ["f", "O"]


def test_the_last_row_of_a_long_file_counts_as_the_first(tmp_path):
    wide = pd.DataFrame(np.ones((3000, 400), dtype=int)).add_prefix("x")
    wide["price"] = ["9.90"] * 2999 + ["?"]
    wide.to_csv(tmp_path / "t.csv", index=False)
    assert set(read_table(tmp_path / "t.csv", FOUND_OUT)["price"]) == {"9.90", "?"}


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (["0", "1", "1"], [0, 1, 1]),
        (["0.0", "1.0", ""], [0.0, 1.0, None]),
        (["True", "false", "TRUE"], [True, False, True]),
        (["NA", "ok", "NA"], ["NA", "ok", "NA"]),
        (["None", "null", " "], ["None", "null", None]),
        (["nan", "1", "2"], ["nan", "1", "2"]),
        (["inf", "1", "2"], ["inf", "1", "2"]),
        (["01", "02", "10"], ["01", "02", "10"]),
        (["0.5", "0.25", "1"], [0.5, 0.25, 1.0]),
    ],
    ids=lambda cells: "|".join(map(str, cells)),
)
def test_only_blank_cells_of_the_target_are_missing(tmp_path, cells, labels):
    pd.DataFrame({"a": range(3), "y": cells}).to_csv(tmp_path / "t.csv", index=False)
    found = read_table(tmp_path / "t.csv", FOUND_OUT, target="y")["y"]
    assert [None if pd.isna(label) else label for label in found] == labels
    assert {type(label) for label in found.dropna().tolist()} == {
        type(label) for label in labels if label is not None
    }


GAPS = {
    "a": range(4),
    "y": ["NA", "no", "no", "None"],
    "country": ["NA", "null", "DE", "NA"],
    "empty": ["", " ", "x", "y"],
    "day": ["2020-01-01", "NA", "2021-02-03", ""],
    "number": ["1", "2.5", "NA", "nan"],
}


def test_words_that_are_read_as_gaps_in_text_are_named_once(tmp_path):
    pd.DataFrame(GAPS).to_csv(tmp_path / "t.csv", index=False)
    words = r"'country' \(3 × 'NA', 'null'\)\. .*such as N\.A\."
    with pytest.warns(AutoImbWarning, match=f"as empty cells are: {words}") as told:
        read_table(tmp_path / "t.csv", FOUND_OUT, target="y")
    assert len(told) == 1
    plain = pd.DataFrame(GAPS).replace({"country": {"NA": "N.A.", "null": "-"}})
    plain.to_csv(tmp_path / "t.csv", index=False)
    found = read_table(tmp_path / "t.csv", FOUND_OUT, target="y")
    assert found["country"].tolist() == ["N.A.", "-", "DE", "N.A."]


def test_of_many_columns_with_such_words_the_first_are_named(tmp_path):
    table = pd.DataFrame({f"c{i}": ["NA", "x"] for i in range(9)}).assign(y=[0, 1])
    table.to_csv(tmp_path / "t.csv", index=False)
    with pytest.warns(AutoImbWarning, match=r"'c5' \(1 × 'NA'\) and 3 more\."):
        read_table(tmp_path / "t.csv", FOUND_OUT, target="y")


@pytest.mark.parametrize("start", [0, 1, 100])
def test_a_column_that_numbers_the_rows_is_left_out_with_a_remark(tmp_path, start):
    table = pd.DataFrame({"a": [3, 1, 2], "b": [1, 1, 1]}, index=[start, start + 2, 9])
    table.to_csv(tmp_path / "t.csv")
    read = read_table(tmp_path / "t.csv", FOUND_OUT)
    with pytest.warns(AutoImbWarning, match="Unnamed: 0"):
        assert list(without_row_numbers(read, tmp_path / "t.csv")) == ["a", "b"]


@pytest.mark.parametrize(
    "first", [{"id": [1, 2, 3]}, {"Unnamed: 0": [1, 1, 2]}, {"Unnamed: 0": list("abc")}]
)
def test_other_first_columns_stay(tmp_path, first):
    table = pd.DataFrame({**first, "a": [1, 2, 3]})
    assert without_row_numbers(table, tmp_path) is table


# --- what cannot be read


def packed(data):
    return gzip.compress(data, mtime=0)[:-9]


@pytest.mark.parametrize(
    ("name", "data", "form", "message"),
    [
        ("absent.csv", None, FOUND_OUT, "there is no file"),
        ("t.csv", b"", FOUND_OUT, "cannot be read as a table"),
        ("t.csv", b"a,b\n", FOUND_OUT, "holds no rows"),
        ("t.csv", b"a\n\x81\x8d\n", FOUND_OUT, "neither UTF-8 nor cp1252.*--encoding"),
        ("t.csv", b"a\n\xf6\n", TextForm(encoding="utf-8"), "in utf-8.*--encoding"),
        ("t.csv", b"a\n1\n", TextForm(encoding="utf-9"), "'utf-9' is not known"),
        ("t.csv", "a\n1".encode("utf-16-le"), FOUND_OUT, "zero bytes.*--encoding"),
        ("t.csv", b"a,b\n1,2\n1,2,3,4\n", FOUND_OUT, r"saw 4\. If .*--sep"),
        ("t.csv", b"a,b\n1,2,3\n1,2,3\n", FOUND_OUT, r"more cells.*\. If .*--sep"),
        ("t.csv", b"a,b\n1,2\n", TextForm(separator=";;"), "must be one sign"),
        ("t.csv.gz", packed(b"a,b\n1,2\n"), FOUND_OUT, "cannot be read as a table"),
        ("t.csv.gz", b"a,b\n1,2\n", FOUND_OUT, "cannot be read as a table"),
        ("t.xlsx", b"PK\x03\x04", FOUND_OUT, "workbook.*as CSV"),
        ("t.csv", b"PK\x03\x04", FOUND_OUT, "workbook.*as CSV"),
        ("t.xls", b"\xd0\xcf\x11\xe0", FOUND_OUT, "workbook.*as CSV"),
        ("t.parquet", b"PAR1 broken", FOUND_OUT, "cannot be read as a table"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(tmp_path, name, data, form, message):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(BadInputError, match=f"(?s){message}"):
        read_table(tmp_path / name, form)


def test_folders_and_archives_of_several_files_are_refused(tmp_path):
    with pytest.raises(BadInputError, match="is a folder"):
        read_table(tmp_path, FOUND_OUT)
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", "a\n1\n")
        archive.writestr("b.csv", "a\n1\n")
    with pytest.raises(BadInputError, match="holds 2 files"):
        read_table(tmp_path / "two.zip", FOUND_OUT)


@pytest.mark.parametrize("wrong", ["many", "", None], ids=repr)
def test_a_cell_that_is_no_number_is_named(wrong):
    table = pd.DataFrame({"w": pd.Series(["1", wrong, "2.5"], dtype=object)})
    with pytest.raises(BadInputError, match=r"--weights w: .* in row 2"):
        numbers_of(table, ["w"], "--weights")
