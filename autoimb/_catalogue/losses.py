"""Losses: what a model minimises. A family names the ones it can take."""

from __future__ import annotations

from autoimb._catalogue.entry import Float, Loss, by_name

LOSSES = by_name(
    Loss(name="log_loss", label="log loss", make=None),
    Loss(
        name="focal",
        label="focal loss",
        make="focal",
        params={"gamma": Float(0.5, 4.0, default=2.0)},
        reference="Lin et al. 2017, arXiv:1708.02002",
    ),
)
