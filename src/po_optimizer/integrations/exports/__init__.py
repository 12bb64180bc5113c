"""The prompts of a stored program for use without DSPy, proven to be the same."""
