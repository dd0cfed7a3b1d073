"""Losses: what a model minimises.

Each names its form for neural nets ("torch") and for XGBoost ("xgboost"), if it has
one. The weight of the rare class, alpha in the papers, is the axis of class weights.
"""

from __future__ import annotations

from autoimb._catalogue.entry import Float, Loss

LOSSES = (
    Loss(
        name="log_loss",
        label="log loss",
        make={"torch": "log_loss", "xgboost": "log_loss"},
    ),
    Loss(
        name="focal",
        label="focal loss",
        make={"torch": "focal", "xgboost": "focal"},
        params={"gamma": Float(0.25, 4.0, default=1.0)},
        reference="Lin et al. 2017, arXiv:1708.02002",
    ),
    Loss(
        name="label_smoothing",
        label="label smoothing",
        make={"torch": "label_smoothing"},
        params={"epsilon": Float(0.005, 0.2, default=0.05, log=True)},
        reference="Szegedy et al. 2016, arXiv:1512.00567",
    ),
    Loss(
        name="logit_adjusted",
        label="logit-adjusted loss",
        make={"torch": "logit_adjusted"},
        params={"tau": Float(0.25, 1.5, default=1.0)},
        allows_class_weight=False,
        auto=False,
        reference="Menon et al. 2021, arXiv:2007.07314",
    ),
    Loss(
        name="asymmetric",
        label="asymmetric loss",
        make={"torch": "asymmetric", "xgboost": "asymmetric"},
        params={
            "gamma_pos": Float(0.0, 1.0, default=0.0),
            "gamma_neg": Float(0.5, 4.0, default=2.0),
            "margin": Float(0.0, 0.1, default=0.02),
        },
        allows_class_weight=False,
        auto=False,
        reference="Ridnik et al. 2021, arXiv:2009.14119",
    ),
)
