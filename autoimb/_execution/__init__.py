"""Where tasks run, and what limits them.

====================  ==================================================================
``deadline``          time budgets and deadlines
``ctrl_c``            Ctrl-C, which loses no result of a search
``files``             files written as a whole; harmless CSV
``resources``         processors, memory, disk space, graphics card
``process_settings``  settings of the process, put back when all fits are done
``executors``         worker processes; what happens when one dies
``users_executor``    executors of the user's own, watched
``shared_data``       data that all tasks of an executor read
====================  ==================================================================
"""
