"""Definitions of the experiments: the runs of each. Run one as a script: `python sweeps/NAME.py`."""
