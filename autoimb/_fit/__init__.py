"""From the selection to a model that predicts.

=======================  ===============================================================
``fitted_model``         `FittedModel`: fitted members, and the rule for labels
``calibrate``            calibrated out-of-fold scores, of a candidate or an ensemble
``decision``             `Decision`: threshold, class shares, and how others are chosen
``prediction_sets``      sets of classes with a guarantee for each class
``final_fit``            members fitted on all rows, their fold models, or substitutes
``finish``               final fit, calibration and threshold in one call
``refit_on_new_rows``    the same strategies fitted on other rows, without a search
``replace_fold_models``  fold models replaced by fits on all rows
=======================  ===============================================================
"""
