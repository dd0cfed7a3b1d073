"""Saved models.

===================  =================================================================
``allowed_classes``  the classes that a saved model may hold
``audit``            the check of a file before anything in it is made
``packing``          trees and curves of a model as a few long arrays
``saved_model``      `save` and `load`
===================  =================================================================
"""
