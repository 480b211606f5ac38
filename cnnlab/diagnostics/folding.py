"""The energy that samples of a map cannot hold, and what they make of it."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.diagnostics.dense_forms import dense_forms, offsets_of, strides_of
from cnnlab.diagnostics.operation import Operation
from cnnlab.diagnostics.over_images import Measure, OverImages, ratio, sum_per_image
from cnnlab.diagnostics.places import Place
from cnnlab.diagnostics.running import run
from cnnlab.diagnostics.waves import along, low_pass


@dataclasses.dataclass(frozen=True)
class Site:
    """An operation that thins maps, and the places of what it takes and gives."""

    operation: Operation
    strides: tuple[int, int]
    before: Place
    after: Place | None


def sites_of(over: OverImages) -> list[Site]:
    """Every operation that thins maps by strides that can be read."""
    sites = []
    for operation in over.program.operations:
        before = over.places.get(operation.inputs[0]) if operation.inputs else None
        if before is None or not before.is_map:
            continue
        strides = strides_of(operation, before.axes)
        if strides is not None:
            after = over.places.get(operation.outputs[0])
            sites.append(Site(operation, strides, before, after))
    return sites


def measure_of(over: OverImages, sites: Sequence[Site], boundary: str) -> Measure:
    """The shares of all sites, under (site, "above", "folded" or "off").

    "off" is by how much the samples differ from those of the dense map, as a share of
    their energy.
    """
    wanted = {site.operation: (index, site) for index, site in enumerate(sites)}

    def measure(leaves: Sequence[Any]) -> dict:
        found = {}

        def rule(operation: Operation, inputs):
            if operation not in wanted:
                return None
            index, site = wanted[operation]
            outputs = operation.evaluate(*inputs)
            shares = _shares(site, inputs, outputs[0], boundary)
            for name, share in (shares or {}).items():
                found[index, name] = share
            return outputs

        run(over.program, leaves, rule)
        return found

    return measure


def _shares(site: Site, inputs, y, boundary) -> dict[str, jax.Array] | None:
    place = site.after
    if place is None or not place.is_map:
        return None
    around = boundary == "circular"
    dense = dense_forms(site.operation, inputs, site.before.axes, around)
    candidates = [one for map_ in dense for one in _candidates(site, map_, y, boundary)]
    if not candidates:
        return None
    shares = {name: jnp.stack([c[name] for c in candidates]) for name in candidates[0]}
    best = shares["off"].argmin(0)[None]
    return {
        name: jnp.take_along_axis(share, best, 0)[0] for name, share in shares.items()
    }


def _candidates(site: Site, dense, y, boundary) -> Iterator[dict[str, jax.Array]]:
    """The shares where `y` are the samples of `dense`, from each possible offset on."""
    place = site.after
    wide = jnp.promote_types(y.dtype, jnp.float32)
    dense, y = dense.astype(wide), y.astype(wide)
    mean = dense.mean(place.axes, keepdims=True)
    dense, y = dense - mean, y - mean
    slow = dense
    for axis, stride in zip(place.axes, site.strides, strict=True):
        slow = along(slow, low_pass(dense.shape[axis], stride, boundary), axis)
    energy = lambda x: sum_per_image(x, place.batch)  # noqa: E731
    above = ratio(energy(dense - slow), energy(dense))
    for offset in offsets_of(site.operation, site.strides):
        sampled, ideal = (
            _samples(x, place.axes, offset, site.strides, y.shape)
            for x in (dense, slow)
        )
        aliases = energy(y - ideal)
        yield {
            "above": above,
            "off": ratio(energy(y - sampled), energy(y)),
            "folded": ratio(aliases, aliases + energy(ideal)),
        }


def _samples(x, axes, offset, strides, shape):
    for axis, first, stride in zip(axes, offset, strides, strict=True):
        places = (first + stride * np.arange(shape[axis])) % x.shape[axis]
        x = jnp.take(x, places, axis=axis)
    return x
