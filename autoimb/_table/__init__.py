"""How a table is read, described, split and encoded.

=====================  =================================================================
``readers``            the values of a column, each read by itself
``sparse_rows``        sparse matrices as rows, their columns and hashes
``text_kinds``         what a column of text holds
``columns``            any table read into one canonical form
``set_aside``          classes of one row, which the search works without
``copies``             identical rows that chance does not explain
``table``              checked training data
``known_table``        whether a table is that of a fit, or has its columns
``minority_types``     safe, borderline, rare and outlier rows of the minority class
``column_checks``      leaks, identifiers and gaps in single columns
``profile``            `DatasetProfile`: what a data set is like
``time_ordered``       `TimeOrdered`: folds in order of time
``folds``              cross-validation folds
``encoding``           canonical rows to numbers, fitted inside a fold
``few_rows_encoding``  the numbers of few rows, without checks
``weighted_fit``       row and class weights for models of any kind
``weighted_encoding``  encoders that are fitted with row weights
=====================  =================================================================
"""
