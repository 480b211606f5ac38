"""Why a net's answers move: its error budget, and where in it equivariance is lost."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp

from cnnlab.diagnostics.cost import count
from cnnlab.diagnostics.error_budget import error_budget
from cnnlab.diagnostics.halves import halves
from cnnlab.diagnostics.tomography import Row, equivariance_error
from experiments.comparing.measure import Measure, interval

NEAR = -1, 0, 1
CAUSES = "aliasing", "boundary", "head"


def stride_of(function, *args) -> tuple[int, int]:
    """The stride of a network's last map, in pixels, down and across.

    Raises:
        ValueError: there is no such map, or its stride is no whole number.
    """
    last = count(function, *args).last_map
    if last is None:
        raise ValueError("has no map of several rows and columns")
    if None in last.stride or any(side % 1 for side in last.stride):
        raise ValueError(f"has a last map of stride {last.stride}, not a whole number")
    return tuple(int(side) for side in last.stride)


def multiples_of(
    size: tuple[int, int], stride: tuple[int, int]
) -> tuple[int, ...] | None:
    """The lattice that a budget goes over: all of it where it fits the images, else the
    nearest points.

    A mean over few points still varies with the phase where the boundary or the head
    does, which counts as aliasing.

    Raises:
        ValueError: not even those fit.
    """
    pairs = zip(size, stride, strict=True)
    if all(side > step and side % step == 0 for side, step in pairs):
        return None
    span = len(NEAR) * max(stride) - 1
    if span >= min(size):
        raise ValueError(
            f"has a stride of {max(stride)}, which takes rolls by {span} pixels"
        )
    return NEAR


def budget(examples: int) -> Measure:
    """How much the class probabilities change as images roll, and each cause's share.

    The net is cut at its last map. A seed's record gets `budget_change`, the variance
    over rolls as a fraction of the squares of the outputs, and `budget_<cause>`, the
    cause's share of it; None where rounding alone changes. Joins the arm's row as
    `budget`.

    Args:
        examples: test images that are rolled, the first.
    """
    names = [f"budget_{cause}" for cause in CAUSES]

    def of_net(predict, dataset) -> dict[str, Any]:
        images = dataset.test.images[:examples]
        stride = stride_of(predict.apply, predict.variables, images[:1])
        found = error_budget(
            halves(predict.apply, predict.variables, images),
            images,
            stride=stride,
            multiples=multiples_of(images.shape[1:3], stride),
        )
        shares = found.shares or dict.fromkeys(CAUSES)
        return {
            "budget_spec": found.spec,
            "budget_examples": len(images),
            "budget_change": float(found.total.mean() / found.power.mean()),
            **{
                name: shares[cause] and shares[cause].mean
                for name, cause in zip(names, CAUSES, strict=True)
            },
        }

    def of_arm(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        row = {
            "spec": seeds[0]["budget_spec"],
            "examples": seeds[0]["budget_examples"],
            "change": interval([seed["budget_change"] for seed in seeds]),
            "shares": {
                cause: interval([seed[name] for seed in seeds])
                for name, cause in zip(names, CAUSES, strict=True)
            },
        }
        return {"budget": row}

    return Measure("budget", of_net, of_arm)


def tomography(transformations: Sequence[str], examples: int) -> Measure:
    """The cumulative equivariance error after each layer, under each transformation.

    Joins the arm's row as `tomography`.

    Args:
        transformations: of `cnnlab.diagnostics.tomography.TRANSFORMATIONS`.
        examples: test images that are moved, the first.
    """

    def of_net(predict, dataset) -> dict[str, Any]:
        images = predict.scaling(jnp.asarray(dataset.test.images[:examples]))
        found = equivariance_error(
            predict.model.apply,
            predict.variables,
            images,
            transformations=transformations,
        )
        layers = {name: _layers(found.layers(name)) for name in transformations}
        return {
            "tomography_spec": found.spec,
            "tomography_examples": len(images),
            "tomography_layers": layers,
        }

    def of_arm(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        by_seed = [seed["tomography_layers"] for seed in seeds]
        layers = {
            name: [
                {
                    **{key: same[0][key] for key in ("layer", "operation", "kind")},
                    "error": interval([each["error"] for each in same]),
                }
                for same in zip(*(of_net[name] for of_net in by_seed), strict=True)
            ]
            for name in transformations
        }
        row = {
            "spec": seeds[0]["tomography_spec"],
            "examples": seeds[0]["tomography_examples"],
            "layers": layers,
        }
        return {"tomography": row}

    return Measure("tomography", of_net, of_arm)


def _layers(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Those of the modules inside the network, and its output."""
    return [
        {
            "layer": "/".join(row.path[1:]) or "output",
            "operation": row.operation,
            "kind": row.kind,
            "error": _mean(row),
        }
        for row in rows
        if row.path[1:] or row is rows[-1]
    ]


def _mean(row: Row) -> float | None:
    over_images = row.interval("cumulative")
    return None if over_images is None else over_images.mean
