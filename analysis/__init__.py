"""From committed tables to figures, tables and claims. Run a file as a script: `python analysis/NAME.py`."""
