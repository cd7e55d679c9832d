"""Figures, tables and claims from the committed tables. Run a file as a script: `python analysis/NAME.py`."""
