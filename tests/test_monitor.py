"""What new rows say of a fitted model."""

import json
import pickle
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import autoimb
from autoimb import AutoImbalance, MonitorReport
from autoimb._monitor.columns import column_rows
from autoimb._monitor.drift import Mix
from autoimb._monitor.reference import Reference
from autoimb._report.formats import percent
from autoimb._table.columns import Column, Schema
from autoimb.exceptions import BadInputError

HOSTILE = "<script>alert(1)</script>|`*"


def labels(n, share, rng):
    return (rng.random(n) < share).astype(int)


def table(y, rng, moved=0.0):
    """Return rows of every kind of column; the first column may have moved."""
    n = len(y)
    values = rng.normal(size=(n, 3)) + y[:, None] * [2.0, 1.0, 0.0]
    frame = pd.DataFrame(values, columns=["amount", "age", "noise"])
    frame["amount"] += moved
    frame["shop"] = np.where(rng.random(n) < 0.1 + 0.4 * y, "new", "old")
    frame["gaps"] = np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n))
    return frame


def fit(X, y, **changes):
    settings = {"n_trials": 1, "n_jobs": 1, "random_state": 0, "cv": 3}
    return AutoImbalance(families="logistic_regression", **settings, **changes).fit(
        X, y
    )


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    y = labels(1500, 0.1, rng)
    return fit(table(y, rng), np.where(y == 1, "fraud", "fine"))


def named(y):
    return np.where(y == 1, "fraud", "fine")


def rows(share=0.1, n=2000, seed=1, **more):
    rng = np.random.default_rng(seed)
    y = labels(n, share, rng)
    return table(y, rng, **more), named(y)


# --- without labels


def test_rows_like_those_of_the_training_table_are_no_news(model):
    report = model.monitor(rows()[0])
    assert isinstance(report, MonitorReport)
    assert report.only_shares_moved
    assert not any(column.is_changed for column in report.data.columns)
    assert str(report).startswith("Nothing here speaks against the model")
    assert report.data.labels is None


def test_another_share_is_estimated_and_taken_by_set_prior(model):
    X, y = rows(share=0.4)
    report = model.monitor(X)
    assert report.only_shares_moved
    fraud = next(row for row in report.data.classes if row.label == "fraud")
    assert fraud.share_span[0] <= (y == "fraud").mean() <= fraud.share_span[1]
    assert report.prior == pytest.approx(fraud.share)
    # Columns that tell the classes apart changed, as the share explains.
    changed = {c.name: c.is_beyond for c in report.data.columns if c.is_changed}
    assert changed["amount"] is False
    assert "become more frequent" in report.data.verdict
    assert "set_prior(report.prior)" in str(report)
    proba = model.predict_proba(X)[:, 1].mean()
    try:
        moved = model.set_prior(report.prior).predict_proba(X)[:, 1].mean()
    finally:
        model.set_prior(None)
    assert abs(moved - fraud.share) < abs(proba - fraud.share)


def test_a_prior_that_is_set_changes_no_estimate(model):
    X, _ = rows(share=0.3)
    before = model.monitor(X)
    try:
        after = model.set_prior(0.3).monitor(X)
    finally:
        model.set_prior(None)
    assert after.prior == pytest.approx(before.prior, rel=0.01)
    for one, other in zip(after.data.columns, before.data.columns, strict=True):
        assert (one.name, one.p_value) == (other.name, other.p_value)


def test_columns_that_moved_are_named_and_cast_doubt_on_estimates(model):
    report = model.monitor(rows(moved=1.0)[0])
    assert not report.only_shares_moved
    first = report.data.columns[0]
    assert (first.name, first.is_beyond) == ("amount", True)
    assert first.change.startswith("up to ")
    assert any("amount changed" in doubt for doubt in report.data.doubts)
    assert [c.name for c in report.data.columns if c.is_changed] == ["amount"]
    assert "not to be relied on" in str(report)
    assert "to be expected" not in str(report)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda X: X.assign(gaps=np.nan), "missing: 19.2% → 100%"),
        (lambda X: X.assign(shop="unheard of"), "other values: 0% → 100%"),
        (
            lambda X: X.assign(shop=np.where(X["age"] > 0, "new", "old")),
            "'old': 85.8% → 47.3%",
        ),
    ],
    ids=["gaps", "another category", "shares of categories"],
)
def test_what_changed_is_said_in_words(model, change, expected):
    columns = model.monitor(change(rows()[0])).data.columns
    assert columns[0].change.startswith(expected)
    assert columns[0].is_changed


def test_alerts_are_those_of_predict(model):
    X, _ = rows(share=0.2)
    fraud = model.monitor(X).data.classes[1]
    assert fraud.n_called == (model.predict(X) == "fraud").sum()


def test_a_slight_change_of_many_rows_is_no_reason_for_doubt():
    counts = np.zeros((1, 2, 21), dtype=np.float32)
    counts[0, :, :3] = [[4e5, 3e5, 3e5], [4e4, 3e4, 3e4]]
    reference = Reference(
        counts=counts,
        edges=np.array([[1.0, 2.0] + [np.nan] * 17]),
        categories=((),),
        independent_share=1.0,
    )
    schema = Schema((Column("x", "numeric", False, 3),), is_frame=False)
    mix, new = Mix.of_counts(np.array([1e6, 1e5])), np.zeros((1, 21))
    for move, is_beyond in ((0.01, False), (0.05, True)):
        new[0, :3] = 1e6 * np.array([0.4 - move, 0.3 + move, 0.3])
        (row,) = column_rows(reference, new, schema, mix, [mix])
        assert row.is_changed
        assert row.distance == pytest.approx(move, abs=1e-4)
        assert row.is_beyond is is_beyond


def test_what_did_not_change_speaks_against_shares_that_it_should_have_followed():
    """Two columns that tell the classes apart: one moved, the other stayed."""
    counts = np.zeros((2, 2, 21), dtype=np.float32)
    counts[:, :, :2] = [[9e4, 1e4], [1e3, 9e3]]
    reference = Reference(
        counts=counts,
        edges=np.full((2, 19), np.nan),
        categories=(("a",), ("a",)),
        independent_share=1.0,
    )
    kinds = [Column(name, "categorical", False, 2) for name in ("moved", "stayed")]
    schema, new = Schema(tuple(kinds), is_frame=True), np.zeros((2, 21))
    before, sure = Mix.of_counts(np.array([1e5, 1e4])), np.zeros((2, 2))
    share = 1e4 / 1.1e5
    old = 1e4 * (share * np.array([0.1, 0.9]) + (1 - share) * np.array([0.9, 0.1]))
    new[:, :2] = [[5e3, 5e3], old]
    candidates = [Mix(np.array([0.5, 0.5]), sure), Mix(np.array([0.4, 0.6]), sure)]
    rows = column_rows(reference, new, schema, before, candidates)
    found = {row.name: (row.is_changed, row.is_beyond) for row in rows}
    assert found == {"moved": (True, False), "stayed": (False, True)}
    # The true shares, if they are looked at, show which column moved.
    true = [Mix(np.array([1 - share, share]), sure)]
    rows = column_rows(reference, new, schema, before, candidates, true)
    assert {row.name: row.is_beyond for row in rows} == {"moved": True, "stayed": False}


def test_dates_move_on_by_themselves():
    rng = np.random.default_rng(0)
    y = labels(900, 0.15, rng)
    X = table(y, rng).assign(day=pd.Timestamp("2026-01-01"))
    X["day"] += pd.to_timedelta(rng.integers(0, 100, 900), unit="D")
    later = X.assign(day=X["day"] + pd.Timedelta(days=200))
    report = fit(X, y).monitor(later)
    day = next(c for c in report.data.columns if c.name == "day")
    assert day.is_changed
    assert day.change.startswith("up to 2026-")
    assert not day.is_beyond


def test_one_row_is_enough_to_ask(model):
    X, y = rows()
    report = model.monitor(X.iloc[[0]], y[:1])
    assert report.data.n_rows == 1
    assert report.data.labels.score is None or np.isfinite(report.data.labels.score)


def test_the_review_queue_counts_prediction_sets(model):
    X, _ = rows()
    counts = {row.answer: row.count for row in model.monitor(X).data.queue}
    sets = model.predict_sets(X)
    assert counts["could be several"] == (sets.sum(axis=1) == 2).sum()
    assert counts["surely fraud"] == (sets[:, 1] & ~sets[:, 0]).sum()
    assert sum(counts.values()) == len(X)


# --- with labels


def test_labels_that_keep_the_promise_call_for_nothing(model):
    X, y = rows(share=0.1, n=600, seed=4)
    report = model.monitor(X, y)
    section = report.data.labels
    assert section.promised_span[0] <= section.score <= 1
    assert section.score == pytest.approx(model.score(X, y))
    assert "A refit would change little" in str(report)


def test_the_promise_moves_with_the_shares_of_the_classes(model):
    """PR-AUC is higher where the class is more frequent, and so is what to expect."""
    promised = [model.monitor(*rows(share=s)).data.labels.promised for s in (0.03, 0.4)]
    assert promised[0] < model.honest_score_.estimate < promised[1]


def test_a_model_that_ranks_no_better_than_chance_is_to_be_fitted_again(model):
    X, y = rows()
    report = model.monitor(X, np.random.default_rng(0).permutation(y))
    assert "worse than promised" in report.data.verdict
    assert "A refit with these rows is worth it" in str(report)


def test_probabilities_that_are_off_are_found(model):
    """Half of the alerts are fine: the ranking holds, the probabilities do not."""
    X, y = rows(share=0.2, n=4000)
    p = model.predict_proba(X)[:, 1]
    rng = np.random.default_rng(0)
    y = named((rng.random(len(y)) < 0.5 * p**0.4).astype(int))
    section = model.monitor(X, y).data.labels
    assert section.slope < 0.8
    assert section.calibration_p < 0.01


def test_labels_may_be_missing_where_they_are_not_known_yet(model):
    X, y = rows()
    some = pd.Series(y, dtype=object)
    some[500:] = None
    section = model.monitor(X, some).data.labels
    assert section.n_rows == 500
    alone = model.monitor(X[:500], y[:500]).data.labels
    assert section.score == alone.score
    assert (
        model.monitor(X, pd.Series([None] * len(y), dtype=object)).data.labels is None
    )


def test_labels_of_one_class_have_no_score_but_are_counted(model):
    X, _ = rows(n=200)
    report = model.monitor(X, np.full(200, "fine"))
    assert report.data.labels.score is None
    assert "needs rows of every class" in str(report)


def test_many_new_positives_are_worth_a_refit(model):
    assert "A refit is worth a try" in str(model.monitor(*rows(share=0.1, n=4000)))


@pytest.mark.parametrize(
    ("y", "message"),
    [(["fine"] * 3, "inconsistent numbers"), (["odd"] * 2000, "not seen in fit")],
)
def test_labels_that_do_not_fit_are_refused(model, y, message):
    with pytest.raises(BadInputError, match=message):
        model.monitor(rows()[0], y)


# --- every kind of model


def test_several_classes():
    rng = np.random.default_rng(0)
    y = rng.choice(3, 1200, p=[0.7, 0.2, 0.1])
    X = rng.normal(size=(1200, 4)) + np.eye(4)[y] * 2
    model = fit(X[:700], y[:700])
    report = model.monitor(X[700:], y[700:])
    assert report.only_shares_moved
    assert set(report.prior) == {0, 1, 2}
    assert sum(report.prior.values()) == pytest.approx(1)
    assert model.set_prior(report.prior).threshold_ is not None
    new = rng.choice(3, 1500, p=[0.3, 0.3, 0.4])
    moved = model.monitor(rng.normal(size=(1500, 4)) + np.eye(4)[new] * 2)
    assert moved.prior[2] == pytest.approx(0.4, abs=0.08)


def test_a_class_of_one_row_has_a_share_in_the_prior():
    rng = np.random.default_rng(0)
    y = labels(400, 0.2, rng)
    X, y = table(y, rng), np.append(named(y)[:-1], "odd")
    with pytest.warns(autoimb.LeftOutWarning):
        model = fit(X, y)
    report = model.monitor(X, y)
    assert report.data.labels.n_rows == 399
    assert model.set_prior(report.prior) is model
    assert not model.predict_sets(X)[:, 2].any()


def test_sparse_rows():
    from scipy import sparse

    rng = np.random.default_rng(0)
    y = labels(4000, 0.15, rng)
    dense = (rng.random((4000, 300)) < 0.02 + 0.1 * y[:, None]) * 1.0
    X = sparse.csr_matrix(dense)
    model = fit(X[:3500], y[:3500])
    assert model._schema.is_sparse
    assert model.monitor(X[3500:]).only_shares_moved
    filled = dense[3500:].copy()
    filled[:, 0] = 1.0
    column = model.monitor(sparse.csr_matrix(filled)).data.columns[0]
    assert (column.name, column.is_beyond) == ("0", True)
    assert column.change.startswith("not zero: ")


def test_a_pipeline_that_reads_the_table_as_it_is():
    rng = np.random.default_rng(0)
    y = labels(600, 0.2, rng)
    X = table(y, rng)[["amount", "age"]]
    own = make_pipeline(LogisticRegression())
    model = AutoImbalance(own, n_trials=1, n_jobs=1, random_state=0, cv=3).fit(X, y)
    assert model.monitor(X).only_shares_moved
    moved = model.monitor(X.assign(age=X["age"] + 2)).data.columns[0]
    assert (moved.name, moved.is_beyond) == ("age", True)


def test_a_model_without_calibration_is_monitored_all_the_same():
    rng = np.random.default_rng(0)
    y = labels(1200, 0.15, rng)
    model = fit(table(y, rng), y, calibrate=False, class_weights="balanced")
    fresh = labels(2000, 0.3, rng)
    row = model.monitor(table(fresh, rng)).data.classes[1]
    assert row.share_span[0] <= fresh.mean() <= row.share_span[1]


def test_a_metric_of_labels_is_compared_with_its_own_estimate():
    rng = np.random.default_rng(0)
    y = labels(600, 0.2, rng)
    model = fit(table(y, rng), y, metric="mcc")
    section = model.monitor(table(y, rng), y).data.labels
    assert section.metric_label == "MCC"
    assert section.promised == pytest.approx(model.honest_score_.estimate)


# --- files


def test_a_saved_model_is_monitored_as_before(model, tmp_path):
    X, y = rows(share=0.2)
    model.save(tmp_path / "model.skops")
    same = autoimb.load(tmp_path / "model.skops")
    assert same.monitor(X, y).to_dict() == model.monitor(X, y).to_dict()


def test_models_of_an_earlier_version_say_that_they_cannot():
    rng = np.random.default_rng(0)
    y = labels(300, 0.2, rng)
    X = table(y, rng)
    older = fit(X, y)
    del older._reference
    model = pickle.loads(pickle.dumps(older))
    np.testing.assert_array_equal(model.predict_proba(X), older.predict_proba(X))
    with pytest.raises(BadInputError, match=r"earlier version.*refit\(X, y\)"):
        model.monitor(X)
    assert model.refit(X, y).monitor(X).only_shares_moved


def test_a_refit_is_what_later_rows_are_compared_with():
    rng = np.random.default_rng(0)
    y = labels(400, 0.2, rng)
    model, later = fit(table(y, rng), y), table(y, rng, moved=3.0)
    assert not model.monitor(later).only_shares_moved
    assert model.refit(later, y).monitor(later).only_shares_moved


def test_without_out_of_fold_scores_there_is_nothing_to_compare(model):
    from dataclasses import replace

    decision = model._decision
    try:
        model._decision = replace(decision, is_out_of_fold=False)
        with pytest.raises(BadInputError, match=r"monitor needs .*time_budget"):
            model.monitor(rows()[0])
    finally:
        model._decision = decision


# --- the page


class Reader(HTMLParser):
    """Collects what a page shows and which ids it has."""

    def __init__(self, page):
        super().__init__()
        self.text, self.ids, self.targets = "", [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        if tag == "a":
            self.targets.append(found["href"].removeprefix("#"))

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def reports(model):
    """Return a report without labels, one with, and one of hostile names."""
    rng = np.random.default_rng(0)
    y = labels(400, 0.2, rng)
    X = table(y, rng).rename(columns={"age": HOSTILE})
    X["shop"] = np.where(rng.random(400) < 0.5, HOSTILE, X["shop"])
    answers = np.where(y == 1, HOSTILE, "fine")
    hostile = fit(X, answers)
    moved = X.assign(**{HOSTILE: X[HOSTILE] + 5, "shop": HOSTILE})
    return {
        "plain": model.monitor(rows()[0]),
        "labels": model.monitor(*rows(share=0.3)),
        "hostile": hostile.monitor(moved, answers),
    }


@pytest.mark.parametrize("name", ["plain", "labels", "hostile"])
def test_the_page_shows_every_sentence_and_escapes_every_name(reports, name, tmp_path):
    report = reports[name]
    page = report.save(tmp_path / "page.html").read_text(encoding="utf-8")
    read = Reader(page)
    flat = " ".join(read.text.split())
    for sentence in report.data.sentences:
        assert " ".join(sentence.split()) in flat
    assert len(read.ids) == len(set(read.ids))
    assert set(read.targets) <= set(read.ids)
    assert "<script>alert" not in page
    assert ("Labels" in read.text) == (name != "plain")


def test_markdown_and_json_say_the_same(reports, tmp_path):
    report = reports["hostile"]
    written = report.save(tmp_path / "page.md").read_text(encoding="utf-8")
    assert "<script>" not in written.replace("\\<script\\>", "")
    values = json.loads(report.save(tmp_path / "page.json").read_text(encoding="utf-8"))
    assert values == report.to_dict()
    assert values["columns"][0]["is_beyond"] is True


def test_a_report_is_shown_and_described(reports):
    report = reports["plain"]
    assert "columns_changed=0, only_shares_moved=True" in repr(report)
    assert report._repr_html_().startswith("<iframe")
    with pytest.raises(BadInputError, match="let it end in"):
        report.save("page.pdf")


def test_no_row_of_the_training_table_is_kept(model):
    """At most twenty numbers a column, and no category of fewer than five rows."""
    rng = np.random.default_rng(0)
    y = labels(300, 0.2, rng)
    X = table(y, rng).assign(who=[f"person {i}" for i in range(300)])
    X.loc[:9, "who"] = "someone"
    reference = fit(X, y)._reference
    assert reference.categories[X.columns.get_loc("who")] == ("someone",)
    assert reference.edges.shape == (6, 19)


def test_rows_that_score_better_than_promised_are_no_confirmation():
    """Training rows are known by heart: a page on them says nothing of new ones."""
    rng = np.random.default_rng(0)
    y = labels(300, 0.2, rng)
    X = pd.DataFrame(rng.normal(size=(300, 5))).add_prefix("x")
    model = AutoImbalance(
        families="extra_trees", n_trials=1, n_jobs=1, random_state=0
    ).fit(X, y)
    report = model.monitor(X, y)
    assert "better than promised" in report.data.verdict
    assert "among the training rows?" in report.data.verdict
    said = " ".join(report.data.findings)
    assert f"The labels say {percent(y.mean())}." in said
    assert "above what was promised" in said
