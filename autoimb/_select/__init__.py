"""Which candidates win, and what to expect of them on new data.

=================  =====================================================================
``predict_limit``  what one row may take, and which candidates keep to it
``ensemble``       the members of an ensemble, their weights, the score of their mean
``selection``      `Selection`: the winner, what predicts, and what can replace it
``finalists``      the best candidates, scored again on further repeats of the folds
``time_reserve``   seconds that are kept for the steps after the search
``select``         the winner: the best finalist, alone or with others in an ensemble
``honest_score``   the honest estimate: the score corrected for having chosen the best
``last_block``     the same where folds are in order of time: the last block of rows
``fallback``       what is fitted if no candidate finished
=================  =====================================================================
"""
