"""LMs: a metered dspy.LM from a configuration, its ledger, cache and server."""
