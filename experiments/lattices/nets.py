"""The net of each pool and boundary, and which of them there are."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from cnnlab.errors import UserError
from experiments.harness import networks
from experiments.lattices.refusals import refuse_unknown_pools

STRIDES = "strides"
"""What stands for no pool: the convolutions take the strides."""
ALL = "all"

# With two taps a binomial filter is the average.
_WINDOWS = {"blur_pool": 3, "adaptive_blur_pool": 3}
_HEAD_POOLS = {"mean": "global_avg_pool", "max": "global_max_pool"}


class Case(NamedTuple):
    """What is certified: a pool's spec, or `STRIDES`, on one kind of boundary."""

    pool: str
    boundary: str

    @property
    def name(self) -> str:
        """What tells it from the others, in files' names too."""
        return f"{self.pool} {self.boundary}"


def cases(config: Any) -> list[Case]:
    """Every pool on the first boundary, then on the next."""
    return [
        Case(pool, boundary)
        for boundary in config.boundaries
        for pool in named(config.pools)
    ]


def named(specs: tuple[str, ...]) -> list[str]:
    """The specs, with every registered pool in the place of `ALL`."""
    from cnnlab.ops import pools

    each = {ALL: [STRIDES, *pools]}
    return [pool for spec in specs for pool in each.get(spec, [spec])]


def network(config: Any, case: Case) -> Any:
    """The network of that case.

    Raises:
        ValueError, TypeError: it does not take the pool, or that boundary.
    """
    from cnnlab.layers.subsampling import resolve_downsample
    from cnnlab.models import create_model

    spec = None if case.pool == STRIDES else case.pool
    if config.model is not None:
        options = {config.option: spec, "boundary": case.boundary, **_head(config)}
        return create_model(config.model, **options)
    from experiments.lattices.two_levels import TwoLevels

    options = {"third": config.third, "head": config.head or "mean"}
    if spec is None:
        return TwoLevels(pool=None, boundary=case.boundary, **options)
    pool, window = resolve_downsample(spec)
    if window is None:
        window = _WINDOWS.get(spec.partition("(")[0], 2)
    return TwoLevels(pool=pool, window=window, boundary=case.boundary, **options)


def traced(config: Any, case: Case, side: int) -> tuple[Any, Any, Any]:
    """The network of that case, its variables and an image: their shapes alone.

    Args:
        side: of the image, in pixels.

    Raises:
        ValueError, TypeError, ArithmeticError: there is none on such images.
    """
    net = network(config, case)
    image = networks.like((1, side, side, net.image_shape[-1]), net)
    return net, networks.shapes(net, image), image


def refuse_unknown(config: Any) -> None:
    """Lets names pass that are known.

    Raises:
        UserError: about `model`, `head` or `pools`.
    """
    from cnnlab.layers.subsampling import resolve_downsample
    from cnnlab.ops import pools

    if config.model is not None:
        networks.create(config.model)
        _refuse_head(config)
    takes_window = config.model is None or config.option == "downsample"
    resolve = resolve_downsample if takes_window else pools.resolve
    specs = [pool for pool in named(config.pools) if pool != STRIDES]
    refuse_unknown_pools(specs, resolve, STRIDES, ALL)


def refuse_unfit(config: Any) -> None:
    """Lets a net pass that takes such images with at least one of the pools.

    Raises:
        UserError: about the size of the images, or about the pools.
    """
    if _fitting(config, config.image_size) is not None:
        return
    side = _own_side(config)
    fitting = _fitting(config, side)
    if fitting is None:
        raise UserError("pools", f"none fits: {_fault(config, cases(config)[0], side)}")
    reason = _fault(config, fitting, config.image_size)
    name = config.model or "the two-level net"
    raise UserError(
        "image_size",
        f"{config.image_size} does not fit {name}: {reason}; its own images have "
        f"{side} pixels a side",
    )


def _own_side(config: Any) -> int:
    if config.model is not None:
        return networks.create(config.model).image_shape[0]
    from experiments.lattices.two_levels import TwoLevels

    return TwoLevels.image_shape[0]


def _fitting(config: Any, side: int) -> Case | None:
    """The first case that takes images of that size."""
    return next(
        (each for each in cases(config) if not _fault(config, each, side)), None
    )


def _fault(config: Any, case: Case, side: int) -> str:
    """Why a case has no net on images of that size; empty where it has one."""
    try:
        traced(config, case, side)
    except networks.FAULTS as error:
        return networks.first_line(error)
    return ""


def _head(config: Any) -> Mapping[str, str]:
    return {} if config.head is None else {"head_pool": _HEAD_POOLS[config.head]}


def _refuse_head(config: Any) -> None:
    if config.head is None:
        return
    if config.head not in _HEAD_POOLS:
        raise UserError(
            "head", f"{config.head} is for the two-level net, and not for --model"
        )
    try:
        networks.create(config.model, _head(config))
    except UserError as error:
        raise UserError(
            "head",
            f"{config.head} is for models that end in a global pool: {error.message}",
        ) from error
