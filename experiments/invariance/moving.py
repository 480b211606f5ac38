"""What moving the test images does: along a line, over a grid, and how far it takes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnnlab.diagnostics import shifts
from cnnlab.statistics import mean_interval
from experiments.comparing import shift_measures
from experiments.comparing.measure import Measure, interval
from experiments.comparing.shift_measures import MOTIONS

_CURVES = "accuracy", "agreement"


def curves(reach: int, examples: int) -> Measure:
    """Accuracy, and agreement with the unmoved image, as images move to the right.

    Joins the arm's row as `curves`, one for each way to move.

    Args:
        reach: how far, to either side, in pixels.
        examples: test images that are moved, the first.
    """

    def spec(motion: str) -> str:
        return f"shift({motion}, 0..0 x {-reach}..{reach}, all pairs, per image)"

    def of_net(predict, dataset) -> dict[str, Any]:
        labels = dataset.test.labels[:examples]
        found = {"curve_examples": len(labels)}
        for motion in MOTIONS:
            images = dataset.test.images[:examples]
            line = shifts.grid(predict, images, spec(motion), labels)
            for name in _CURVES:
                found[f"{motion}_{name}_along"] = getattr(line, name)[0].tolist()
            found[f"{motion}_curve_spec"] = line.spec
        return found

    def of_arm(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        rows = [
            {
                "motion": motion,
                "spec": seeds[0][f"{motion}_curve_spec"],
                "examples": seeds[0]["curve_examples"],
                "shifts": list(range(-reach, reach + 1)),
                **{
                    name: _each([seed[f"{motion}_{name}_along"] for seed in seeds])
                    for name in _CURVES
                },
            }
            for motion in MOTIONS
        ]
        return {"curves": rows}

    return Measure("curves", of_net, of_arm)


def grids(reach: int, examples: int) -> Measure:
    """What `shift_measures.consistency` gives, and flip radii, of the same grids.

    A seed's record gets the mean `<motion>_flip_radius` over images: the larger of the
    two displacements that first changes the class, in pixels. An image that keeps its
    class over the whole grid counts as `reach` + 1.
    """
    names = [f"{motion}_flip_radius" for motion in MOTIONS]

    def of_net(predict, dataset) -> dict[str, Any]:
        images = dataset.test.images[:examples]
        found: dict[str, Any] = {"consistency_examples": len(images)}
        for motion, radius in zip(MOTIONS, names, strict=True):
            grid = shifts.grid(
                predict,
                images,
                shift_measures.spec(motion, reach),
                dataset.test.labels[:examples],
            )
            found |= shift_measures.of_grid(motion, grid)
            found[radius] = float(np.minimum(grid.flip_radius(), reach + 1).mean())
        return found

    def of_arm(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        same = shift_measures.consistency(reach, examples).of_arm(seeds)
        radii = {name: interval([seed[name] for seed in seeds]) for name in names}
        return {**same, **radii, "flip_radius_bound": reach + 1}

    return Measure("grids", of_net, of_arm)


def _each(by_seed: Sequence[Sequence[float]]) -> dict[str, list[float | None]]:
    """Means and ends of the intervals over seeds, shift by shift."""
    rows = [mean_interval(values) for values in np.transpose(by_seed)]
    return {end: [getattr(row, end) for row in rows] for end in ("mean", "low", "high")}
