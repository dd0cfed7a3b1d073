"""Which settings of the families are tried first, and in which order.

Learned from out-of-fold and unseen scores of 32 candidates on tables that were cut from
real ones (benchmarks/portfolio.py, benchmarks/RESULTS.md). The criterion is what a
candidate adds to the ensemble of those before it: models whose errors differ, such as
nearest neighbours and the support vector machine on small tables, come before better
ones with the same errors. Among equals the quicker comes first.
"""

from __future__ import annotations

ORDER: tuple[tuple[str, int], ...] = (
    ("logistic_regression", 0),
    ("xgboost", 0),
    ("lightgbm", 0),
    ("extra_trees", 0),
    ("svm", 0),
    ("k_neighbours", 0),
    ("catboost", 0),
    ("random_forest", 0),
    ("tabm", 0),
    ("hist_gradient_boosting", 0),
    ("extra_trees", 1),
    ("random_forest", 1),
    ("logistic_regression", 1),
    ("xgboost", 1),
    ("self_paced_ensemble", 0),
    ("logistic_regression", 2),
    ("soft_vote", 0),
)
"""Pairs of a family and a position in its `portfolio`. Settings that are not listed
come after these, a family's first settings before its others, cheap families first."""
