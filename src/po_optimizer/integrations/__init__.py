"""Other tools that users have already; nothing in the core imports what is here.

Each adapter is off until it is named: by a command, a parameter, or an import.
"""
