"""Numbers: predictions with coverage, statistics in pairs, the report, promotion."""
