"""Where tasks run, and what limits them.

====================  ==================================================================
``deadline``          time budgets and deadlines
``ctrl_c``            Ctrl-C, which loses no result of a search
``files``             files written as a whole; harmless CSV
``resources``         processors, memory, disk space, graphics card
``process_settings``  settings of the process, put back when all fits are done
``shared_data``       data that all tasks of an executor read
``executors``         worker processes; what happens when one dies
``task_process``      a process of a cluster's worker, which runs one task at a time
``cluster_worker``    what a cluster's worker does with tasks and shared data
``cluster``           a cluster as an executor; what it loses runs again
``dask_cluster``      a Dask cluster
``ray_cluster``       a Ray cluster
``users_executor``    executors of the user's own, watched
``opening``           the executor of a fit: the user's, a cluster, or a new one
====================  ==================================================================
"""
