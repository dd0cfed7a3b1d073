"""Scores, their standard errors, and calibration.

==================  ====================================================================
``confusion``       confusion matrices, and metrics that are formulas on them
``expected_score``  scores to expect on more rows, without the bias of few
``metrics``         metrics of scores and of labels
``scorers``         metrics by name, and those that scikit-learn's scorers compute
``bootstrap``       draws of rows; the standard errors and intervals that they give
``fold_ids``        where rows were held out, for what is cross-fitted on their scores
``calibration``     strictly increasing maps from scores to probabilities
==================  ====================================================================
"""
