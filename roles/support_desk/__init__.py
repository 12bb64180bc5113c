"""A second role: a support desk's triage."""
