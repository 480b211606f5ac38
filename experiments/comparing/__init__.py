"""Arms of a comparison: planned, trained, scored, summed up."""
