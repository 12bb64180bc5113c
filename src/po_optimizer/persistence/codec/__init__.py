"""Values, types, modules and programs as tagged JSON, and back."""
