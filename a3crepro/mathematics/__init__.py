"""Returns, losses and exploration, as pure functions."""
