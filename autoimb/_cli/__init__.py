"""The command line: demo · fit · predict · profile · report · monitor · catalogue.

================  =======================================================
``table_files``   CSV and Parquet files as tables
``console``       what is printed, whatever the console can print
``options``       the words of the command line, and what they stand for
``model_tables``  columns and labels of a file, as a model takes them
``results``       what a fit writes and prints
``commands``      what each command does
``run``           `main`: parser, warnings, errors and exit status
================  =======================================================
"""

from autoimb._cli.run import main

__all__ = ["main"]
