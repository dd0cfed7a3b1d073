"""How a candidate is fitted and scored.

==================  ====================================================================
``problem``         what every evaluation of one fit shares
``row_sample``      which training rows a candidate is fitted on
``training_rows``   the rows of a fold or of the table that it is fitted on
``encoding_cache``  rows of a fold, encoded once
``few_rows``        probabilities of few rows by one thread
``fit_predict``     fit the steps of a pipeline; score rows with it
``kept_models``     fitted fold models on disk
``out_of_fold``     `FoldResult` and `OutOfFold`
``fold_models``     the kept models of a candidate's folds, loaded to predict
``evaluate``        one strategy on one fold
``reference``       the same fold by the pipeline alone, for tests of entries
``refit``           one strategy on all rows
``scoring``         out-of-fold scores to a score and its standard error
``context``         problem, scoring and executor of all evaluations
==================  ====================================================================
"""
