"""The net of each pool and boundary, and which of them there are."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from cnnlab.errors import UserError
from experiments.harness import networks

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


def traced(config: Any, case: Case) -> tuple[Any, Any, Any]:
    """The network of that case, its variables and an image: their shapes alone.

    Raises:
        ValueError, TypeError, ArithmeticError: there is none on such images.
    """
    net = network(config, case)
    shape = (1, config.image_size, config.image_size, net.image_shape[-1])
    image = networks.like(shape, net)
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
    for pool in named(config.pools):
        if pool == STRIDES:
            continue
        try:
            resolve(pool)
        except networks.FAULTS as error:
            more = f", {STRIDES}, {ALL}" if "choose from" in str(error) else ""
            raise UserError("pools", networks.first_line(error) + more) from error


def refuse_unfit(config: Any) -> None:
    """Lets a net pass that takes such images with at least one of the pools.

    Raises:
        UserError: about the size of the images, or about the pools.
    """
    reasons = list(_faults(config))
    if None in reasons:
        return
    name = config.model or "the two-level net"
    if config.model is not None:
        side = networks.create(config.model).image_shape[0]
        fits = config.image_size >= side
    else:
        side, fits = 16, config.image_size >= 4
    flag, value = ("pools", "none") if fits else ("image_size", config.image_size)
    advice = "" if fits else f"; its own have {side} pixels a side"
    raise UserError(flag, f"{value} fits {name}: {reasons[0]}{advice}")


def _faults(config: Any) -> Iterator[str | None]:
    """Why each case has no net, up to the first that has one."""
    for case in cases(config):
        try:
            traced(config, case)
        except networks.FAULTS as error:
            yield networks.first_line(error)
        else:
            yield None
            return


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
        raise UserError("head", error.message) from error
