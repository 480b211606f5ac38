"""The shapes of learning rates over a run, as shares of the peak, by name."""

import optax

from cnnlab.ops.registry import Registry

schedules = Registry("schedule")


@schedules.register
def constant(total_steps: int) -> optax.Schedule:
    """The peak throughout."""
    return optax.constant_schedule(1.0)


@schedules.register
def piecewise(
    total_steps: int, *, at: tuple[float, ...], of: float, factor: float = 0.1
) -> optax.Schedule:
    """The peak, times `factor` from each of the points `at` on.

    Args:
        at: in any unit, in which the whole run is `of` long; so a run that is made
            shorter keeps its shape.

    Raises:
        ValueError: points that do not rise within the run, or a factor of 0 or less.
    """
    if not at or sorted(set(at)) != list(at) or not 0 < at[0] <= at[-1] < of:
        raise ValueError(f"at {at} must rise, between 0 and of, {of}")
    if not factor > 0:
        raise ValueError(f"factor {factor} is not above 0")
    # A short run may have several at one step, but begins at the peak.
    boundaries = [max(1, round(total_steps * point / of)) for point in at]
    scales = {step: factor ** boundaries.count(step) for step in boundaries}
    return optax.piecewise_constant_schedule(1.0, scales)


@schedules.register
def linear(total_steps: int, *, final: float = 0.0) -> optax.Schedule:
    """A straight line from the peak to `final` of it, at the last step's end."""
    if not 0 <= final <= 1:
        raise ValueError(f"final {final} is not in 0 to 1")
    return optax.linear_schedule(1.0, final, total_steps)


@schedules.register
def cosine(total_steps: int, *, warmup: float = 0.0) -> optax.Schedule:
    """Half a period of a cosine from the peak to 0.

    Args:
        warmup: the share of the run in which the rate first rises from 0, in a line.

    Source: Loshchilov and Hutter, 2017, equation 5, without restarts
        (https://arxiv.org/abs/1608.03983).
    """
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup {warmup} is not in 0 to 1")
    if not warmup:
        return optax.cosine_decay_schedule(1.0, total_steps)
    # Both parts have a step at least.
    total_steps = max(2, total_steps)
    return optax.warmup_cosine_decay_schedule(
        init_value=0.0,
        peak_value=1.0,
        warmup_steps=min(max(1, round(warmup * total_steps)), total_steps - 1),
        decay_steps=total_steps,
    )
