"""The models, pools and boundaries of which claims are judged, and on what images."""

import functools
import time
from typing import Any, NamedTuple

import numpy as np

from cnnlab.errors import UserError
from experiments.harness import networks
from experiments.lattices import certificates
from experiments.lattices.nets import ALL, STRIDES
from experiments.lattices.refusals import refuse_unknown_pools

# Pixels a side, with many divisors. The largest strides are 32, and one model takes no
# less than 67.
_SIDES = (8, 12, 16, 24, 32, 64, 72, 96, 128, 224)
# A layer that weighs places does so whatever it makes of them; and heads that are there
# in training alone take no part.
_NARROW = {"head_features": 32, "auxiliary": False}


class ModelCase(NamedTuple):
    """A model whose strides a pool takes; `STRIDES` is its own."""

    model: str
    pool: str
    boundary: str

    @property
    def name(self) -> str:
        """What tells it from the others, in files' names too."""
        return f"{self.model} {self.pool} {self.boundary}"


def cases(config: Any) -> list[ModelCase]:
    """One model after the other."""
    return [
        ModelCase(model, pool, boundary)
        for model in named(config.models)
        for boundary in config.boundaries
        for pool in config.pools
    ]


def named(specs: tuple[str, ...]) -> list[str]:
    """The specs, with every registered model in the place of `ALL`."""
    from cnnlab.models import list_models

    each = {ALL: list_models()}
    return [model for spec in specs for model in each.get(spec, [spec])]


def record(config: Any, case: ModelCase) -> dict[str, Any]:
    """What the walk claims of a case, and what is found where it claims something.

    As of `certificates`, without pictures; or the reason why there is no net.
    """
    from cnnlab.diagnostics.lattice.shift_sets import divisor_shifts

    side = config.image_size or own_side(case.model)
    told = {**case._asdict(), "image": [side] * 2}
    try:
        net, variables, image = traced(case, side)
    except networks.FAULTS as error:
        return told | {"reason": networks.first_line(error)}
    began = time.monotonic()
    claims, claimed = certificates.walked(net.apply, variables, image)
    told |= {"walk": {name: value for name, value in claims.items() if name != "exact"}}
    if claims["count"] > 1 or config.unclaimed:
        exact, found = certificates.certified(
            net.apply,
            variables,
            image,
            shifts=divisor_shifts((side, side)),
            seed=config.seed,
            trials=config.trials,
            per_layer=False,
        )
        told["walk"]["refuted"] = int(np.count_nonzero(claimed & ~exact))
        told |= {n: v for n, v in found.items() if n not in ("exact", "layers")}
    return told | {"seconds": time.monotonic() - began}


def traced(case: ModelCase, side: int) -> tuple[Any, Any, Any]:
    """The network of that case, its variables and an image: their shapes alone.

    Raises:
        ValueError, TypeError, ArithmeticError: there is none on such images.
    """
    from cnnlab.models import create_model
    from cnnlab.models.network import options_of

    allowed = options_of(type(create_model(case.model)))
    narrow = {name: value for name, value in _NARROW.items() if name in allowed}
    pool = None if case.pool == STRIDES else case.pool
    net = create_model(case.model, downsample=pool, boundary=case.boundary, **narrow)
    image = networks.like((1, side, side, net.image_shape[-1]), net)
    return net, networks.shapes(net, image), image


@functools.cache
def own_side(model: str) -> int:
    """The smallest side that a model takes and in which its largest stride goes twice.

    On smaller images its last map would have one entry, and nothing to tell.
    """
    from cnnlab.diagnostics.geometry import walk

    case = ModelCase(model, STRIDES, "zero")
    first = next(side for side in _SIDES if _fits(case, side))
    net, variables, image = traced(case, first)
    rows = walk(net.apply, variables, image).rows
    strides = (stride for row in rows for stride in row.stride if stride is not None)
    least = max(first, 2 * max(strides))
    larger = (side for side in _SIDES if side >= least and _fits(case, side))
    return next(larger, first)


def refuse_unknown(config: Any) -> None:
    """Lets names pass that are known.

    Raises:
        UserError: about `models` or `pools`.
    """
    from cnnlab.layers.subsampling import resolve_downsample

    for model in config.models:
        if model == ALL:
            continue
        try:
            networks.create(model)
        except UserError as error:
            more = f", {ALL}" if "choose from" in error.message else ""
            raise UserError("models", error.message + more) from error
    specs = [pool for pool in config.pools if pool != STRIDES]
    refuse_unknown_pools(specs, resolve_downsample, STRIDES)


def refuse_unfit(config: Any) -> None:
    """Lets cases pass of which at least one takes such images.

    Raises:
        UserError: about the size of the images, or about the pools.
    """
    faults = {}
    for case in cases(config):
        side = config.image_size or own_side(case.model)
        try:
            traced(case, side)
            return
        except networks.FAULTS as error:
            faults.setdefault(case.name, networks.first_line(error))
    name, fault = next(iter(faults.items()))
    if config.image_size is None:
        raise UserError("pools", f"none fits: {name}: {fault}")
    raise UserError("image_size", f"{config.image_size} fits none: {name}: {fault}")


def _fits(case: ModelCase, side: int) -> bool:
    try:
        traced(case, side)
    except networks.FAULTS:
        return False
    return True
