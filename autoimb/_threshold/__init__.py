"""From probabilities to labels.

How is the threshold chosen? `rules.resolve_threshold` reads what the user wants: a
fixed rule, or an objective to maximise. `search.tune_threshold` finds the rule for an
objective on out-of-fold probabilities. Each row contributes its shares of the classes
and a weight (`evidence`): its label, mixed with its probabilities if the rarest class
has fewer than 100 rows. Every distinct cut then has a weighted confusion matrix, the
objective gives each matrix a utility, and the cut with the highest one is taken. With
more than two classes, one weight for each class is searched in the same way. Bootstrap
draws of the rows show how far the cut could move, and how it does on other rows. If the
class distribution is expected to change (`prior_shift`), probabilities and evidence are
corrected first.

====================  ==================================================================
``objectives``        what a threshold may maximise
``prior_shift``       other class shares than those of the training table
``evidence``          what each row contributes to the choice of a threshold
``independent_rows``  how many independent rows stand behind a precision or recall
``rules``             cuts, class weights and argmax; the user's spelling of them
``search``            the exact search for the best rule
====================  ==================================================================
"""
