"""The experiments of the paper: which runs each consists of. Run a file as a script: `python sweeps/NAME.py`."""
