"""The figures of the report, with what stands below them."""

from collections.abc import Mapping, Sequence

from cnnlab.reporting import (
    budget_bars,
    contrasts,
    flip_radii,
    moved_curves,
    sampling_bars,
    tomography_bars,
)
from cnnlab.reporting.report import Drawing


def drawings(results: Mapping, contrasted: Sequence[Mapping]) -> dict[str, Drawing]:
    """The figures of what was measured, by file name, in the report's order."""
    found = {}
    if contrasted:
        found["contrasts"] = Drawing(
            contrasts.contrast_plot(contrasted), contrasts.caption(contrasted)
        )
    for motion in ("zero", "circular"):
        found[f"curves_{motion}"] = Drawing(
            moved_curves.moved_curves(results, motion),
            moved_curves.caption(results, motion),
        )
    found["flip_radii"] = Drawing(
        flip_radii.flip_radii(results), flip_radii.caption(results)
    )
    if "budget" in results["arms"][0]:
        found["budget"] = Drawing(
            budget_bars.budget_bars(results), budget_bars.caption(results)
        )
    for ending, arms in _by_model(results):
        if sampled := sampling_bars.sampled([arm for _, arm in arms]):
            found[f"sampling{ending}"] = Drawing(
                sampling_bars.sampling_bars(sampled), sampling_bars.caption(sampled)
            )
    if "tomography" in results["arms"][0]:
        found |= _tomographies(results)
    return found


def _by_model(results: Mapping) -> list[tuple[str, list[tuple[int, Mapping]]]]:
    """The arms of each model, whose layers are not another's, each after its place; and
    the end of their figures' names."""
    by_model: dict[str, list[tuple[int, Mapping]]] = {}
    for place, arm in enumerate(results["arms"]):
        by_model.setdefault(arm["model"], []).append((place, arm))
    several = len(by_model) > 1
    return [
        (f"_{number}" if several else "", arms)
        for number, arms in enumerate(by_model.values())
    ]


def _tomographies(results: Mapping) -> dict[str, Drawing]:
    """A figure for each model and transformation."""
    found = {}
    for ending, arms in _by_model(results):
        names, model = [arm["name"] for _, arm in arms], arms[0][1]["model"]
        for transformation in arms[0][1]["tomography"]["layers"]:
            found[f"tomography_{transformation}{ending}"] = Drawing(
                tomography_bars.tomography_bars(arms, names, transformation),
                tomography_bars.caption(arms[0][1], transformation, model),
            )
    return found
