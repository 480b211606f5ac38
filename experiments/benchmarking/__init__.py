"""What `experiments.benchmark` times, and how."""
