import numpy as np
import pytest
import stored_nets
import stored_runs

from cnnlab import data
from cnnlab.statistics import compare

COMPARISONS, SEEDS = 20, 5


@pytest.mark.slow
def test_arms_that_do_not_differ_are_seldom_told_apart():
    """Twenty comparisons of nets trained here; no two have a net in common."""
    glyphs = data.load("glyphs", train_examples=96, test_examples=200)
    trainer = stored_nets.Trainer(glyphs, epochs=3, batch_size=32)
    labels = glyphs.test.labels
    resolved, accuracies = 0, []
    for comparison in range(COMPARISONS):
        seeds = SEEDS * comparison + np.arange(SEEDS)
        hits = {
            name: np.stack([trainer.hits(seed, 2 * seed + order) for seed in seeds])
            for order, name in enumerate("ab")
        }
        (row,) = compare(*stored_runs.run_of(hits, labels), draws=400)
        resolved += row["verdict"] == "resolved"
        accuracies += [rows.mean(1) for rows in hits.values()]
    assert resolved <= 3
    # Nets that learned nothing, or all the same, would prove nothing.
    assert np.mean(accuracies) > 0.15
    assert np.std(accuracies) > 0.005
