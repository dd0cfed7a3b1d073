"""Folds in order of time: no row of the future is in any fit."""

import datetime
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import cross_val_score
from tables import context_of, problem_of, scored, selection_of

import autoimb
from autoimb import AutoImbalance, TimeOrdered
from autoimb._catalogue import CATALOGUE
from autoimb._select.ensemble import EnsembleScoring, Member
from autoimb._select.last_block import last_block_score
from autoimb._strategy.strategy import Strategy
from autoimb._table.folds import describe_folds, make_folds
from autoimb._table.table import check_table
from autoimb.exceptions import BadInputError

QUICK = {
    "families": "logistic_regression",
    "n_trials": 2,
    "n_jobs": 1,
    "random_state": 0,
}


def drifting(n=400, n_rare=60, seed=0):
    """Return rows in no order of time, their labels, and days with ties."""
    rng = np.random.default_rng(seed)
    y = np.zeros(n, dtype=int)
    y[rng.choice(n, n_rare, replace=False)] = 1
    day = rng.integers(0, 100, n)
    X = pd.DataFrame({"x": rng.normal(y, 1), "noise": rng.normal(size=n)})
    X["when"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(day, unit="D")
    return X, y, day


tables = st.builds(
    drifting,
    n=st.integers(60, 300),
    n_rare=st.integers(12, 30),
    seed=st.integers(0, 999),
)


@given(tables, st.integers(1, 4), st.integers(0, 9), st.booleans())
def test_every_fold_validates_what_follows_it(table, n_blocks, gap, expanding):
    X, y, day = table
    cv = TimeOrdered(by=day, n_blocks=n_blocks, gap=gap, expanding=expanding)
    try:
        folds = list(cv.split(X, y))
    except BadInputError:  # a day holds too many of the rare rows
        reject()
    assert len(folds) == n_blocks == cv.get_n_splits()
    for train, val in folds:
        assert (day[val].min() - day[train]).min(initial=gap) >= gap
        assert day[train].max(initial=-1) < day[val].min()
    for (_, one), (_, other) in pairwise(folds):
        assert day[one].max() < day[other].min()
    validated = np.concatenate([val for _, val in folds])
    first = day[folds[0][1]].min()
    assert sorted(validated) == np.flatnonzero(day >= first).tolist()
    if gap == 0:
        blocks = [np.flatnonzero(day < first), *(val for _, val in folds)]
        for position, (train, _) in enumerate(folds):
            used = (
                blocks[: position + 1] if expanding else blocks[position : position + 1]
            )
            assert sorted(train) == sorted(np.concatenate(used))


def test_blocks_hold_equally_many_rare_rows():
    rng = np.random.default_rng(0)
    y = (rng.random(1_000) < 0.2 * np.arange(1_000) / 1_000).astype(int)
    folds = list(TimeOrdered(by=np.arange(1_000), n_blocks=4).split(y, y))
    counts = [y[folds[0][0]].sum(), *(y[val].sum() for _, val in folds)]
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(
    ("n_rare", "n_blocks"), [(12, 2), (39, 2), (40, 3), (60, 5), (500, 5)]
)
def test_as_many_blocks_as_hold_ten_rare_rows(n_rare, n_blocks):
    y = np.r_[np.zeros(1_000), np.ones(n_rare)]
    assert TimeOrdered(by="when").get_n_splits(None, y) == n_blocks


def test_a_column_an_array_and_other_kinds_of_dates_are_the_same():
    X, y, day = drifting()
    text = X.assign(when=X["when"].dt.strftime("%Y-%m-%d"))
    zoned = X.assign(when=X["when"].dt.tz_localize("UTC"))
    ways = [
        (X, "when"),
        (text, "when"),
        (zoned, "when"),
        (X, X["when"]),
        (X, list(X["when"])),
        (X, day),
        (np.column_stack([X["x"], day]), 1),
    ]
    expected = None
    for rows, by in ways:
        table = check_table(rows, y)
        folds = make_folds(table, TimeOrdered(by=by), random_state=0)
        found = [(f.train_idx.tolist(), f.val_idx.tolist()) for f in folds]
        expected = expected or found
        assert found == expected
        assert "in order of time" in describe_folds(folds)


@pytest.mark.parametrize(
    "gap", ["7D", datetime.timedelta(days=7), np.timedelta64(7, "D")]
)
def test_a_gap_of_dates_is_a_length_of_time(gap):
    X, y, day = drifting()
    by_date = list(TimeOrdered(by="when", gap=gap).split(X, y))
    by_number = list(TimeOrdered(by=day, gap=7).split(X, y))
    for one, other in zip(by_date, by_number, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_a_fold_trains_on_no_group_that_it_validates():
    X, y, day = drifting()
    groups = np.arange(len(y)) % 150
    cv = TimeOrdered(by=day, n_blocks=3)
    folds = make_folds(check_table(X, y, groups=groups), cv, random_state=0)
    assert len(folds) == 3
    for fold in folds:
        assert not set(groups[fold.train_idx]) & set(groups[fold.val_idx])


def test_rows_of_weight_0_keep_the_times_of_the_others():
    X, y, day = drifting()
    weight = np.ones(len(y))
    weight[::5] = 0.0
    table = check_table(X, y, sample_weight=weight)
    for fold in make_folds(table, TimeOrdered(by=day), random_state=0):
        kept = day[weight > 0]
        assert kept[fold.train_idx].max() < kept[fold.val_idx].min()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "nothing"}, "no such column"),
        ({"by": 9}, "no such column"),
        ({"by": "x", "n_blocks": 0}, "n_blocks=0"),
        ({"by": "x", "n_blocks": True}, "n_blocks=True"),
        ({"by": "x", "gap": "7D"}, "a number of at least 0"),
        ({"by": "x", "gap": -1}, "a number of at least 0"),
        ({"by": "when", "gap": 7}, "a length of time"),
        ({"by": "when", "gap": "soon"}, "a length of time"),
        ({"by": "when", "gap": "-7D"}, "a length of time"),
        ({"by": np.zeros(400)}, "cannot cut 1 times"),
        ({"by": np.arange(7)}, "7 times for 400 rows"),
        ({"by": ["?"] * 400}, "times must be numbers"),
        ({"by": np.where(np.arange(400) == 3, np.nan, 1.0)}, "row 3 is missing"),
        ({"by": "x", "n_blocks": 90}, "fewer n_blocks"),
    ],
)
def test_what_is_no_order_of_time_is_named(options, message):
    X, y, _ = drifting()
    with pytest.raises(BadInputError, match=message):
        AutoImbalance(cv=TimeOrdered(**options), **QUICK).fit(X, y)


def test_it_is_a_splitter_of_scikit_learn():
    X, y, day = drifting()
    scores = cross_val_score(
        LogisticRegression(), X[["x"]], y, cv=TimeOrdered(by=day, n_blocks=3)
    )
    assert len(scores) == 3
    assert repr(TimeOrdered(by="when", gap="7D")) == (
        "TimeOrdered(by='when', expanding=True, gap='7D', n_blocks=None)"
    )


def test_no_future_row_is_in_any_fit_of_the_search():
    """A spy on every fit of a candidate's model: by its rows, the newest is known."""
    X, y, _ = drifting()
    seen = []

    class Spy(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            seen.append(set(X["id"]))
            return super().fit(X[["x"]], y, sample_weight)

        def predict_proba(self, X):
            return super().predict_proba(X[["x"]])

    X = X.assign(id=np.arange(len(y)) + 0.5)
    model = AutoImbalance(
        estimator=Spy(), cv=TimeOrdered(by="when"), n_trials=3, n_jobs=1, random_state=0
    ).fit(X, y)
    folds = list(TimeOrdered(by="when").split(X, y))
    allowed = [set(X["id"].iloc[train]) for train, _ in folds] + [set(X["id"])]
    assert len(seen) >= len(folds)
    assert all(rows in allowed for rows in seen)
    never = np.setdiff1d(np.arange(len(y)), np.concatenate([val for _, val in folds]))
    assert np.isnan(model.oof_proba_[never]).all()


def test_a_model_with_it_is_saved_and_its_code_fits_again(tmp_path):
    X, y, _ = drifting()
    model = AutoImbalance(cv=TimeOrdered(by="when", gap="2D"), **QUICK).fit(X, y)
    model.save(tmp_path / "m.skops")
    loaded = autoimb.load(tmp_path / "m.skops")
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert loaded.get_params()["cv"].gap == "2D"
    assert 'cv=TimeOrdered("when", gap="2D")' in model._code()
    by_dates = AutoImbalance(cv=TimeOrdered(by=X["when"].to_numpy()), **QUICK)
    by_dates.fit(X, y).save(tmp_path / "m.skops")
    loaded = autoimb.load(tmp_path / "m.skops")
    np.testing.assert_array_equal(loaded.get_params()["cv"].by, X["when"])


@pytest.mark.parametrize("kind", ["dates", "numbers"])
def test_the_report_has_a_row_for_each_block(kind, tmp_path):
    X, y, day = drifting()
    by = "when" if kind == "dates" else day
    model = AutoImbalance(cv=TimeOrdered(by=by, n_blocks=3), **QUICK).fit(X, y)
    blocks = model.report().data.over_time
    folds = list(TimeOrdered(by=day, n_blocks=3).split(X, y))
    proba = model.oof_proba_[:, 1]
    for block, (train, val) in zip(blocks, folds, strict=True):
        assert (block.n_training, block.n_rows) == (len(train), len(val))
        assert block.n_of_class == y[val].sum()
        assert block.share == pytest.approx(y[val].mean())
        assert block.probability == pytest.approx(proba[val].mean())
        score = average_precision_score(y[val], proba[val])
        assert block.average_precision == pytest.approx(score)
        first, last = X["when"].iloc[val].min(), X["when"].iloc[val].max()
        if kind == "dates":
            assert block.name == f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"
        else:
            assert block.name == f"{day[val].min()} to {day[val].max()}"
    page = model.report().save(tmp_path / "report.html").read_text()
    assert 'id="over-time"' in page
    assert all(block.name in page for block in blocks)
    saved = model.report().save(tmp_path / "report.md").read_text()
    assert "## Over time" in saved
    assert all(block.name in saved for block in blocks)
    assert AutoImbalance(**QUICK).fit(X, y).report().data.over_time == ()


def candidates_of(problem, strengths):
    """Return records of logistic regressions, best first as the search has them."""
    records = [
        scored(
            Strategy.of(CATALOGUE, family=("logistic_regression", {"C": C})), problem
        )
        for C in strengths
    ]
    records = [replace(r, number=n) for n, r in enumerate(records)]
    return sorted(records, key=lambda r: -r.mean)


@pytest.mark.parametrize("size", [1, 3])
def test_the_estimate_is_the_last_block_s_and_its_labels_choose_nothing(size):
    X, y, day = drifting()
    problem = problem_of(X[["x", "noise"]], y, cv=TimeOrdered(by=day, n_blocks=3))
    scoring = context_of(problem).scoring
    records = candidates_of(problem, [1e-4, 0.1, 10.0])
    selection = replace(
        selection_of(*records), members=tuple(Member(r) for r in records[:size])
    )
    found = last_block_score(records, selection, EnsembleScoring(problem, scoring))
    last = problem.folds[-1].val_idx
    assert found.n_rows == len(last)
    assert found.no_skill == pytest.approx(y[last].mean())
    assert found.low < found.estimate < found.high
    if size == 1:
        earlier = [
            np.mean(
                [
                    average_precision_score(y[f.val_idx], p.proba[:, 1])
                    for f, p in zip(problem.folds[:-1], r.results, strict=False)
                ]
            )
            for r in records
        ]
        best = records[int(np.argmax(earlier))].results[-1]
        assert found.estimate == pytest.approx(scoring.expected([best]))


def test_labels_of_the_last_block_choose_nothing():
    """With other labels there, the same is chosen by the blocks before it."""
    X, y, day = drifting()
    problem = problem_of(X[["x", "noise"]], y, cv=TimeOrdered(by=day, n_blocks=3))
    scoring = context_of(problem).scoring
    records = candidates_of(problem, [1e-4, 0.1, 10.0])
    worst = min(records, key=lambda r: r.on_folds([0, 1], scoring).mean)
    perfect = problem.table.y[problem.folds[-1].val_idx]
    told = replace(worst.results[-1], proba=np.eye(2)[perfect] * 0.9 + 0.05)
    lucky = replace(worst, results=(*worst.results[:-1], told))
    lucky = replace(lucky, score=scoring.score(lucky.results))
    others = [r for r in records if r is not worst]
    every = sorted([*others, lucky], key=lambda r: -r.mean)
    selection = selection_of(*every)
    ensemble_scoring = EnsembleScoring(problem, scoring)
    found = last_block_score(every, selection, ensemble_scoring)
    assert (
        found.estimate == last_block_score(others, selection, ensemble_scoring).estimate
    )


def test_the_fit_promises_what_the_last_block_shows():
    X, y, _ = drifting()
    model = AutoImbalance(cv=TimeOrdered(by="when", n_blocks=3), **QUICK).fit(X, y)
    last = list(TimeOrdered(by="when", n_blocks=3).split(X, y))[-1][1]
    assert model.honest_score_.n_rows == len(last)
    said = " ".join(model.report().data.sentences)
    assert f"on the {len(last)} rows since then" in said
    by_label = AutoImbalance(
        cv=TimeOrdered(by="when", n_blocks=3), metric="f1", **QUICK
    ).fit(X, y)
    assert by_label.honest_score_.n_rows == len(y)
