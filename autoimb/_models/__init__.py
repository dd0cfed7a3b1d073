"""Estimators of our own: a PyTorch net, its losses, and class-weighted XGBoost."""
