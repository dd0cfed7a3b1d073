"""The page in a real browser: it computes what Python does, sorts, filters and fits."""

import shutil

import numpy as np
import pytest
from decisions import numbers_of, rows, scored_decision

from autoimb._report import (
    ClassCount,
    DataSection,
    LeaderboardRow,
    OutcomeSection,
    ReportData,
    SearchSection,
    WinnerSection,
    render_html,
)
from autoimb._report.explorer_section import explorer_of
from autoimb._report.formats import significant, thousands

playwright = pytest.importorskip("playwright.sync_api")

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]

COUNTS = {"tp", "fn", "fp", "tn"}
LONG = "ADASYN (strength 0.41) → gradient boosting, square-root class weights, early"
IS_POSITIVE, SCORE, WEIGHT = rows(600, 0.1)


def board():
    """Return a leaderboard with a rank, a gap, a failure and much that never began."""
    families = ["logistic regression", "random forest", "XGBoost", "extra trees"]
    ranked = [
        LeaderboardRow(
            rank=i + 1,
            strategy=f"{'SMOTE → ' if i % 2 else ''}{family}",
            family=family,
            resampler="SMOTE" if i % 2 else "none",
            class_weight="balanced" if i < 2 else "none",
            loss="log loss",
            mean=0.7 - 0.1 * i,
            se=0.01,
            folds=5,
            fit_seconds=[3.0, 0.2, 41.0, 9.0][i],
        )
        for i, family in enumerate(families)
    ]
    reason = "ValueError: no samples will be generated with the provided ratio, see "
    others = [
        LeaderboardRow(
            rank=None, strategy=LONG, status="failed", reason=reason + "the log"
        ),
        LeaderboardRow(rank=None, strategy="Net", family="net", status="dropped"),
        *[
            LeaderboardRow(rank=None, strategy=f"Idea {i}", status="skipped")
            for i in range(15)
        ],
        LeaderboardRow(rank=None, strategy="Extra trees", status="duplicate"),
    ]
    return (*ranked, *others)


def report(explorer):
    """Return a report on two classes."""
    counts = {"stays": int((~IS_POSITIVE).sum()), "churns": int(IS_POSITIVE.sum())}
    return ReportData(
        title="Churn at a mobile operator",
        data=DataSection(
            n_rows=600,
            n_features=4,
            classes=tuple(
                ClassCount(label=label, count=n, share=n / 600)
                for label, n in counts.items()
            ),
        ),
        outcome=OutcomeSection(metric_label="PR-AUC", winner="X", winner_score=0.7),
        search=SearchSection(rows=board(), n_complete=4),
        winner=WinnerSection(explorer=explorer, class_labels=tuple(counts)),
    )


SCORED = scored_decision(IS_POSITIVE, SCORE, WEIGHT, classes=("stays", "churns"))
EXPLORER = explorer_of(SCORED)


def as_shown(numbers):
    """Return numbers as the page writes them."""
    return {
        name: (thousands if name in COUNTS else significant)(float(value))
        for name, value in numbers.items()
    }


def at(threshold, costs=EXPLORER.costs):
    """Return what the page has to show of a threshold."""
    return as_shown(numbers_of(IS_POSITIVE, threshold <= SCORE, SCORED, costs))


NUMBERS = at(0.5).keys()


# --- the browser


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Return where the page lies."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_html(report(EXPLORER)), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def tab(browser):
    """Return a tab that notes errors, messages and whatever else a page asks for."""
    tab = browser.new_page(viewport={"width": 1200, "height": 900})
    tab.faults = []
    tab.on("pageerror", lambda error: tab.faults.append(error.message))
    tab.on("console", lambda message: tab.faults.append(message.text))
    tab.on("request", lambda r: r.is_navigation_request() or tab.faults.append(r.url))
    yield tab
    tab.close()


@pytest.fixture
def page(tab, address):
    """Return the page, freshly opened; nothing may go wrong in it or be loaded."""
    tab.faults.clear()
    tab.goto(address)
    yield tab
    assert tab.faults == []


def open_page(page, folder, data):
    """Go to the page of another report."""
    path = folder / "other.html"
    path.write_text(render_html(data), encoding="utf-8")
    page.goto(path.as_uri())


def part(page, name):
    """Return the element of a test hook."""
    return page.locator(f'[data-test="{name}"]')


def shown(page):
    """Return the explorer's numbers as the page shows them."""
    outputs = part(page, "explorer").locator("output")
    texts = outputs.evaluate_all(
        "all => all.map(one => [one.dataset.test.replace('explorer-', ''), one.value])"
    )
    return {name: text for name, text in texts if name in NUMBERS}


def threshold_of(page):
    """Return the threshold in the number box."""
    return float(part(page, "explorer-threshold").input_value())


# --- the explorer


def test_the_page_opens_at_the_tuned_threshold(page):
    assert threshold_of(page) == EXPLORER.thresholds[EXPLORER.tuned] == 0.3
    assert shown(page) == at(0.3)
    assert part(page, "explorer-still").is_hidden()
    strip = part(page, "explorer-strip").locator("polyline").first
    assert len(strip.get_attribute("points").split()) == len(EXPLORER.scores) - 1


def test_the_slider_walks_over_every_cut(page):
    slider = page.get_by_label("Threshold, from no alerts to every row")
    slider.focus()
    for key, step in (("ArrowRight", 1), ("ArrowDown", -1), ("ArrowLeft", -1)):
        i = EXPLORER.thresholds.index(threshold_of(page))
        page.keyboard.press(key)
        assert threshold_of(page) == EXPLORER.thresholds[i + step]
        assert shown(page) == at(threshold_of(page))
    spoken = slider.get_attribute("aria-valuetext")
    assert spoken.startswith(f"threshold {threshold_of(page):g}: precision ")
    for key, i in (("Home", 0), ("End", -1), ("PageDown", None)):
        page.keyboard.press(key)
        assert shown(page) == at(threshold_of(page))
        assert i is None or threshold_of(page) == EXPLORER.thresholds[i]
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    assert threshold_of(page) == 0


def test_the_slider_is_dragged_to_cuts(page):
    box = part(page, "explorer-slider").bounding_box()
    middle = box["y"] + box["height"] / 2
    seen = []
    for share in (0.2, 0.5, 0.8):
        page.mouse.click(box["x"] + share * box["width"], middle)
        seen.append(threshold_of(page))
        assert shown(page) == at(seen[-1])
        assert seen[-1] in EXPLORER.thresholds
    assert seen == sorted(seen, reverse=True)


def test_a_threshold_that_is_typed_counts_as_it_stands(page):
    box = page.get_by_label("Threshold", exact=True)
    for threshold in ("0", "0.1234", "0.5", str(EXPLORER.scores[40]), "1"):
        box.fill(threshold)
        assert shown(page) == at(float(threshold))
        box.blur()
        assert threshold_of(page) == float(threshold)
        assert f"set_threshold({threshold})" in part(page, "explorer-code").inner_text()


def test_what_is_no_number_moves_nothing(page):
    for name in ("threshold", "top"):
        box = part(page, f"explorer-{name}")
        before = box.input_value()
        box.fill("")
        assert shown(page) == at(0.3)
        box.blur()
        assert box.input_value() == before
    part(page, "explorer-miss").fill("")
    assert shown(page) == at(0.3, (EXPLORER.costs[0], 0))


def test_top_k_is_the_cut_with_most_alerts_among_those_allowed(page):
    alerts = [(threshold <= SCORE).sum() for threshold in EXPLORER.thresholds]
    for k in (0, 20, alerts[40], 10_000):
        page.get_by_label("Alerts at most").fill(str(k))
        i = max(i for i, n in enumerate(alerts) if n <= k)
        assert threshold_of(page) == EXPLORER.thresholds[i]
        assert shown(page) == at(EXPLORER.thresholds[i])
        part(page, "explorer-top").blur()
        box = float(part(page, "explorer-top").input_value())
        assert box == pytest.approx(alerts[i], abs=0.005)


@pytest.mark.parametrize("costs", [(1, 50), (9, 1), (2.5, 7.5)])
def test_the_cheapest_threshold_is_the_cheapest_of_all(page, costs):
    page.get_by_label("A false alert").fill(str(costs[0]))
    page.get_by_label("A miss").fill(str(costs[1]))
    assert shown(page) == at(0.3, costs)
    price = np.where(IS_POSITIVE, costs[1], costs[0]) * WEIGHT
    every = [
        1000 * price[(threshold <= SCORE) != IS_POSITIVE].sum() / WEIGHT.sum()
        for threshold in EXPLORER.thresholds
    ]
    best = EXPLORER.thresholds[int(np.argmin(every))]
    said = part(page, "explorer-cheapest-threshold").inner_text()
    assert float(said) == best
    assert part(page, "explorer-cheapest-cost").inner_text() == significant(min(every))
    part(page, "explorer-cheapest").click()
    assert threshold_of(page) == best
    assert shown(page) == at(best, costs)
    part(page, "explorer-reset").click()
    assert shown(page) == at(0.3, costs)


def test_numbers_are_rounded_as_python_rounds(page, tmp_path):
    """One alert among 32 rows is 31.25 in 1,000: even digits win."""
    n = 32
    score, weight = np.linspace(0.9, 0.1, n), np.ones(n)
    is_positive = np.arange(n) % 4 == 0
    scored = scored_decision(is_positive, score, weight)
    explorer = explorer_of(scored)
    open_page(page, tmp_path, report(explorer))
    part(page, "explorer-slider").focus()
    page.keyboard.press("Home")
    for threshold in explorer.thresholds[1:6]:
        page.keyboard.press("ArrowRight")
        alert = score >= threshold
        numbers = numbers_of(is_positive, alert, scored, explorer.costs)
        assert shown(page) == as_shown(numbers)


def test_a_thinned_page_moves_to_the_next_cut_above(page, tmp_path):
    is_positive, score, weight = rows(30_000, 0.02)
    scored = scored_decision(is_positive, score, weight)
    explorer = explorer_of(scored)
    open_page(page, tmp_path, report(explorer))
    box = part(page, "explorer-threshold")
    box.fill("0.2")
    box.blur()
    reached = threshold_of(page)
    assert reached == min(t for t in explorer.thresholds if t >= 0.2)
    numbers = numbers_of(is_positive, score >= reached, scored, explorer.costs)
    assert shown(page) == as_shown(numbers)


# --- the leaderboard


def listed(page, column=2):
    """Return a column of the rows that are shown."""
    return page.locator(
        f'[data-test="leaderboard"] tbody tr:visible > :nth-child({column})'
    ).all_inner_texts()


def test_what_never_began_is_hidden_until_asked_for(page):
    said = part(page, "filter-hidden")
    assert said.inner_text().startswith("Hidden: 15 not started, 1 tried before.")
    assert len(listed(page)) == 6
    assert part(page, "filter-count").inner_text() == "6 of 22 shown"
    page.get_by_role("button", name="Show them").click()
    assert len(listed(page)) == 22
    assert said.is_hidden()
    assert part(page, "filter-count").inner_text() == "22 of 22 shown"
    page.get_by_label("skipped").uncheck()
    assert len(listed(page)) == 7
    assert said.is_visible()


FILTERED = {
    "smote": {"SMOTE → random forest", "SMOTE → extra trees"},
    "SMOTE balanced": {"SMOTE → random forest"},
    "provided ratio": {LONG},
    "dropped": {"Net"},
    "0.7": set(),  # numbers are no words
}


def test_the_filter_looks_at_all_words(page):
    everything = listed(page)
    for words, found in FILTERED.items():
        page.get_by_label("Filter candidates").fill(words)
        assert set(listed(page)) == found
    page.get_by_label("Filter candidates").fill("  ")
    assert listed(page) == everything


def test_statuses_are_ticked_on_and_off(page):
    page.get_by_label("complete").uncheck()
    assert listed(page) == [LONG, "Net"]
    page.get_by_label("complete").check()
    assert len(listed(page)) == 6


def test_sorting_and_filtering_go_together(page):
    page.get_by_label("Filter candidates").fill("log loss")
    header = page.get_by_role("columnheader", name="Fit time")
    header.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert listed(page, 8) == ["200\xa0ms", "3.0\xa0s", "9.0\xa0s", "41.0\xa0s"]
    assert header.get_attribute("aria-sort") == "ascending"
    header.get_by_role("button").click()
    page.get_by_label("Filter candidates").fill("")
    assert listed(page, 8)[:4] == ["41.0\xa0s", "9.0\xa0s", "3.0\xa0s", "200\xa0ms"]
    assert listed(page)[4:] == [LONG, "Net"]  # unknown values stay last


def test_the_status_needs_no_scrolling(page):
    head = page.get_by_role("columnheader", name="Status").bounding_box()
    frame = page.get_by_role("region", name="Leaderboard").bounding_box()
    assert head["x"] + head["width"] <= frame["x"] + frame["width"]


# --- the page as a whole


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_runs_over_the_edge(page, width, scheme):
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    part(page, "filter-hidden").get_by_role("button").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    spills = part(page, "explorer").evaluate(
        """section => [...section.querySelectorAll("*")].filter((one) =>
            one.getClientRects().length && !one.matches(".unseen, svg *") &&
            one.getBoundingClientRect().right > innerWidth).length"""
    )
    assert spills == 0
    page.set_viewport_size({"width": 1200, "height": 900})
    page.emulate_media(color_scheme=None)


def test_paper_shows_what_was_chosen_and_no_buttons(page):
    part(page, "explorer-miss").fill("25")
    page.emulate_media(media="print")
    for name in ("threshold", "miss", "cheapest-threshold"):
        assert part(page, f"explorer-{name}").is_visible()
    assert part(page, "explorer-miss").input_value() == "25"
    for name in ("reset", "cheapest", "top"):
        assert part(page, f"explorer-{name}").is_hidden()
    assert part(page, "filter").is_hidden()
    page.emulate_media(media="screen")


def test_without_script_all_is_shown_and_nothing_pretends_to_work(browser, address):
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(address)
        assert len(listed(page)) == 22
        assert part(page, "filter").is_hidden()
        assert part(page, "explorer-still").is_visible()
        assert part(page, "explorer-slider").is_hidden()
        for name, text in at(0.3).items():
            assert part(page, f"explorer-{name}").inner_text() == text


def test_a_page_without_explorer_or_leaderboard_runs_too(page, tmp_path):
    data = report(None)
    open_page(page, tmp_path, ReportData(title=data.title, data=data.data))
    assert page.get_by_role("heading", level=1).inner_text() == data.title
