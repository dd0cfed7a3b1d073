"""Estimators and resamplers of our own.

====================  ==================================================================
``loss_lookup``       losses by name, and their logits as probabilities
``gradients``         losses for boosted trees, as first and second derivatives
``boosting``          XGBoost with class weights and losses for rare classes
``batches``           which rows a mini-batch holds
``losses``            losses for nets, as PyTorch functions of logits
``training``          how a net is trained
``classifier``        the common base of the nets as scikit-learn classifiers
``layers``            the residual net's forward pass, for NumPy and for PyTorch
``net_module``        the residual net as a PyTorch module
``net``               the residual net as a classifier
``tabm_module``       TabM as a PyTorch module
``tabm``              TabM as a classifier
``ensembles``         ensembles of models on under-sampled rows
``vote``              a soft vote of different models
``neighbours``        nearest neighbours, the same for one row and for many
``catboost_model``    CatBoost with class weights by class code
``samplers``          imbalanced-learn's resamplers for categories and gaps
``time_limited_fit``  fits with a time limit
``staged_proba``      probabilities after fewer boosting rounds
====================  ==================================================================
"""
