"""One training run: its loop, directory, evaluations and progress."""
