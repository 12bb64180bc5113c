"""Records out of what a program did in use, as other tools recorded it."""
