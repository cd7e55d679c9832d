"""Makes the source of the documentation site from the repository: pages, tables, figures, agents and code."""
