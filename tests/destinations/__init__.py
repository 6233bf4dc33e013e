"""Destinations other than DuckDB files and PostgreSQL, each a store that the same tests sync into."""
