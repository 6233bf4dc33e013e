"""The source by the name `linq`, as `dlt.source` references and dlt's command line resolve it."""

from linq_source.source import linq_source as linq

__all__ = ["linq"]
