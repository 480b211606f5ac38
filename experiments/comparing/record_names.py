"""What is kept of a comparison's nets, each record under a name of its own."""

from experiments.training.job import Job


def of_training(job: Job, seed: int) -> str:
    """What came of training a seed at the job's rate."""
    return f"{job.arm}-rate{float(job.recipe.learning_rate)!r}-seed{seed}"


def of_scores(arm: str, seed: int) -> str:
    """What a seed's net, at the rate that was taken, scores on the test set."""
    return f"{arm}-seed{seed}-scores"


def of_measure(arm: str, seed: int, measure: str) -> str:
    """What else was asked of that net."""
    return f"{arm}-seed{seed}-{measure}"
