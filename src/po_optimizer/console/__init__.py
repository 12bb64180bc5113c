"""What a person sees: the live display, the summary of a run, errors as sentences."""
