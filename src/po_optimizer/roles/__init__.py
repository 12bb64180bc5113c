"""What a role is made of: its program, its metric and its record type."""
