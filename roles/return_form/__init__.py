"""A role that a small LM can learn: a return form out of a message."""
