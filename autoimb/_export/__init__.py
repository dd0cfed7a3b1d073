"""The fitted winner as code that needs no autoimb.

`layout` breaks code into lines, `names` keeps what a script imports or holds itself,
`source` writes values, `parts` is what scripts hold, and `script` puts one together;
`made` writes an estimator's own settings.
"""

from autoimb._export.made import code_of
from autoimb._export.script import script_of

__all__ = ["code_of", "script_of"]
