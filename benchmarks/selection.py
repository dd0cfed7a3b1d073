"""Which rule picks best among candidates that cross-validation has scored?

    python benchmarks/selection.py repository

Reads what `repository.py` measured. Every rule sees out-of-fold scores alone: those of
the first repeat for all candidates, of both for the finalists, as a fit does. It is
judged by the PR-AUC on rows that were never seen, as regret: what the best candidate in
hindsight reaches beyond it. Priors are learned from the other data sets.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from autoimb._metrics.bootstrap import Draws
from autoimb._metrics.calibration import fit_calibration
from autoimb._metrics.fold_ids import FoldIds
from autoimb._metrics.scorers import resolve_metric
from autoimb._select.ensemble import CLEARLY, FEW_POSITIVES, MAX_MEMBERS, member_weights

N_DRAWS = 60
AP = resolve_metric("average_precision", 2)


@dataclass(frozen=True, eq=False)
class Case:
    """One table of the repository."""

    name: str
    y: np.ndarray
    y_test: np.ndarray
    rows: np.ndarray
    fold: np.ndarray
    fold_repeat: np.ndarray
    names: list[str]
    oof: np.ndarray  # (candidates, entries)
    refit: np.ndarray  # (candidates, test rows)
    bag: np.ndarray
    seconds: np.ndarray

    @classmethod
    def read(cls, path: Path) -> Case:
        data = np.load(path)
        return cls(
            path.stem,
            data["y"],
            data["y_test"],
            data["oof_rows"],
            data["oof_fold"],
            data["fold_repeat"],
            [str(name) for name in data["names"]],
            data["oof"].astype(float),
            data["refit"].astype(float),
            data["bag"].astype(float),
            data["seconds"],
        )

    def without(self, families: list[str]) -> Case:
        """Return the table without the candidates of some families."""
        kept = [i for i, n in enumerate(self.names) if family(n) not in families]
        parts = {
            name: getattr(self, name)[kept]
            for name in ("oof", "refit", "bag", "seconds")
        }
        return replace(self, names=[self.names[i] for i in kept], **parts)

    @property
    def set(self) -> str:
        return self.name.split("-")[0]

    @property
    def repeat(self) -> np.ndarray:
        """The repeat (entries,) of each out-of-fold score."""
        return self.fold_repeat[self.fold]

    @cached_property
    def test_scores(self) -> np.ndarray:
        """PR-AUC (candidates,) of each refit on unseen rows."""
        return np.array([self.test_score(p) for p in self.refit])

    def test_score(self, p: np.ndarray) -> float:
        return float(average_precision_score(self.y_test, p))

    @cached_property
    def by_fold(self) -> np.ndarray:
        """PR-AUC (candidates, folds, 1 + draws): as it is, and on bootstrap draws."""
        return np.array([self.scores_by_fold(p) for p in self.oof])

    @cached_property
    def draws(self) -> np.ndarray:
        """How often (draws, rows) each row is drawn, class by class."""
        return np.array(list(Draws.of(self.y, np.arange(len(self.y)), N_DRAWS, 0)))

    def scores_by_fold(self, p: np.ndarray) -> np.ndarray:
        scores = []
        for number in range(len(self.fold_repeat)):
            at = self.fold == number
            rows = self.rows[at]
            weights = np.vstack([np.ones(len(rows), np.uint8), self.draws[:, rows]])
            proba = np.column_stack([1 - p[at], p[at]])
            scores.append(AP.score_many(self.y[rows], proba, weights, pos=1))
        return np.array(scores)

    def mean(self, by_fold: np.ndarray, repeats: tuple[int, ...]) -> np.ndarray:
        """Return the mean over the folds of some repeats: (..., 1 + draws)."""
        chosen = np.isin(self.fold_repeat, repeats)
        return np.nanmean(by_fold[..., chosen, :], axis=-2)

    @cached_property
    def first(self) -> np.ndarray:
        """Scores (candidates, 1 + draws) on the first repeat."""
        return self.mean(self.by_fold, (0,))

    @cached_property
    def both(self) -> np.ndarray:
        """Scores (candidates, 1 + draws) on both repeats."""
        return self.mean(self.by_fold, tuple(np.unique(self.fold_repeat)))

    @cached_property
    def aligned(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Calibrated out-of-fold scores, refits and bags (candidates, ...)."""
        oof, refit, bag = [], [], []
        y, weight = self.y[self.rows], np.ones(len(self.rows))
        folds = FoldIds(self.repeat, self.fold, self.rows)
        draws = Draws.of(y, self.rows, n_draws=1, seed=0)
        for p, r, b in zip(self.oof, self.refit, self.bag, strict=True):
            proba = np.column_stack([1 - p, p])
            found, crossed = fit_calibration(y, proba, weight, folds, 1, draws=draws)
            oof.append(crossed[:, 1])
            refit.append(found(np.column_stack([1 - r, r]))[:, 1])
            bag.append(found(np.column_stack([1 - b, b]))[:, 1])
        return np.array(oof), np.array(refit), np.array(bag)


def family(name: str) -> str:
    return name.split(",", maxsplit=1)[0].split(" C=", maxsplit=1)[0]


def is_plain(name: str) -> bool:
    return not any(w in name for w in ("SMOTE", "weights", "balanced", "focal"))


def best_records(case: Case, scores: np.ndarray, n: int, most: int = 2) -> list[int]:
    """Return the best candidates, at most some of a family."""
    chosen: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        same = sum(family(case.names[j]) == family(case.names[i]) for j in chosen)
        if same < most and len(chosen) < n:
            chosen.append(int(i))
    return chosen


Prior = dict[str, float]


def prior_of(cases: list[Case]) -> Prior:
    """Return each candidate's mean score beyond its table's mean: (first repeat)."""
    rows = [
        pd.Series(case.first[:, 0] - case.first[:, 0].mean(), index=case.names)
        for case in cases
    ]
    return pd.concat(rows, axis=1).mean(axis=1).to_dict()


def shrunken(case: Case, scores: np.ndarray, prior: Prior, tau: float) -> np.ndarray:
    """Return scores drawn to what their candidates reach elsewhere, by their noise."""
    known = np.array([prior.get(name, 0.0) for name in case.names])
    centred = scores - scores.mean(axis=0)
    noise = centred[:, 1:].std(axis=1) ** 2
    trust = tau**2 / (tau**2 + noise)
    return trust * centred[:, 0] + (1 - trust) * known + scores[:, 0].mean()


def ranked(case: Case, prior: Prior, tau: float | None) -> np.ndarray:
    """Return the scores on both repeats, drawn to the prior where `tau` is given."""
    return case.both[:, 0] if tau is None else shrunken(case, case.both, prior, tau)


Rule = Callable[[Case, Prior], np.ndarray]


def cv_winner(case: Case, prior: Prior) -> np.ndarray:
    """The best on one repeat."""
    return case.refit[int(np.argmax(case.first[:, 0]))]


def winner(tau: float | None, *, bag: bool = False) -> Rule:
    """The best on two repeats, refitted or as the mean of its fold models."""

    def rule(case: Case, prior: Prior) -> np.ndarray:
        best = int(np.argmax(ranked(case, prior, tau)))
        return (case.bag if bag else case.refit)[best]

    return rule


def one_se(case: Case, prior: Prior) -> np.ndarray:
    """The quickest within one standard error of the best."""
    scores = case.both
    best = int(np.argmax(scores[:, 0]))
    noise = (scores[best, 1:] - scores[:, 1:]).std(axis=1)
    near = scores[best, 0] - scores[:, 0] <= noise
    return case.refit[min(np.flatnonzero(near), key=lambda i: case.seconds[i, 0])]


def mean_of(n: int, tau: float | None = None, *, bags: bool = False) -> Rule:
    """The equal-weight mean of the best."""

    def rule(case: Case, prior: Prior) -> np.ndarray:
        chosen = best_records(case, ranked(case, prior, tau), n)
        return case.aligned[2 if bags else 1][chosen].mean(axis=0)

    return rule


def everybody(case: Case, prior: Prior) -> np.ndarray:
    """The mean of all candidates."""
    return case.aligned[1].mean(axis=0)


def weighed(n: int, *, bags: bool = False) -> Rule:
    """The mean of the best, each weighed by how far it is behind in units of noise."""

    def rule(case: Case, prior: Prior) -> np.ndarray:
        chosen = best_records(case, case.both[:, 0], n)
        behind = case.both[chosen] - case.both[chosen[0]]
        weights = member_weights(behind[:, 0], float(behind[1:, 1:].std(axis=1).mean()))
        return weights @ case.aligned[2 if bags else 1][chosen] / weights.sum()

    return rule


def elected(n: int, clearly: float) -> Rule:
    """That mean, or the best alone if the mean is clearly worse out of fold."""

    def rule(case: Case, prior: Prior) -> np.ndarray:
        chosen = best_records(case, case.both[:, 0], n)
        behind = case.both[chosen] - case.both[chosen[0]]
        weights = member_weights(behind[:, 0], float(behind[1:, 1:].std(axis=1).mean()))
        together = weights @ case.aligned[0][chosen] / weights.sum()
        repeats = tuple(np.unique(case.fold_repeat))
        ahead = case.mean(case.scores_by_fold(together), repeats) - case.both[chosen[0]]
        least = -clearly * ahead[1:].std() if is_few(case) else 0.0
        if ahead[0] < least:
            return case.refit[chosen[0]]
        return weights @ case.aligned[1][chosen] / weights.sum()

    return rule


def is_few(case: Case) -> bool:
    """Whether there are too few positives to tell candidates apart."""
    return bool(case.y.sum() < FEW_POSITIVES)


def greedy(n_rounds: int = 20) -> Rule:
    """Members with replacement, each the one that gains most (Caruana et al. 2004)."""

    def rule(case: Case, prior: Prior) -> np.ndarray:
        aligned = case.aligned[0]
        members: list[int] = []
        total = np.zeros(aligned.shape[1])
        for _ in range(n_rounds):
            members.append(int(np.argmax([_mean_ap(case, total + p) for p in aligned])))
            total = total + aligned[members[-1]]
        return case.aligned[1][members].mean(axis=0)

    return rule


def _mean_ap(case: Case, p: np.ndarray) -> float:
    """Return the mean over folds of the PR-AUC; ties in any order."""
    scores = []
    for number in range(len(case.fold_repeat)):
        at = case.fold == number
        y = case.y[case.rows[at]][np.argsort(-p[at], kind="stable")]
        hits = y.cumsum()
        scores.append((hits / np.arange(1, len(y) + 1) * y).sum() / hits[-1])
    return float(np.mean(scores))


TAU = 0.03
RULES: dict[str, Rule] = {
    "best by cross-validation, one repeat": cv_winner,
    "best on two repeats": winner(None),
    "quickest within one SE of the best": one_se,
    "best after shrinking to what is known elsewhere": winner(TAU),
    "best, as a bag of its fold models": winner(None, bag=True),
    "mean of 3": mean_of(3),
    "mean of 5": mean_of(5),
    "mean of 5 after shrinking": mean_of(5, TAU),
    "mean of 12": mean_of(12),
    "mean of 12, fold models": mean_of(12, bags=True),
    "mean of all 32": everybody,
    "greedy weights": greedy(),
    "weighed by distance, up to 8": weighed(8),
    "weighed by distance, up to 12": weighed(MAX_MEMBERS),
    "the same, unless one SE behind the best": elected(MAX_MEMBERS, CLEARLY / 2),
    "the same, unless two SE behind the best (shipped)": elected(MAX_MEMBERS, CLEARLY),
    "weighed by distance, up to 12, fold models": weighed(MAX_MEMBERS, bags=True),
    "weighed by distance, up to 16": weighed(16),
}


def evaluate(cases: list[Case], rules: dict[str, Rule] | None = None) -> pd.DataFrame:
    """Return PR-AUC on unseen rows: one row a table, one column a rule."""
    rows = {}
    for case in cases:
        prior = prior_of([c for c in cases if c.set != case.set])
        scores = {
            n: case.test_score(r(case, prior)) for n, r in (rules or RULES).items()
        }
        rows[case.name] = {"best in hindsight": case.test_scores.max(), **scores}
    return pd.DataFrame(rows).T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--csv", type=Path, help="where to write all scores")
    args = parser.parse_args()
    cases = [Case.read(path) for path in sorted(args.folder.glob("*.npz"))]
    if args.csv:
        scores_of_all(cases).to_csv(args.csv, index=False)
    scores = evaluate(cases)
    regret = scores.iloc[:, [0]].to_numpy() - scores
    is_large = scores.index.str.endswith("-whole")
    for title, chosen in (("20 to 60 positives", ~is_large), ("more", is_large)):
        if not chosen.any():
            continue
        print(f"\n{title}: {table_of(scores[chosen], regret[chosen])}")


def scores_of_all(cases: list[Case]) -> pd.DataFrame:
    """Return one row a table and candidate: scores out of fold, unseen, seconds."""
    rows = [
        {
            "table": case.name,
            "rows": len(case.y),
            "positives": int(case.y.sum()),
            "candidate": name,
            "cross_validated": round(case.both[i, 0], 4),
            "unseen": round(case.test_scores[i], 4),
            "fit_seconds": round(case.seconds[i, 0], 3),
        }
        for case in cases
        for i, name in enumerate(case.names)
    ]
    return pd.DataFrame(rows)


def table_of(scores: pd.DataFrame, regret: pd.DataFrame) -> str:
    """Return the Markdown table; all tables of a set count as one for the SE."""
    by_set = regret.groupby([name.split("-")[0] for name in regret.index]).mean()
    lines = [
        f"{len(scores)} tables of {len(by_set)} sets\n",
        "| rule | PR-AUC | regret | SE over sets | worst |\n|:--|--:|--:|--:|--:|",
    ]
    for rule in scores:
        se = by_set[rule].std(ddof=1) / len(by_set) ** 0.5
        lines.append(
            f"| {rule} | {scores[rule].mean():.4f} | {regret[rule].mean():.4f} "
            f"| {se:.4f} | {regret[rule].max():.4f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
