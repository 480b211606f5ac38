"""What each place that thins a net's maps folds, and what it costs in consistency."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from cnnlab.diagnostics.aliasing import Aliasing, meter
from cnnlab.diagnostics.surgery import Following, Site, sampling_effects
from experiments.comparing.measure import Measure, interval

# Of more sites orders are drawn.
_SEED = 0
_NUMBERS = "above", "folded", "alone", "shapley"


def thinning(examples: int) -> Measure:
    """The aliasing meter at each site, and its effect on consistency.

    Joins the arm's row as `sampling`: `sites` with the `name` and `strides` of each,
    and, as intervals over seeds, `above` and `folded` of the meter (of sites side by
    side, the mean), and what it would add to consistency if its samples followed the
    image, `alone` and by `shapley`; beside them the consistency `as_it_is`, and
    `following` at all sites. An arm without sites that could follow has `sites` alone,
    and none.

    Args:
        examples: test images that are moved, the first.
    """

    def of_net(predict, dataset) -> dict[str, Any]:
        images = predict.scaling(jnp.asarray(dataset.test.images[:examples]))
        function = following(predict.model, images.shape, str(images.dtype))
        if not function.sites:
            return {"sampling_sites": []}
        found = sampling_effects(function, predict.variables, images, seed=_SEED)
        metered = meter(predict.model.apply, predict.variables, images)
        rows = [
            {
                "name": _name(unit),
                "strides": list(unit[0].strides),
                **_metered(unit, metered),
                "alone": float(found.effects.alone[place].mean()),
                "shapley": float(found.effects.shapley[place].mean()),
            }
            for place, unit in enumerate(found.sites)
        ]
        return {
            "sampling_specs": [found.spec, metered.spec],
            "sampling_examples": len(images),
            "sampling_as_it_is": float(found.effects.none.mean()),
            "sampling_following": float(found.effects.full.mean()),
            "sampling_sites": rows,
        }

    def of_arm(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        if not seeds[0]["sampling_sites"]:
            return {"sampling": {"sites": []}}
        row = {
            "specs": seeds[0]["sampling_specs"],
            "examples": seeds[0]["sampling_examples"],
            **{
                name: interval([seed[f"sampling_{name}"] for seed in seeds])
                for name in ("as_it_is", "following")
            },
            "sites": [
                {
                    **{key: same[0][key] for key in ("name", "strides")},
                    **{k: interval([each[k] for each in same]) for k in _NUMBERS},
                }
                for same in zip(*(s["sampling_sites"] for s in seeds), strict=True)
            ],
        }
        return {"sampling": row}

    return Measure("sampling", of_net, of_arm)


# Arms that differ in their training alone follow one another, and share a program.
@functools.lru_cache(maxsize=1)
def following(model: Any, shape: tuple[int, ...], dtype: str) -> Following:
    """A model of images of that shape, with a switch at each of its sites.

    Raises:
        ValueError: as `Following` does.
    """
    images = jax.ShapeDtypeStruct(shape, dtype)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    return Following(model.apply, variables, images)


def _name(unit: Sequence[Site]) -> str:
    """The modules that the sites are in, without the network; else their operator."""
    names = ["/".join(site.path[1:]) or site.operator for site in unit]
    return " + ".join(dict.fromkeys(names))


def _metered(unit: Sequence[Site], found: Aliasing) -> dict[str, float | None]:
    """The mean shares of these sites; None where the meter does not know one."""
    rows = [
        row
        for site in unit
        for row in found.rows
        if (row.path, row.operation) == (site.path, site.operator)
    ]
    means = {}
    for share in ("above", "folded"):
        intervals = [row.interval(share) for row in rows]
        known = len(rows) == len(unit) and None not in intervals
        means[share] = sum(i.mean for i in intervals) / len(rows) if known else None
    return means
