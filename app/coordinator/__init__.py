"""The coordinator: work for a thousand agents, never given twice."""

__version__ = "0.1.0"
