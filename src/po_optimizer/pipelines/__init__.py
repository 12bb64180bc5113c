"""The five stages; each wires library functions, they meet in the catalog."""
