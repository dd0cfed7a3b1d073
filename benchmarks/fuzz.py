"""Do fits of thousands of odd tables work, or end in a documented error?

    python benchmarks/fuzz.py fuzz.jsonl --tables 2000

Table n is drawn from seed n: 2 to 200 rows, 1 to 300 columns of every dtype and value
that `tests/ugly_tables.py` knows, labels of every kind, classes of one row and more,
and in every other table rows to predict that hold something else than those of the fit.
Each is a line of the file: what the table was made of, what became of it, and the
seconds. A file that is there already is continued. At the end the outcomes are counted,
and tables whose outcome is no documented error are shown.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from ugly_tables import COLUMNS, CONTAINERS, LABELS, Case, check

FAULT = "fault"
_MOST_COLUMNS, _MOST_ROWS = 300, 200


def drawn(number: int) -> Case:
    """Return the case of a number."""
    rng = np.random.default_rng(number)
    kinds = sorted(COLUMNS)
    n_columns = int(np.exp(rng.uniform(0, np.log(_MOST_COLUMNS + 0.9))))
    n_kinds = int(rng.integers(1, 6))  # else one kind that is refused is in all tables
    chosen = rng.choice(kinds, n_kinds, replace=False)
    n_classes = int(rng.integers(2, 4))
    n_rows = int(np.exp(rng.uniform(np.log(n_classes), np.log(_MOST_ROWS))))
    rare = rng.integers(1, 1 + max(1, n_rows // n_classes), n_classes - 1)
    counts = (max(1, n_rows - int(rare.sum())), *map(int, rare))
    return Case(
        columns=tuple(map(str, rng.choice(chosen, n_columns))),
        counts=counts,
        labels=str(rng.choice(sorted(LABELS))) if rng.random() < 0.4 else "int",
        container=str(rng.choice(CONTAINERS, p=[0.6, 0.2, 0.2])),
        later=str(rng.choice(kinds)) if number % 2 else "",
        seed=number,
    )


def outcome(case: Case) -> str:
    """Return what became of a case; a fault with its place, if it is none of ours."""
    try:
        return check(case)
    except Exception as error:  # noqa: BLE001  what the benchmark looks for
        places = traceback.extract_tb(error.__traceback__)
        ours = [p for p in places if "/autoimb/" in p.filename] or places
        place = f"{Path(ours[-1].filename).name}:{ours[-1].name}"
        first_line = str(error).partition("\n")[0][:300]
        return f"{FAULT}: {type(error).__name__} in {place}: {first_line}"


def kind_of(became: str) -> str:
    """Return the first words of an outcome, by which outcomes are counted."""
    return " ".join(became.split()[:2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path, help="JSON lines; continued if it is there")
    parser.add_argument("--tables", type=int, default=2000)
    options = parser.parse_args()
    lines = options.file.read_text().splitlines() if options.file.exists() else []
    rows = [json.loads(line) for line in lines]
    known = {row["number"] for row in rows}
    with options.file.open("a") as file:
        for number in range(options.tables):
            if number in known:
                continue
            case, started = drawn(number), time.perf_counter()
            became = outcome(case)
            seconds = round(time.perf_counter() - started, 2)
            row = {"number": number, "became": became, "seconds": seconds}
            rows.append({**row, **asdict(case)})
            file.write(json.dumps(rows[-1]) + "\n")
            file.flush()
    for kind, n in Counter(kind_of(row["became"]) for row in rows).most_common():
        print(f"{n:6d}  {kind}")
    for row in rows:
        if row["became"].startswith(FAULT):
            shown = {**row, "columns": sorted(set(row["columns"]))}
            print(json.dumps(shown))


if __name__ == "__main__":
    main()
