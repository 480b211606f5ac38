"""The figures of the report, with what stands below them."""

from collections.abc import Mapping, Sequence

from cnnlab.reporting import (
    budget_bars,
    contrasts,
    flip_radii,
    moved_curves,
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
    if "tomography" in results["arms"][0]:
        found |= _tomographies(results)
    return found


def _tomographies(results: Mapping) -> dict[str, Drawing]:
    """A figure for each model, whose layers are not another's, and transformation."""
    by_model: dict[str, list[tuple[int, Mapping]]] = {}
    for place, arm in enumerate(results["arms"]):
        by_model.setdefault(arm["model"], []).append((place, arm))
    found = {}
    for number, (model, arms) in enumerate(by_model.items()):
        names = [arm["name"] for _, arm in arms]
        for transformation in arms[0][1]["tomography"]["layers"]:
            ending = f"_{number}" if len(by_model) > 1 else ""
            found[f"tomography_{transformation}{ending}"] = Drawing(
                tomography_bars.tomography_bars(arms, names, transformation),
                tomography_bars.caption(arms[0][1], transformation, model),
            )
    return found
