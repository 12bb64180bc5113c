"""Programs of many shapes, as people write them, through the whole of a run."""
