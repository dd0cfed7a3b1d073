"""The fitted winner as code that needs no autoimb.

====================  ==================================================================
``code_layout``       code as a tree of brackets, broken into lines
``script_names``      what a script imports, and what it copies
``script_functions``  functions that only scripts need; scripts hold copies of them
``value_code``        values as the code that makes them
``fit_code``          the code that makes an estimator and fits it
``script``            the script that fits and predicts as the winner does
====================  ==================================================================
"""

from autoimb._export.fit_code import fit_code
from autoimb._export.script import prediction_script

__all__ = ["fit_code", "prediction_script"]
