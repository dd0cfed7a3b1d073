"""From the selection to a model that predicts.

=====================  =================================================================
``fitted_model``       `FittedModel`: fitted members, and the rule for labels
``calibrate``          calibrated out-of-fold scores, of a candidate or an ensemble
``decision``           `Decision`: the threshold and class shares; how another is chosen
``final_fit``          members fitted on all rows, or their fold models, or substitutes
``finish``             final fit, calibration and threshold in one call
``refit_on_new_rows``  the same strategies fitted on other rows, without a search
=====================  =================================================================
"""
