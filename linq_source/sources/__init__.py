"""Where dlt looks for sources by their names."""
