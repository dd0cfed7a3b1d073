"""After deployment: whether a model still holds on new rows.

===============  =====================================================================
``reference``    what is kept of the training table: counts by column and class
``drift``        whether counts are those of a mixture of the classes
``label_shift``  the shares of the classes among rows without labels
``data``         everything that the report shows
``columns``      which columns changed, and how
``labelled``     what labels say, against what was promised
``sentences``    the findings, and what to do
``render``       the report in three formats; `MonitorReport`
``build``        `monitor`: the report of new rows
===============  =====================================================================
"""
