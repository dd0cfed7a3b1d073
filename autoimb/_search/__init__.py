"""How the budget is spent.

===================  ===================================================================
``trials``           `TrialRecord`: what became of a candidate; the leaderboard
``racing``           when a candidate is dropped before all its folds have run
``running_trial``    a trial that is not finished
``time_estimate``    how long a candidate will take
``fidelity``         on how many training rows a candidate is fitted
``memory_estimate``  how much memory a candidate will take
``fingerprint``      what a stored search depends on
``trial_files``      finished trials on disk
``study``            the search as an Optuna study
``study_lock``       one search at a time on a stored study
``progress``         the live display and scikit-learn's callbacks
``search``           the ask-and-tell loop
===================  ===================================================================
"""
