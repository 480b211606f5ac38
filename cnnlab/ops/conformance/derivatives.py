"""Laws of the derivatives: their values, every transformation, zeros, export."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from cnnlab.ops.conformance.cases import PLAIN, Case, smooth_map
from cnnlab.ops.conformance.law import equal, law, true
from cnnlab.ops.conformance.subject import Trial, compiled

# Every tap is differentiated twice: few of them, but overlapping and padded.
SMALL = Case((1, 4, 3, 2), (2, 2), (2, 1), "SAME")
SMALL_PLAIN = SMALL._replace(padding="VALID")
PLATFORMS = ("cpu", "cuda", "tpu")


class Derivatives(NamedTuple):
    """What the transformations make of a pool at one point, as float64 arrays.

    A gradient, like a point, holds the map and the learned weights by name.
    """

    exact: tuple[Any, Any]
    measured: tuple[Any, Any]
    gradients: Any
    scanned: Any
    out: Any
    linearized: Any
    pushed: Any
    push: Any
    pulled: Any
    tangent: Any


@law(SMALL, SMALL_PLAIN, PLAIN)
def gradients_equal_finite_differences(trial: Trial):
    """First and second derivatives equal finite differences in float64.

    Those of the map alone, where the weights' are straight-through.
    """
    found = _derivatives(trial)
    (slope, second), (measured_slope, measured) = found.exact, found.measured
    equal(slope, measured_slope, "derivative along a direction", rtol=1e-5, atol=1e-7)
    for name in ["x"] if trial.subject.traits.straight_through else second:
        true(second[name].dtype == jnp.float64, f"got {second[name].dtype} by {name}")
        what = f"second derivative by {name}"
        equal(second[name], measured[name], what, rtol=1e-5, atol=1e-7)
    true(np.any(slope != 0), "the derivative along a direction is 0")
    true(np.any(second["x"] != 0), "the second derivative is 0 everywhere")


@law(SMALL, SMALL_PLAIN, PLAIN)
def transformations_agree(trial: Trial):
    """jvp, linearize, vjp, vmap of grad, scan and remat give the same derivatives."""
    found = _derivatives(trial)
    close = {"rtol": 1e-9, "atol": 1e-12}
    equal(found.linearized, found.out, "value under linearize", **close)
    equal(found.push, found.pushed, "linearize, against jvp", **close)
    pairs = zip(*map(jax.tree.leaves, (found.tangent, found.pulled)), strict=True)
    pulled = sum(np.vdot(tangent, gradient) for tangent, gradient in pairs)
    equal(pulled, np.vdot(found.pushed, found.out), "vjp, against jvp", **close)
    for name, gradient in found.gradients.items():
        equal(
            found.scanned[name],
            gradient,
            f"gradient of {name} through scan and remat, against vmap of grad",
            **close,
        )


@law(SMALL, SMALL_PLAIN, PLAIN)
def derivatives_are_finite_at_zeros(trial: Trial):
    """First and second derivatives are finite on zeros and on constants, in float32."""
    shape = trial.case.shape
    some = smooth_map(shape, 1)
    maps = [np.zeros(shape), np.where(some < np.median(some), 0, some), np.ones(shape)]
    x = jnp.asarray(np.stack(maps), jnp.float32)
    tangent = {"x": jnp.asarray(smooth_map(shape, 2), jnp.float32)}

    def derivatives(x):
        point = {"x": x, **trial.weights(jnp.float32)}
        along = {**jax.tree.map(jnp.ones_like, point), **tangent}
        return jax.jvp(jax.grad(_loss(trial)), (point,), (along,))

    first, second = compiled(jax.vmap(derivatives))(x)
    for order, found in ("first", first), ("second", second):
        for name, values in found.items():
            for zeros, value in zip(x, values, strict=True):
                what = f"{order} derivative by {name}"
                equal(np.isfinite(value), np.full(value.shape, True), what, x=zeros)


@law(
    SMALL,
    SMALL_PLAIN,
    PLAIN,
    concerns=lambda subject: bool(subject.trial(PLAIN).weights(jnp.float32)),
    drawn=False,
)
def learned_weights_are_trained(trial: Trial):
    """Every learned weight has a gradient, and one step of descent changes it."""
    gradients = _derivatives(trial).gradients
    for name, weight in trial.weights(jnp.float32).items():
        gradient = np.asarray(gradients[name][0], np.float32)
        true(np.any(gradient != 0), f"the gradient of {name} is 0")
        true(
            np.any(weight - 0.1 * gradient != weight), f"a step leaves {name} as it is"
        )


@law()
def exports_for_every_platform(trial: Trial):
    """Value and gradient lower for cpu, cuda and tpu, in float32 and bfloat16."""

    def value_and_gradient(x):
        out, pull = jax.vjp(trial.apply, x)
        return out, pull(out)

    dtypes = jnp.float32, jnp.bfloat16
    maps = [jax.ShapeDtypeStruct(trial.case.shape, dtype) for dtype in dtypes]
    exported = export.export(
        jax.jit(lambda maps: [value_and_gradient(x) for x in maps]),
        platforms=PLATFORMS,
    )(maps)
    true(exported.platforms == PLATFORMS, f"exported for {exported.platforms} alone")


def _loss(trial):
    """A scalar in which every pooled entry counts differently."""

    def loss(point):
        out = trial.apply(**point)
        return jnp.vdot(jnp.cos(jnp.arange(out.size)), jnp.sin(out).ravel())

    return loss


def _derivatives(trial: Trial) -> Derivatives:
    """Every derivative at a smooth map, along one direction; computed once."""
    known = trial.__dict__
    if "derivatives" not in known:
        rng = np.random.default_rng(1)
        with jax.enable_x64(True):
            x = jnp.asarray(smooth_map(trial.case.shape))
            point = {"x": x, **trial.weights(jnp.float64)}
            tangent = jax.tree.map(lambda a: rng.normal(size=a.shape), point)
            if trial.subject.traits.straight_through:
                tangent = {name: tangent[name] * (name == "x") for name in tangent}
            found = compiled(_all_derivatives(trial))(point, tangent)
            known["derivatives"] = jax.tree.map(np.asarray, found)
    return known["derivatives"]


def _all_derivatives(trial, step=1e-5):
    loss = _loss(trial)

    def apply(point):
        return trial.apply(**point)

    def slope_and_gradient(point, tangent):
        value, slope = jax.jvp(jax.value_and_grad(loss), (point,), (tangent,))
        return value, slope

    def scanned(points):
        def add(total, point):
            return total + jax.checkpoint(loss)(point), None

        return jax.lax.scan(add, 0.0, points)[0]

    def every(point, tangent):
        points = jax.tree.map(
            lambda p, t: jnp.stack([p, p + step * t, p - step * t]), point, tangent
        )
        # One call at three points, so that it is compiled once.
        values, slopes = jax.vmap(slope_and_gradient, (0, None))(points, tangent)
        out, pushed = jax.jvp(apply, (point,), (tangent,))
        linearized, push = jax.linearize(apply, point)
        (pulled,) = jax.vjp(apply, point)[1](out)
        return Derivatives(
            exact=jax.tree.map(lambda s: s[0], slopes),
            measured=jax.tree.map(lambda v: (v[1] - v[2]) / (2 * step), values),
            gradients=values[1],
            scanned=jax.grad(scanned)(points),
            out=out,
            linearized=linearized,
            pushed=pushed,
            push=push(tangent),
            pulled=pulled,
            tangent=tangent,
        )

    return every
