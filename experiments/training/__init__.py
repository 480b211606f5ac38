"""The seeds of one net: planned, trained, scored."""
