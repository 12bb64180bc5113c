"""The Product Owner: its documents, its program and its metric."""
