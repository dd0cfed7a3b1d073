"""What is tried, and why.

================  ======================================================================
``strategy``      `Strategy`: a family, a loss, a resampler and a class weight
``flowchart``     the decision flowchart and its recommendation
``search_space``  the strategies that fit this data and this user
================  ======================================================================
"""
