"""Pages: figures, the report, the prompt before and after, the examples shown."""
