"""Saved models.

===================  =================================================================
``allowed_classes``  the classes that a saved model may hold
``audit``            the check of a file before anything in it is made
``saved_model``      `save` and `load`
===================  =================================================================
"""
