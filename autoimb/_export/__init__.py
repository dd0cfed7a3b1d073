"""The fitted winner as code that needs no autoimb.

`layout` breaks code into lines, `names` keeps what a script imports or holds itself,
`source` writes values, `parts` is what scripts hold, and `script` puts one together.
"""

from autoimb._export.script import script_of

__all__ = ["script_of"]
