"""Tables as files: CSV as programs write it, and Parquet.

A CSV file holds text and says nothing about types. In `fit` all rows of a file decide
together whether a column holds numbers; later the model does, so that a row is read the
same whatever other rows are in its file.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import importlib
import lzma
import re
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from autoimb._compat import text_columns
from autoimb.exceptions import AutoImbWarning, BadInputError, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

_SEPARATORS = (",", ";", "\t", "|")
_NAMED_SEPARATORS = {"tab": "\t", r"\t": "\t", "comma": ",", "semicolon": ";"}
"""What a shell passes on more easily than the sign."""
_SAMPLED_LINES = 200
_EXCEL_HINT = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
"""A first line that Excel writes, or wants, to be told the separator."""
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # begins with the mark of UTF-16
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_WESTERN = "cp1252"
"""The code page in which Excel saves CSV files in most of Europe and America."""
_PARQUET = b"PAR1"
_WORKBOOKS = {".ods", ".xls", ".xlsb", ".xlsm", ".xlsx"}
_OLD_WORKBOOK = b"\xd0\xcf\x11\xe0"
_ZIP = b"PK\x03\x04"
_LEADING_ZERO = r"0\d"
_MOST_NAMED = 6  # columns in a message
_WHOLE = r"^(-?\d+)\.0$"
_TRUTH_VALUES = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class TextForm:
    """How a CSV file is written; what is None is found out from the file."""

    separator: str | None = None
    encoding: str | None = None
    decimal: str | None = None


def read_table(
    path: Path,
    form: TextForm,
    *,
    text: Collection[str | int] = (),
    target: str | None = None,
    used: Collection[str] = (),
) -> pd.DataFrame:
    """Return the table of a CSV or Parquet file.

    Parameters
    ----------
    path : Path
        The file.
    form : TextForm
        How it is written, if it is CSV.
    text : collection of str or int, default=()
        Names or positions of columns of CSV that are text, also where every cell is a
        number.
    target : str, default=None
        Name of the column of labels, in which only a blank cell is missing, and not
        "NA" or "null".
    used : collection of str, default=()
        Names of columns that are no features, each of which must be there once.

    Raises
    ------
    BadInputError
        If the file cannot be read, or holds no rows.
    """
    if path.is_dir():
        raise BadInputError(f"{str(path)!r} is a folder: name a file in it.")
    if not path.is_file():
        raise BadInputError(f"there is no file {str(path)!r}.")
    try:
        data = _uncompressed(path)
        if data.startswith(_PARQUET):
            table = _parquet(data)
        else:
            table = _csv(_decoded(data, path, form), form, text, target, used)
    except BadInputError:
        raise
    except ImportError as error:
        raise BadInputError(f"reading {str(path)!r}: {error}.") from error
    except (*_BROKEN, ValueError, OSError, pd.errors.ParserWarning) as error:
        raise BadInputError(_unreadable(path, error)) from error
    if table.empty:
        raise BadInputError(f"{str(path)!r} holds no rows.")
    return table


_BROKEN = (EOFError, lzma.LZMAError, zipfile.BadZipFile, zlib.error, csv.Error)
"""What is raised for files that are broken, beside `ValueError` and `OSError`."""


def _unreadable(path: Path, error: Exception) -> str:
    """Return why a file is no table, in words."""
    advice = ""
    if isinstance(error, pd.errors.ParserError | pd.errors.ParserWarning):
        advice = " If another sign separates its cells, name it with --sep."
    if isinstance(error, pd.errors.ParserWarning):
        error = ValueError("its rows have more cells than its header has names")
    reason = str(error).rstrip(". \n")
    return f"{str(path)!r} cannot be read as a table: {reason}.{advice}"


# --- bytes


def _uncompressed(path: Path) -> bytes:
    """Return the bytes of a file, unpacked if its suffix says that it is packed."""
    data, suffix = path.read_bytes(), path.suffix.lower()
    is_zip = data.startswith(_ZIP) and suffix != ".zip"
    if suffix in _WORKBOOKS or is_zip or data.startswith(_OLD_WORKBOOK):
        raise BadInputError(
            f"{str(path)!r} is no CSV or Parquet file but seems to be a workbook of a "
            "spreadsheet program: save its sheet as CSV (UTF-8) there."
        )
    return _UNPACKERS[suffix](data) if suffix in _UNPACKERS else data


def _unzipped(data: bytes) -> bytes:
    """Return the only file in a zip archive."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        names = archive.namelist()
        if len(names) != 1:
            raise ValueError(f"the archive holds {len(names)} files, not one.")
        return archive.read(names[0])


def _unpacked_zstandard(data: bytes) -> bytes:
    """Return the content of a Zstandard file."""
    try:
        zstandard = importlib.import_module("zstandard")
    except ImportError as error:
        raise ImportError(".zst needs zstandard: pip install zstandard") from error
    unpacked: bytes = zstandard.ZstdDecompressor().stream_reader(BytesIO(data)).read()
    return unpacked


_UNPACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".bz2": bz2.decompress,
    ".gz": gzip.decompress,
    ".xz": lzma.decompress,
    ".zip": _unzipped,
    ".zst": _unpacked_zstandard,
}


def _parquet(data: bytes) -> pd.DataFrame:
    """Return a Parquet file as a frame, an index that has a name as a column."""
    try:
        table = pd.read_parquet(BytesIO(data))
    except ImportError as error:
        raise ImportError(
            "Parquet needs pyarrow: pip install 'autoimb[parquet]'"
        ) from error
    has_names = any(name is not None for name in table.index.names)
    return table.reset_index(drop=not has_names)


def _decoded(data: bytes, path: Path, form: TextForm) -> str:
    """Return the text of a file; warn if its encoding had to be guessed."""
    marked = (e for mark, e in _BYTE_ORDER_MARKS.items() if data.startswith(mark))
    encoding = form.encoding or next(marked, "utf-8")
    try:
        text = data.decode(encoding)
    except LookupError as error:
        raise BadInputError(
            f"--encoding {encoding!r} is not known; utf-8, cp1252 and latin-1 are."
        ) from error
    except UnicodeDecodeError as error:
        if form.encoding is not None or b"\0" in data:
            raise BadInputError(
                f"{str(path)!r} cannot be read as text in {encoding} (byte "
                f"{error.start:,}): if it is text, name its encoding with --encoding, "
                "such as --encoding cp1252."
            ) from error
        text = _western(data, path)
    if "\0" in text:
        raise BadInputError(
            f"{str(path)!r} cannot be read as text in {encoding}, it holds zero bytes: "
            "if it is text, name its encoding with --encoding, such as --encoding "
            "utf-16."
        )
    return text.removeprefix("\ufeff")


def _western(data: bytes, path: Path) -> str:
    """Return text that is not UTF-8 as what it most often is, with a warning."""
    try:
        text = data.decode(_WESTERN)
    except UnicodeDecodeError as error:
        raise BadInputError(
            f"{str(path)!r} cannot be read: its encoding is neither UTF-8 nor "
            f"{_WESTERN}. Name it with --encoding, such as --encoding cp1251."
        ) from error
    warn(
        f"{str(path)!r} is not in UTF-8 and was read as {_WESTERN}, the encoding of "
        "Western European spreadsheets; for another one pass --encoding.",
        AutoImbWarning,
    )
    return text


# --- CSV


def _csv(
    content: str,
    form: TextForm,
    text: Collection[str | int],
    target: str | None,
    used: Collection[str],
) -> pd.DataFrame:
    """Return the table that a text holds."""
    separator = _resolve_separator(form.separator)
    if (hint := _EXCEL_HINT.match(content)) is not None:
        content, separator = content[hint.end() :], separator or hint[1]
    separator = separator or _separator_of(content)
    decimal = form.decimal or _decimal_of(content, separator)
    options: dict[str, Any] = {"sep": separator, "decimal": decimal, "index_col": False}
    with warnings.catch_warnings():
        # Else pandas would drop cells, or shift them to other columns.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        header = pd.read_csv(StringIO(content), nrows=0, **options)
        if target is not None:
            _check_names(content, used, options)
        dtypes: Any = {
            name: str
            for place, name in enumerate(header.columns)
            if name in text or place in text or name == target
        }
        # In parts, which saves memory, the rows of each would be read by themselves.
        table: pd.DataFrame = pd.read_csv(
            StringIO(content), dtype=dtypes, low_memory=False, **options
        )
    for name in text_columns(table):
        # As for categories in a frame: 1 and 1.0 are the same, which gaps make of it.
        table[name] = table[name].str.replace(_WHOLE, r"\1", regex=True)
    if target in header.columns:
        cells = _cells(content, options)
        _warn_of_words_as_gaps(table.drop(columns=target), cells)
        table[target] = _labels_of(cells[target])
    return table


def _check_names(content: str, used: Collection[str], options: dict[str, Any]) -> None:
    """Raise if a column that is no feature is there twice; warn of other such names.

    pandas calls the second one "name.1": a copy of the labels would be a feature.
    """
    names = pd.read_csv(
        StringIO(content),
        **{**options, "header": None, "nrows": 1},
        dtype=str,
        keep_default_na=False,
    ).iloc[0]
    twice = names[names.duplicated() & (names != "")].unique().tolist()
    if wrong := [name for name in twice if name in used]:
        raise BadInputError(
            f"more than one column is named {wrong[0]!r}, and it is no feature: rename "
            "or delete the others, which the model would learn from."
        )
    if twice:
        n_more = len(twice) - _MOST_NAMED
        listed = ", ".join(map(repr, twice[:_MOST_NAMED]))
        warn(
            f"more than one column is named {listed}"
            f"{f' and {n_more} more' if n_more > 0 else ''}: the second is read as "
            f"'{twice[0]}.1', and so on. Rename them if they are not in this order in "
            "every file.",
            AutoImbWarning,
        )


def _cells(content: str, options: dict[str, Any]) -> pd.DataFrame:
    """Return the columns as text, with an empty text for an empty cell."""
    # All columns: of a part of them, pandas reads rows with a last separator otherwise.
    cells: pd.DataFrame = pd.read_csv(
        StringIO(content), dtype=str, keep_default_na=False, **options
    )
    return cells


def _warn_of_words_as_gaps(table: pd.DataFrame, cells: pd.DataFrame) -> None:
    """Warn of words in columns of text that are read as gaps, such as NA.

    Beside dates and codes, whose texts begin with a digit, NA is nothing but a gap.
    """
    found = []
    for name in text_columns(table):
        is_gap = table[name].isna()
        words = cells.loc[is_gap, name].str.strip()
        counts = words[words != ""].value_counts()
        if len(counts) and not table.loc[~is_gap, name].str.match(r"\s*\d").all():
            listed = ", ".join(map(repr, counts.index))
            found.append(f"{name!r} ({counts.sum():,} × {listed})")
    if found:
        n_more = len(found) - _MOST_NAMED
        listed = ", ".join(found[:_MOST_NAMED])
        warn(
            "words in columns of text were read as missing, as empty cells are: "
            f"{listed}{f' and {n_more} more' if n_more > 0 else ''}. Those that are "
            "values of their own must be written in another way, such as N.A., in "
            "this file and in those that autoimb predict reads.",
            AutoImbWarning,
        )


def _resolve_separator(separator: str | None) -> str | None:
    """Return the sign that the user means, None if it is to be found out."""
    separator = _NAMED_SEPARATORS.get(str(separator).lower(), separator)
    if separator is not None and len(separator) != 1:
        raise BadInputError(
            f"--sep {separator!r} must be one sign, such as ';', or tab, comma or "
            "semicolon."
        )
    return separator


def _separator_of(content: str) -> str:
    """Return the sign that splits the first lines most evenly, into the most cells."""
    lines = content[: 2**20].splitlines(keepends=True)[:_SAMPLED_LINES]
    found, best = ",", (0.0, 1)
    for sign in _SEPARATORS:
        try:
            rows = [row for row in csv.reader(lines, delimiter=sign) if row]
        except csv.Error:
            continue
        width = len(rows[0]) if rows else 0
        # The last line may be cut off.
        inner = rows[1:-1] or rows[1:]
        even = np.mean([len(row) == width for row in inner]) if inner else 1.0
        if width > 1 and (float(even), width) > best:
            found, best = sign, (float(even), width)
    return found


def _decimal_of(content: str, separator: str) -> str:
    """Return the sign before decimals: a comma if only that is found in numbers."""
    if separator in ",.":
        return "."
    cell = r'(?:^|{0})"?[+-]?\d+{1}\d+"?(?=$|{0}|\r)'
    with_comma, with_point = (
        re.search(cell.format(re.escape(separator), sign), content, re.MULTILINE)
        for sign in (",", r"\.")
    )
    return "," if with_comma and not with_point else "."


# --- columns


def _labels_of(cells: pd.Series[Any]) -> pd.Series[Any]:
    """Return cells as labels: numbers or booleans where all of them are such.

    Only blank cells are missing: "NA" or "None" is a class. Whole numbers with leading
    zeros are codes, and stay text.
    """
    labels = cells.astype(object).where(cells.str.strip() != "", None)
    texts = labels.dropna().map(str.strip)
    if texts.empty:
        return labels
    if texts.str.lower().isin(_TRUTH_VALUES).all():
        return texts.str.lower().map(_TRUTH_VALUES).reindex(labels.index)
    numbers = pd.to_numeric(texts, errors="coerce")
    are_codes = texts.str.isdigit().all() and texts.str.match(_LEADING_ZERO).any()
    # "nan" and "inf" are names of classes as well.
    if np.isfinite(numbers.to_numpy(dtype=np.float64)).all() and not are_codes:
        return numbers.reindex(labels.index)
    return labels


def numbers_of(table: pd.DataFrame, names: Sequence[str], option: str) -> Any:
    """Return columns of numbers as an array (n_rows, n_columns)."""
    columns = []
    for name in names:
        numbers = pd.to_numeric(table[name], errors="coerce")
        wrong = table[name][numbers.isna()]
        if len(wrong):
            raise BadInputError(
                f"{option} {name}: the column holds {wrong.iloc[0]!r} in row "
                f"{wrong.index[0] + 1:,}, where a number is needed."
            )
        columns.append(numbers.to_numpy(dtype=np.float64))
    return np.column_stack(columns)


def without_row_numbers(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return a table without a first column that has no name and numbers the rows.

    pandas and R write their row labels there: they say nothing about new rows.
    """
    name = str(table.columns[0])
    first = table.iloc[:, 0]
    is_unnamed = name in {"", "Unnamed: 0", "__index_level_0__"}
    if not (is_unnamed and first.dtype.kind in "iu" and first.is_unique):
        return table
    warn(
        f"the first column of {str(path)!r} has no name in its header and numbers the "
        f"rows ({name!r} in pandas): it was left out.",
        AutoImbWarning,
    )
    return table.iloc[:, 1:]
