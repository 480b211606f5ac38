"""A backbone under a new head, beside the same net from scratch."""
