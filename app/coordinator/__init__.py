"""The coordinator: work for a thousand agents, never given twice."""
