"""What moving the test images does to a net: accuracy along a line, maps of a grid."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnlab.diagnostics import shifts
from experiments.comparing.measure import Measure, interval, intervals

MOTIONS = "circular", "zero"
"""The ways to move: what leaves comes back, or zeros come in."""

_NUMBERS = "consistency", "consistency_among_correct", "consistency_beyond_accuracy"


def spec(motion: str, reach: int) -> str:
    """The protocol of the consistencies, for `shifts.measure`."""
    return f"shift({motion}, {-reach}..{reach}, all pairs, per image)"


def of_grid(motion: str, grid: shifts.Grid) -> dict[str, Any]:
    """What a seed's record gets of one motion's grid."""
    measured = grid.consistency
    values = measured.overall, measured.among_correct, measured.beyond_accuracy
    found: dict[str, Any] = {
        f"{motion}_{name}": value and value.mean
        for name, value in zip(_NUMBERS, values, strict=True)
    }
    return {
        **found,
        f"{motion}_agreement": grid.agreement.tolist(),
        f"{motion}_grid_spec": grid.spec,
    }


def accuracy_along(offsets: Sequence[int], examples: int) -> Measure:
    """The accuracy of the first test images moved to the right, zeros shifted in.

    Joins the arm's row as `shift_accuracy`.
    """

    def of_net(predict, dataset) -> dict[str, Any]:
        found = shifts.accuracy_under_shifts(
            predict,
            dataset.test.images[:examples],
            dataset.test.labels[:examples],
            [(0, offset) for offset in offsets],
        )
        return {
            "shift_accuracy": found.accuracy.tolist(),
            "shift_spec": found.spec,
            "shift_examples": min(examples, len(dataset.test.labels)),
        }

    def of_arm(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        by_shift = np.transpose([seed["shift_accuracy"] for seed in seeds]).tolist()
        rows = [interval(values) for values in by_shift]
        bounded = rows[0]["low"] is not None
        return {
            "shift_accuracy": {
                "shifts": list(offsets),
                "axis": "horizontal",
                "spec": seeds[0]["shift_spec"],
                "examples": seeds[0]["shift_examples"],
                "mean": [row["mean"] for row in rows],
                "low": [row["low"] for row in rows] if bounded else None,
                "high": [row["high"] for row in rows] if bounded else None,
            }
        }

    return Measure("shift_accuracy", of_net, of_arm)


def consistency(reach: int, examples: int, motions: Sequence[str] = MOTIONS) -> Measure:
    """How the class holds over all shifts of at most `reach` pixels each way.

    For each motion a seed's record gets `<motion>_consistency`, that
    `_among_correct`, what is of it `_beyond_accuracy`, and the `<motion>_agreement` of
    each shift with the unmoved image, which `<motion>_grid_spec` gives again; the arm's
    row gets `shift_maps`.

    Args:
        examples: test images that are moved, the first.
    """

    def of_net(predict, dataset) -> dict[str, Any]:
        images = dataset.test.images[:examples]
        found = {"consistency_examples": len(images)}
        for motion in motions:
            grid = shifts.grid(
                predict, images, spec(motion, reach), dataset.test.labels[:examples]
            )
            found |= of_grid(motion, grid)
        return found

    def of_arm(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        names = [f"{motion}_{name}" for motion in motions for name in _NUMBERS]
        numbers = intervals([{name: seed[name] for name in names} for seed in seeds])
        maps = [
            {
                "motion": motion,
                "spec": spec(motion, reach),
                "grid_spec": seeds[0][f"{motion}_grid_spec"],
                "examples": seeds[0]["consistency_examples"],
                "offsets": list(range(-reach, reach + 1)),
                "agreement": np.mean(
                    [seed[f"{motion}_agreement"] for seed in seeds], axis=0
                ).tolist(),
            }
            for motion in motions
        ]
        return {**numbers, "shift_maps": maps}

    return Measure("consistency", of_net, of_arm)
