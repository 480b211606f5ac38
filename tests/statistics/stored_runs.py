"""Small made-up runs: a results.json, and the predictions beside it."""

import json

import numpy as np

from cnnlab.run_layout import arm_directory

CLASSES = 10


def predictions_of(hits, labels, fingerprint="f" * 64):
    """Predictions, seed by seed, that are right exactly where `hits` says."""
    stored = {}
    for seed, right in enumerate(hits):
        predicted = np.where(right, labels, (labels + 1) % CLASSES)
        stored[seed] = {
            "logits": np.eye(CLASSES, dtype=np.float32)[predicted],
            "labels": labels.copy(),
            "index": np.arange(len(labels)),
            "dataset_fingerprint": fingerprint,
        }
    return stored


def run_of(hits, labels, **more):
    """Results and predictions of arms with these hits, (seeds, examples) each.

    Args:
        more: by name, values of each arm that are put into its row; lists of a value
            a seed are put into the seeds.
    """
    arms = []
    for place, (name, rows) in enumerate(hits.items()):
        seeds = [
            {"seed": seed, "test_accuracy": float(right.mean())}
            for seed, right in enumerate(rows)
        ]
        arm = {"name": name, "spec": name, "seeds": seeds}
        for key, values in more.items():
            if isinstance(values[place], list):
                for seed, value in zip(seeds, values[place], strict=True):
                    seed[key] = value
            else:
                arm[key] = values[place]
        arms.append(arm)
    stored = {name: predictions_of(rows, labels) for name, rows in hits.items()}
    return {"arms": arms}, stored


def drawn_hits(names, seeds, examples, accuracy=0.9, seed=0):
    """Hits that are drawn independently, and labels."""
    generator = np.random.default_rng(seed)
    hits = {name: generator.random((seeds, examples)) < accuracy for name in names}
    return hits, generator.integers(CLASSES, size=examples)


def write(workdir, results, predictions):
    """Leaves both as a finished run does."""
    (workdir / "results.json").write_text(json.dumps(results))
    for arm, seeds in predictions.items():
        folder = workdir / "predictions" / arm_directory(arm)
        folder.mkdir(parents=True)
        for seed, arrays in seeds.items():
            np.savez(folder / f"seed{seed}.npz", **arrays)
