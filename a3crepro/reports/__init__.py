"""Reports on runs, as web pages."""
