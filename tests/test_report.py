"""The report shows what it is given: all of it, nothing else, and escaped."""

import dataclasses
import json
import math
import re
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from decisions import rows
from decisions import scored_decision as decided
from sklearn.metrics import precision_recall_curve
from sklearn.metrics import roc_curve as rates_of
from tables import Broken, five_classes, numeric

from autoimb import AutoImbalance, register_family
from autoimb._report import (
    AdvisedStrategy,
    AxisEffect,
    Check,
    ClassCount,
    ColumnImportance,
    DataSection,
    ExplorerSection,
    FamilyRow,
    FlowEdge,
    FlowNode,
    FoldRows,
    GuideSection,
    LeaderboardRow,
    LearningCurveSection,
    OutcomeSection,
    PerClass,
    Report,
    ReportData,
    SearchSection,
    WinnerSection,
    bars,
    figures,
    render_html,
    render_json,
    render_markdown,
)
from autoimb._report.curves import _N_POINTS, curves_of
from autoimb._report.flowchart import flowchart, layers_of, place
from autoimb._report.formats import (
    escape_markdown,
    fence,
    percent,
    seconds,
    significant,
)
from autoimb._report.render import (
    LABEL_METRICS,
    PROBABILITY_METRICS,
    make_figures,
    metric_rows,
)
from autoimb._report.svg import Axis
from autoimb.exceptions import BadInputError

HOSTILE = "<script>alert(1)</script>|`*_\n&\x00\ud800"
SVG = "{http://www.w3.org/2000/svg}"


# --- three reports: two classes, five classes, next to nothing


def guide(branch: str = "mid") -> GuideSection:
    """Return the flowchart, lit along "low", "mid" or "high"."""
    on = {
        "low": {"ratio", "weights"},
        "mid": {"ratio", "rows", "smote"},
        "high": {"ratio", "all"},
    }[branch]
    nodes = [
        ("ratio", "imbalance ratio?", "question"),
        ("weights", "class weights + threshold", "advice"),
        ("rows", "> 500 minority rows?", "question"),
        (
            "all",
            "combine SMOTE + class weights + threshold; under-sampled ensembles; "
            "or anomaly view",
            "advice",
        ),
        ("smote", "SMOTE or class weights + threshold", "advice"),
        ("collect", "class weights + data collection", "advice"),
    ]
    edges = [
        ("ratio", "weights", "< 1:10"),
        ("ratio", "rows", "1:10 to 1:100"),
        ("ratio", "all", "> 1:100"),
        ("rows", "smote", "yes"),
        ("rows", "collect", "no"),
    ]
    return GuideSection(
        nodes=tuple(
            FlowNode(key=key, text=text, kind=kind, on_path=key in on)
            for key, text, kind in nodes
        ),
        edges=tuple(
            FlowEdge(source=a, target=b, label=label, on_path={a, b} <= on)
            for a, b, label in edges
        ),
        reasons=(
            "The largest class has 42.0 rows for each row of the smallest.",
            "There are more than 500 minority rows, enough to interpolate between.",
        ),
        seeds=(
            AdvisedStrategy(name="SMOTE (k = 5) → logistic regression", score=0.655),
            AdvisedStrategy(
                name="Random forest, balanced class weights",
                outcome="not tried: the search ended first",
            ),
        ),
    )


def binary() -> ReportData:
    """Return a full report on two classes."""
    recall = np.linspace(0, 1, 60)
    precision = np.clip(0.98 - 0.35 * recall**3 - 0.6 * recall**12, 0.02, 1)
    fpr = np.linspace(0, 1, 50)
    names = [
        (
            "Extra trees, square-root class weights",
            "extra trees",
            "none",
            "balanced^0.5",
        ),
        ("XGBoost, no handling", "xgboost", "none", "none"),
        ("XGBoost, focal loss (γ = 1.5)", "xgboost", "none", "none"),
        (
            "SMOTE (k = 5, strength 0.41) → random forest",
            "random forest",
            "SMOTE",
            "none",
        ),
        ("Random forest, no handling", "random forest", "none", "none"),
        (
            "Tomek links → histogram boosting, balanced class weights",
            "hist boosting",
            "Tomek links",
            "balanced",
        ),
        ("Logistic regression (C = 0.1), balanced", "logistic", "none", "balanced"),
    ]
    rows = [
        LeaderboardRow(
            rank=i + 1,
            strategy=name,
            family=family,
            resampler=resampler,
            class_weight=weight,
            loss="log loss",
            mean=0.735 - 0.018 * i - 0.002 * i**2,
            se=0.013 + 0.001 * i,
            folds=5,
            fit_seconds=0.4 + 2.7 * (i % 4),
        )
        for i, (name, family, resampler, weight) in enumerate(names)
    ]
    rows += [
        LeaderboardRow(
            rank=None,
            strategy="Net, mixup, focal loss (γ = 2)",
            family="net",
            mean=0.61,
            folds=2,
            fit_seconds=21.4,
            status="dropped",
            reason="2 SE below the incumbent after 2 folds",
        ),
        LeaderboardRow(
            rank=None,
            strategy="ADASYN → gradient boosting",
            family="xgboost",
            resampler="ADASYN",
            status="failed",
            reason="ValueError: no samples will be generated with the provided ratio",
        ),
    ]
    return ReportData(
        title="Churn at a mobile operator",
        created="2026-11-24",
        versions={"autoimb": "0.1.0", "scikit-learn": "1.9.1", "optuna": "5.0.0"},
        fingerprint="9c1f04be2a77d310",
        settings={
            "Search metric": "PR-AUC (average precision)",
            "Threshold chosen for": "F1",
            "Time budget": "60 s",
            "Random state": "0",
            "Folds": "5 stratified folds, 2 repeats for the finalists",
        },
        data=DataSection(
            n_rows=28_380,
            n_features=23,
            feature_kinds={"numeric": 17, "categorical": 6},
            missing_share=0.0132,
            classes=(
                ClassCount(label="stays", count=27_720, share=27_720 / 28_380),
                ClassCount(label="churns", count=660, share=660 / 28_380),
            ),
            imbalance_ratio=42.0,
            minority_label="churns",
            minority_count=660,
            n_duplicates=12,
            minority_types={
                "safe": 0.34,
                "borderline": 0.38,
                "rare": 0.17,
                "outlier": 0.11,
            },
            checks=(
                Check(
                    code="AIM001",
                    title="Duplicated rows",
                    message="12 rows repeat an earlier row; folds keep them together.",
                    severity="warning",
                ),
                Check(
                    code="AIM004",
                    title="Constant column",
                    message="“country” has one value and was left out.",
                ),
            ),
        ),
        guide=guide(),
        outcome=OutcomeSection(
            metric_label="PR-AUC",
            winner="Ensemble of 3 strategies",
            winner_score=0.742,
            winner_standard_error=0.013,
            baseline="XGBoost, no handling",
            baseline_score=0.715,
            difference=0.027,
            difference_interval=(0.0, 0.054),
            no_skill=0.0233,
            honest_estimate=0.731,
            honest_low=0.699,
            honest_high=0.762,
            honest_baseline=0.706,
            sentences=(
                "An ensemble of three strategies ranks churners better than the best "
                "model that does nothing: PR-AUC 0.742 against 0.715.",
                "The gain is three times its standard error.",
                "The tuned threshold finds 66% of churners instead of 48%, at a "
                "precision of 87%.",
            ),
            pos_label="churns",
        ),
        search=SearchSection(
            rows=tuple(rows),
            n_complete=7,
            n_failed=1,
            seconds=57.8,
            best_so_far=(
                (1.2, 0.655),
                (2.9, 0.688),
                (7.4, 0.715),
                (19.0, 0.731),
                (41.0, 0.735),
            ),
            effects=(
                AxisEffect(
                    axis="resampler",
                    name="SMOTE",
                    n_candidates=4,
                    difference=-0.012,
                    standard_error=0.004,
                ),
                AxisEffect(
                    axis="class_weight",
                    name="balanced",
                    n_candidates=6,
                    difference=0.003,
                    standard_error=0.005,
                ),
            ),
            families=(
                FamilyRow(
                    name="extra trees",
                    n_candidates=5,
                    n_complete=4,
                    best=0.735,
                    behind=0.0,
                    behind_standard_error=0.0,
                    seconds=31.0,
                ),
                FamilyRow(name="TabM", n_candidates=1, n_complete=0, seconds=4.0),
            ),
            importances=(("family", 0.61), ("class_weight:balanced:exponent", 0.2)),
        ),
        features=(
            ColumnImportance(name="months", drop=0.21, standard_error=0.02),
            ColumnImportance(name="country", drop=0.03),
        ),
        learning_curve=LearningCurveSection(
            metric_label="PR-AUC",
            points=((132, 0.61, 0.03), (330, 0.69, 0.02), (528, 0.735, 0.02)),
            gain=0.04,
            gain_standard_error=0.015,
            sentence="Twice the rows of class 'churns' would buy about +0.040.",
        ),
        winner=WinnerSection(
            threshold_objective="F1",
            threshold=0.312,
            threshold_interval=(0.27, 0.36),
            at_default={
                "precision": 0.941,
                "recall": 0.482,
                "f1": 0.637,
                "mcc": 0.648,
                "gmean": 0.694,
                "balanced_accuracy": 0.74,
                "average_precision": 0.742,
                "roc_auc": 0.951,
            },
            at_threshold={
                "precision": 0.875,
                "recall": 0.661,
                "f1": 0.753,
                "mcc": 0.686,
                "gmean": 0.81,
                "balanced_accuracy": 0.827,
                "average_precision": 0.742,
                "roc_auc": 0.951,
                "brier": 0.0112,
                "log_loss": 0.0481,
            },
            expected={
                "precision": (0.86, 0.8, 0.91),
                "recall": (0.64, 0.58, 0.7),
                "f1": (0.73, 0.69, 0.78),
            },
            no_skill_precision=660 / 28_380,
            pr_band=tuple(
                (r, p - 0.02, p + 0.02) for r, p in zip(recall, precision, strict=True)
            ),
            histogram=(
                (0.0001, 0.01, 0.9, 0.05),
                (0.01, 0.5, 0.09, 0.35),
                (0.5, 0.9999, 0.01, 0.6),
            ),
            fold_rows=(
                FoldRows(before=(22_176, 528), after=(22_176, 5000)),
                FoldRows(before=(22_176, 528), after=(22_176, 5001)),
            ),
            pr_curve=tuple(zip(recall, precision, strict=True)),
            roc_curve=tuple(zip(fpr**3, fpr**0.2, strict=True)),
            roc_band=((0.1, 0.6, 0.7), (0.5, 0.85, 0.95), (1.0, 1.0, 1.0)),
            operating_point=(0.661, 0.875),
            calibration_before=(
                (0.02, 0.005, 24_000),
                (0.2, 0.1, 3000),
                (0.4, 0.22, 800),
                (0.6, 0.43, 400),
                (0.8, 0.7, 180),
            ),
            calibration_after=(
                (0.01, 0.009, 26_000),
                (0.15, 0.16, 1500),
                (0.35, 0.33, 500),
                (0.55, 0.58, 230),
                (0.85, 0.83, 150),
            ),
            calibration_name="Platt",
            confusion=((27_658, 62), (224, 436)),
            class_labels=("stays", "churns"),
            explorer=ExplorerSection(
                pos_label="churns",
                neg_label="stays",
                thresholds=(1.0, 0.5, 0.312, 0.0),
                scores=(1.0, 0.51, 0.33, 0.01),
                true_positives=(0, 318, 436, 660),
                false_positives=(0, 20, 62, 27_720),
                positive_alerts=(0, 318, 436, 660),
                negative_alerts=(0, 20, 62, 27_720),
                tuned=2,
                at_tuned={
                    "precision": 0.875,
                    "recall": 0.661,
                    "f1": 0.753,
                    "mcc": 0.686,
                    "alerts": 17.5,
                    "cost": 10.1,
                },
                is_thinned=True,
            ),
            members=(
                ("Extra trees, square-root class weights", 0.5),
                ("XGBoost, no handling", 0.25),
                ("SMOTE (k = 5, strength 0.41) → random forest", 0.25),
            ),
            code="from sklearn.ensemble import ExtraTreesClassifier\n\n"
            "model = ExtraTreesClassifier(\n    n_estimators=500, "
            "class_weight={0: 0.72, 1: 4.63}, random_state=0\n)\n"
            "model.fit(X, y)\ny_pred = model.predict_proba(X_new)[:, 1] >= 0.312\n",
        ),
    )


def multiclass() -> ReportData:
    """Return a report on five classes, in which doing nothing won."""
    labels = ("text", "horizontal line", "graphic", "vertical line", "picture")
    counts = (4913, 329, 28, 88, 115)
    matrix = np.diag(counts) * 9 // 10
    matrix[:, 0] += np.array(counts) - matrix.sum(axis=1)
    row = LeaderboardRow(
        rank=1, strategy="Histogram boosting, no handling", mean=0.91, se=0.008
    )
    return ReportData(
        title="Blocks of a page",
        data=DataSection(
            n_rows=5473,
            n_features=10,
            classes=tuple(
                ClassCount(label=name, count=c, share=c / 5473)
                for name, c in zip(labels, counts, strict=True)
            ),
            imbalance_ratio=4913 / 28,
            minority_label="graphic",
            minority_count=28,
        ),
        guide=guide("high"),
        outcome=OutcomeSection(
            metric_label="PR-AUC, macro",
            winner="Histogram boosting, no handling",
            winner_score=0.91,
            winner_standard_error=0.008,
            baseline="Histogram boosting, no handling",
            baseline_score=0.91,
            no_skill=0.2,
            is_baseline=True,
        ),
        search=SearchSection(rows=(row,), n_complete=1, n_failed=0, seconds=3.1),
        winner=WinnerSection(
            threshold_objective="F1, macro",
            threshold=(0.8, 1.1, 2.4, 1.3, 1.6),
            at_default={"f1_macro": 0.84, "balanced_accuracy": 0.82},
            at_threshold={"f1_macro": 0.86, "balanced_accuracy": 0.87},
            confusion=tuple(map(tuple, matrix.tolist())),
            class_labels=labels,
            per_class=tuple(
                PerClass(
                    label=name,
                    precision=0.9,
                    recall=0.9,
                    f1=0.9,
                    average_precision=0.93,
                    support=c,
                )
                for name, c in zip(labels, counts, strict=True)
            ),
        ),
    )


def minimal() -> ReportData:
    """Return a report that knows nothing but the size of its table."""
    return ReportData(
        title="A table", data=DataSection(n_rows=3, n_features=1, classes=())
    )


REPORTS = {"binary": binary, "multiclass": multiclass, "minimal": minimal}


@pytest.fixture(params=REPORTS)
def report(request: pytest.FixtureRequest) -> ReportData:
    """Return each of the three reports in turn."""
    return REPORTS[request.param]()


def hostile(value: object) -> object:
    """Return `value` with every free text in it replaced by a hostile one."""
    if dataclasses.is_dataclass(value):
        kept = {"kind", "key", "source", "target", "severity", "code", "at_tuned"}
        changed = {
            f.name: hostile(getattr(value, f.name))
            for f in dataclasses.fields(value)
            if f.name not in kept
        }
        return dataclasses.replace(value, **changed)
    if isinstance(value, tuple):
        return tuple(map(hostile, value))
    if isinstance(value, dict):
        return {f"{HOSTILE}{key}": hostile(item) for key, item in value.items()}
    return HOSTILE if isinstance(value, str) and value else value


def holes(value: object, wrap=lambda v: v):
    """Yield copies of a report, each with one optional field at its default."""
    for f in dataclasses.fields(value):
        child = getattr(value, f.name)

        def put(new, name=f.name):
            return wrap(dataclasses.replace(value, **{name: new}))

        is_optional = str(f.type).endswith("| None")
        empties = {f.default, None if is_optional else f.default}
        for empty in empties - {dataclasses.MISSING}:
            if child != empty:
                yield put(empty)
        if dataclasses.is_dataclass(child):
            yield from holes(child, put)


class Page(HTMLParser):
    """What a browser would see: tags, their attributes and the text in between."""

    VOID = frozenset({"meta", "br", "link", "img", "input"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if "script" not in self.open and "style" not in self.open:
            self.texts.append(data)

    def values(self, name: str) -> list[str]:
        """Return every value of one attribute."""
        return [a[name] for _, a in self.tags if a.get(name)]


def drawn(svg: str, tag: str) -> list[ET.Element]:
    """Return a figure's elements of one kind."""
    return list(ET.fromstring(svg).iter(SVG + tag))


def path_of(svg: str, index: int = 0) -> list[tuple[float, float]]:
    """Return the points of one of a figure's polylines."""
    points = drawn(svg, "polyline")[index].attrib["points"].split()
    return [tuple(map(float, p.split(","))) for p in points]


# --- values


def as_lists(value: object) -> object:
    """Return values and tuples in them as dicts and lists, as JSON has them."""
    if dataclasses.is_dataclass(value):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return as_lists(fields)
    if isinstance(value, dict):
        return {key: as_lists(item) for key, item in value.items()}
    return [*map(as_lists, value)] if isinstance(value, tuple) else value


def test_json_holds_every_value(report):
    assert report.to_dict() == as_lists(report)
    assert json.loads(render_json(report)) == as_lists(report)


def test_numpy_and_missing_numbers_become_plain_ones():
    section = WinnerSection(
        threshold=np.array([0.5, np.inf]),
        pr_curve=np.array([[0.0, 1.0], [np.nan, 0.5]]),
        at_threshold={"f1": np.float32(0.5), "mcc": math.nan},
    )
    assert section.threshold == (0.5, None)
    assert section.pr_curve == ((0.0, 1.0), (None, 0.5))
    assert section.at_threshold == {"f1": 0.5, "mcc": None}
    assert type(section.at_threshold["f1"]) is float
    assert "NaN" not in json.dumps(section.to_dict())


def test_path_alternates_boxes_and_answers():
    assert guide("mid").path == (
        "imbalance ratio?",
        "1:10 to 1:100",
        "> 500 minority rows?",
        "yes",
        "SMOTE or class weights + threshold",
    )


# --- the page


def test_page_is_whole_and_needs_nothing_else(report):
    html = render_html(report)
    page = Page(html)
    assert page.open == []
    assert not {t for t, _ in page.tags} & {"link", "img", "iframe"}
    assert page.values("src") == []
    assert all(href.startswith("#") for href in page.values("href"))
    assert "url(" not in html
    assert len(html.encode()) < 1_500_000


def test_ids_are_unique_and_every_reference_finds_one(report):
    page = Page(render_html(report))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    links = [href[1:] for href in page.values("href")]
    labels = " ".join(page.values("aria-labelledby")).split()
    assert set(links + labels) <= set(ids)


def test_headings_descend_one_level_at_a_time(report):
    names = [t for t, _ in Page(render_html(report)).tags]
    levels = [int(name[1]) for name in names if name in {"h1", "h2", "h3"}]
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise([0, *levels]))


def test_first_screen_names_the_numbers_that_matter():
    html = render_html(binary())
    page = Page(
        html[html.index("<header") : html.index("</header>") + len("</header>")]
    )
    summary = "".join(page.texts)
    for number in ("0.731", "0.699 to 0.762", "0.715", "+0.027", "0.0233", "0.312"):
        assert number in summary
    assert all(sentence in summary for sentence in binary().outcome.sentences)
    assert {"verdict", "winner-score", "baseline-score", "threshold"} <= set(
        page.values("data-test")
    )


def test_a_baseline_that_wins_is_said():
    said = "the winner does nothing about the imbalance"
    for render in (render_html, render_markdown):
        assert said in render(multiclass())
        assert said not in render(binary())


def test_sections_appear_only_with_something_to_say():
    whole = {"data", "guide", "search", "winner", "reproduce"}
    assert whole <= set(Page(render_html(binary())).values("id"))
    assert whole & set(Page(render_html(minimal())).values("id")) == {"data"}


@pytest.mark.parametrize("make", [binary, multiclass])
def test_any_optional_part_may_be_missing(make):
    for smaller in holes(make()):
        page = Page(render_html(smaller))
        assert page.open == []
        text = "".join(page.texts)
        assert "None" not in text
        assert "nan" not in text
        assert "None" not in render_markdown(smaller)
        assert smaller.to_dict() == as_lists(smaller)


def test_every_text_is_shown_as_text_in_html(report):
    normal, attacked = (Page(render_html(r)) for r in (report, hostile(report)))
    tags, expected = ([tag for tag, _ in page.tags] for page in (attacked, normal))
    assert set(tags) <= set(expected)
    assert tags.count("script") == expected.count("script")
    assert attacked.open == []
    assert "<script>alert(1)</script>" in "".join(attacked.texts)


def test_every_text_is_shown_as_text_in_markdown(report):
    page = render_markdown(hostile(report))
    outside = re.sub(r"(`{3,})python\n.*?\n\1\n", "", page, flags=re.DOTALL)
    assert r"\<script\>alert(1)\</script\>\|\`\*\_ \&" in outside
    assert not re.search(r"(?<!\\)[<`]", outside)


@pytest.mark.parametrize("attack", [lambda r: r, hostile], ids=["plain", "hostile"])
def test_markdown_tables_have_one_width_each(report, attack):
    lines = render_markdown(attack(report)).splitlines()
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in lines]
    for above, below, line in zip(widths, widths[1:], lines[1:], strict=False):
        if above and line.startswith("|"):
            assert above == below


def test_code_with_fences_stays_inside_its_fence():
    code = 'x = """\n```\n# not a heading of the page\n````\n"""'
    winner = dataclasses.replace(binary().winner, code=code)
    page = render_markdown(dataclasses.replace(binary(), winner=winner))
    assert f"`````python\n{code}\n`````\n" in page
    assert fence("no backticks") == "```"


def test_a_long_leaderboard_is_cut_in_pages_but_not_in_json():
    rows = tuple(LeaderboardRow(rank=i, strategy=f"s{i}!") for i in range(1, 1001))
    data = dataclasses.replace(minimal(), search=SearchSection(rows=rows))
    for render in (render_html, render_markdown):
        assert "800 more candidates" in render(data)
        assert "s200!" in render(data).replace("\\", "")
        assert "s201!" not in render(data).replace("\\", "")
    assert "s1000!" in render_json(data)


def test_better_names_the_threshold_with_the_higher_score():
    winner = WinnerSection(
        at_default={"f1": 0.4, "mcc": 0.3, "precision": 0.5, "roc_auc": 0.1},
        at_threshold={"f1": 0.6, "mcc": 0.2, "precision": 0.5, "roc_auc": 0.9},
    )
    rows = metric_rows(winner, LABEL_METRICS)
    better = {row.label: row.better for row in rows}
    assert better == {"Precision": "", "F1": "threshold", "MCC": "default"}


def test_every_metric_that_is_measured_has_a_row():
    scores = decided(*rows())
    assert set(scores.at_threshold) == {*LABEL_METRICS, *PROBABILITY_METRICS}


# --- the object


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("r.html", "<!doctype html>"),
        ("r.HTML", "<!doctype"),
        ("r.md", "# "),
        ("r.json", "{"),
    ],
)
def test_save_writes_the_format_of_the_suffix(tmp_path, name, start):
    data = dataclasses.replace(binary(), title="Prüfung – 審査")
    written = Report(data).save(tmp_path / name)
    text = written.read_bytes().decode("utf-8")
    assert text.startswith(start)
    assert "Prüfung – 審査" in text


@pytest.mark.parametrize("name", ["r.pdf", "report"])
def test_save_names_the_formats_it_knows(tmp_path, name):
    with pytest.raises(BadInputError, match=r"\.html, \.json, \.md"):
        Report(binary()).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_notebook_shows_the_same_page_in_a_frame_of_its_own():
    shown = Report(hostile(binary()))._repr_html_()
    (tag, attributes), *others = Page(shown).tags
    assert tag == "iframe"
    assert others == []
    assert attributes["srcdoc"] == render_html(hostile(binary()))
    assert "allow-same-origin" not in attributes["sandbox"]


def test_repr_and_dict():
    report = Report(binary())
    assert repr(report) == (
        "Report('Churn at a mobile operator', winner='Ensemble of 3 strategies')"
    )
    assert report.to_dict() == binary().to_dict()


# --- figures


@pytest.mark.parametrize("attack", [lambda r: r, hostile], ids=["plain", "hostile"])
def test_figures_are_well_formed_and_read_aloud(report, attack):
    for svg in filter(None, make_figures(attack(report)).values()):
        root = ET.fromstring(svg)
        assert root.attrib["role"] == "img"
        assert root.find(SVG + "title").text
        assert root.find(SVG + "desc").text
        assert {e.tag for e in root.iter()}.isdisjoint({SVG + "script"})


def test_figures_stay_inside_their_box(report):
    for svg in filter(None, make_figures(report).values()):
        root = ET.fromstring(svg)
        *_, width, height = map(float, root.attrib["viewBox"].split())
        for rect in root.iter(SVG + "rect"):
            x, y, w, h = (float(rect.attrib[k]) for k in ("x", "y", "width", "height"))
            assert w >= 0
            assert h > 0
            if rect.get("transform") is None and y >= 0:
                assert 0 <= x <= x + w <= width + 0.01
                assert y + h <= height


def test_no_values_no_figures():
    assert set(make_figures(minimal()).values()) == {""}
    assert flowchart(GuideSection()) == ""
    assert (
        figures.outcome_strip(
            OutcomeSection(metric_label="F1", winner="w", winner_score=None)
        )
        == ""
    )


def test_curves_have_a_point_for_each_known_point():
    points = ((0.0, 1.0), (0.5, None), (0.75, 0.25))
    path = path_of(figures.pr_curve(WinnerSection(pr_curve=points)))
    (x0, y0), (x1, y1) = path
    assert x1 > x0
    assert y1 > y0  # lower precision is drawn further down
    assert len(path_of(figures.pr_curve(binary().winner))) == 60
    assert len(path_of(figures.roc_curve(binary().winner))) == 50


def test_operating_point_lies_where_the_curve_passes_it():
    winner = WinnerSection(
        pr_curve=((0, 1), (0.4, 0.8), (1, 0)), operating_point=(0.4, 0.8)
    )
    svg = figures.pr_curve(winner)
    dot = drawn(svg, "circle")[0].attrib
    assert (float(dot["cx"]), float(dot["cy"])) == path_of(svg)[1]


def test_bars_are_as_long_as_their_shares():
    classes = drawn(bars.class_bars(binary().data), "rect")
    stays, churns = (
        float(r.attrib["width"]) for r in classes if "data-bar" in r.attrib
    )
    assert stays / churns == pytest.approx(42, rel=0.01)
    types = drawn(bars.minority_types(binary().data), "rect")
    widths = [float(r.attrib["width"]) for r in types if "data-bar" in r.attrib]
    assert widths == pytest.approx(
        [360 * s for s in (0.34, 0.38, 0.17, 0.11)], abs=0.02
    )


def test_a_higher_score_is_drawn_further_right():
    svg = figures.score_dots(binary().search, binary().outcome)
    dots = [float(c.attrib["cx"]) for c in drawn(svg, "circle")]
    assert len(dots) == 7  # complete ones only
    assert dots == sorted(dots, reverse=True)
    strip = drawn(figures.outcome_strip(binary().outcome), "circle")
    honest, plain, crossval, nothing = (float(c.attrib["cx"]) for c in strip)
    assert plain < nothing < honest < crossval


def test_best_so_far_climbs_in_square_steps_to_the_end():
    path = path_of(figures.best_so_far(binary().search, "PR-AUC"))
    assert all((x0 == x1) != (y0 == y1) for (x0, y0), (x1, y1) in pairwise(path))
    assert [y for _, y in path] == sorted((y for _, y in path), reverse=True)


@pytest.mark.parametrize("n_classes", [2, 5, 40])
def test_confusion_has_a_cell_for_each_pair(n_classes):
    counts = np.arange(n_classes**2).reshape(n_classes, n_classes)
    labels = tuple(map(str, range(n_classes)))
    winner = WinnerSection(
        confusion=tuple(map(tuple, counts.tolist())), class_labels=labels
    )
    tips = [t.text for t in drawn(figures.confusion(winner), "title")[1:]]
    assert len(tips) == n_classes**2
    assert tips[1].startswith("true 0, predicted 1: 1 ")


def test_bins_that_calibration_leaves_as_they_are_are_drawn_once():
    bins = ((0.1, 0.2, 50), (0.7, 0.6, 9))
    winner = WinnerSection(calibration_before=bins, calibration_after=bins)
    assert len(drawn(figures.calibration(winner), "polyline")) == 1
    moved = dataclasses.replace(winner, calibration_before=bins[:1])
    assert len(drawn(figures.calibration(moved), "polyline")) == 2


def test_calibrated_bins_lie_on_the_diagonal_when_they_are_right():
    bins = ((0.1, 0.1, 5), (0.5, 0.5, 3), (0.8, 0.8, 1))
    svg = figures.calibration(WinnerSection(calibration_after=bins))
    diagonal = drawn(svg, "line")
    ideal = next(e.attrib for e in diagonal if e.attrib["x1"] != e.attrib["x2"]
                 and e.attrib["y1"] != e.attrib["y2"])  # fmt: skip
    x1, y1, x2, y2 = (float(ideal[k]) for k in ("x1", "y1", "x2", "y2"))
    for x, y in path_of(svg):
        assert (x - x1) / (x2 - x1) == pytest.approx((y - y1) / (y2 - y1), abs=1e-3)


# --- the flowchart


@pytest.mark.parametrize("width", [340, 720])
def test_boxes_do_not_overlap_and_children_lie_below(width):
    g = guide()
    boxes = list(place(g, width).values())
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            apart_x = abs(a.x - b.x) >= (a.width + b.width) / 2
            apart_y = a.y >= b.y + b.height or b.y >= a.y + a.height
            assert apart_x or apart_y
    by_key = place(g, width)
    assert all(
        by_key[e.target].y > by_key[e.source].y + by_key[e.source].height
        for e in g.edges
    )


@pytest.mark.parametrize("branch", ["low", "mid", "high"])
def test_only_the_path_is_lit(branch):
    svg = flowchart(guide(branch))
    lit = {
        e.attrib["data-node"]
        for e in drawn(svg, "g")
        if e.attrib["font-weight"] == "600"
    }
    assert lit == {n.key for n in guide(branch).nodes if n.on_path}


def test_layers_follow_the_longest_way_and_survive_a_circle():
    assert [len(layer) for layer in layers_of(guide())] == [1, 3, 2]
    a, b = (FlowNode(key=k, text=k, kind="question") for k in "ab")
    circle = tuple(FlowEdge(source=s, target=t) for s, t in ("ab", "ba", "a?"))
    assert flowchart(GuideSection(nodes=(a, b), edges=circle))


# --- numbers


@pytest.mark.parametrize(
    "values", [[0.2, 0.9], [-3e-5, 4e-5], [5, 5], [0, 0], [-7, 12_345]]
)
def test_axis_holds_its_values_between_round_ticks(values):
    axis = Axis.around(values, 0, 100)
    assert all(-1e-9 <= axis(v) <= 100 + 1e-9 for v in values)
    ticks = [value for value, _ in axis.ticks()]
    labels = [label for _, label in axis.ticks()]
    assert 3 <= len(ticks) <= 11
    assert len(set(labels)) == len(labels)
    for value, label in axis.ticks():
        assert float(label.replace("−", "-").replace(",", "")) == pytest.approx(
            value, abs=1e-12
        )


@pytest.mark.parametrize(
    "value", [0.0017294, 0.99951, 9.996, 123.4, 1e-7, -0.5, 0, 1e9]
)
def test_significant_reads_back_to_three_digits(value):
    shown = float(significant(value).replace("−", "-").replace(",", ""))
    assert shown == pytest.approx(value, rel=5e-3)
    assert "e" not in significant(value)


def test_missing_numbers_are_dashes():
    for value in (None, math.nan, math.inf):
        assert significant(value) == percent(value) == seconds(value) == "–"
    assert seconds(0.0421) == "42\N{NO-BREAK SPACE}ms"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a|b", r"a\|b"),
        ("two\nlines", "two lines"),
        ("1. not a list", r"1\. not a list"),
        ("- nor this", r"\- nor this"),
        ("0.712", "0.712"),
        ("<b> & `c` *d* _e_", r"\<b\> \& \`c\` \*d\* \_e\_"),
        ("# no heading", r"\# no heading"),
    ],
)
def test_markdown_escape(text, escaped):
    assert escape_markdown(text) == escaped


# --- curves


def scored_decision(n, share=0.1):
    """Return labels, scores with ties, and weights."""
    rng = np.random.default_rng(0)
    is_positive = rng.random(n) < share
    score = np.round(rng.normal(size=n) + 2 * is_positive, 3)
    return is_positive, score, rng.uniform(0.5, 2, n)


def test_short_curves_are_those_of_scikit_learn():
    is_positive, score, weight = scored_decision(150)
    pr, roc = curves_of(is_positive, score, weight)
    precision, recall, _ = precision_recall_curve(
        is_positive, score, sample_weight=weight
    )
    np.testing.assert_allclose(pr, np.column_stack([recall, precision])[::-1])
    false_rate, true_rate, _ = rates_of(
        is_positive, score, sample_weight=weight, drop_intermediate=False
    )
    np.testing.assert_allclose(roc, np.column_stack([false_rate, true_rate]))


@pytest.mark.parametrize("share", [0.5, 0.01])
def test_long_curves_keep_even_steps_however_rare_the_positives(share):
    is_positive, score, weight = scored_decision(20_000, share)
    pr, roc = map(np.array, curves_of(is_positive, score, weight))
    assert _N_POINTS / 2 < len(pr) == len(roc) <= _N_POINTS
    assert roc[0].tolist() == [0, 0]
    assert roc[-1] == pytest.approx([1, 1])
    np.testing.assert_array_equal(pr[:, 0], roc[:, 1])
    largest = 20 * weight[is_positive].max() / weight[is_positive].sum()
    assert np.diff(pr[:, 0]).max() <= 2 / _N_POINTS + largest
    precision, recall, _ = precision_recall_curve(
        is_positive, score, sample_weight=weight
    )
    at = np.abs(recall[:, np.newaxis] - pr[1:, 0]) < 1e-9
    near = np.abs(precision[:, np.newaxis] - pr[1:, 1]) < 1e-9
    assert (at & near).any(axis=0).all()


# --- reports of real fits


def one_candidate():
    return numeric(200, 30), {"n_trials": 1, "families": "logistic_regression"}


def all_but_one_failed():
    register_family("broken", Broken())
    families = ["logistic_regression", "broken"]
    return numeric(200, 30), {"n_trials": 12, "families": families}


def more_classes():
    options = {"n_trials": 4, "families": "logistic_regression"}
    return five_classes(), {**options, "resamplers": ["none", "random_over"]}


@pytest.mark.filterwarnings("ignore::UserWarning:optuna")
@pytest.mark.parametrize(
    ("make", "shows"),
    [
        (one_candidate, ("logistic regression",)),
        (all_but_one_failed, ("this model is broken",)),
        (more_classes, ("PR-AUC", "Class by class")),
    ],
)
def test_whatever_was_fitted_is_reported_in_every_format(make, shows, tmp_path):
    (X, y), options = make()
    model = AutoImbalance(n_jobs=1, random_state=0, **options).fit(X, y)
    report = model.report()
    for suffix in ("html", "md", "json"):
        assert report.save(tmp_path / f"report.{suffix}").stat().st_size > 1000
    page = Page((tmp_path / "report.html").read_text())
    assert page.open == []
    for words in shows:
        assert words in "".join(page.texts)
    saved = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert saved == report.to_dict()


def test_the_lit_answers_tell_the_numbers_behind_them():
    X, y = numeric(220, 20)
    options = {"n_trials": 1, "families": "logistic_regression", "n_jobs": 1}
    guide = AutoImbalance(**options).fit(X, y).report().data.guide
    lit = [edge.label for edge in guide.edges if edge.on_path]
    assert lit == ["1:10 to 1:100 (here 1:10)", "500 or fewer (here 20)"]
