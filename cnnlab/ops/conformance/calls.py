"""Laws of the calls: dtypes, batches, channels, and how JAX runs them."""

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.ops.conformance.cases import PLAIN, Case, signed_map, smooth_map
from cnnlab.ops.conformance.law import equal, law, trait, true
from cnnlab.ops.conformance.subject import Trial, compiled, stacked

# Eager operations are compiled one by one: as few of them as can be.
TINY = Case((3, 1), (2,), (2,), "SAME"), Case((3, 2, 1), (2, 1), (2, 1)), PLAIN


@law()
def keeps_the_dtype(trial: Trial):
    """float16, bfloat16, float32 and float64 stay what they are, float64 precisely."""
    for dtype in jnp.float16, jnp.bfloat16, jnp.float32:
        x = jax.ShapeDtypeStruct(trial.case.shape, dtype)
        got = jax.eval_shape(trial.apply, x).dtype
        true(got == dtype, f"got {got} of a map of {jnp.dtype(dtype)}")
    with jax.enable_x64(True):
        x = smooth_map(trial.case.shape)
        out = trial.run(x)
        true(out.dtype == jnp.float64, f"got {out.dtype} of a map of float64")
        finer = trial.run(x * (1 + 1e-12))
        true(np.any(out != finer), "a relative change of 1e-12 was rounded away")


@law(PLAIN)
def half_precision_is_rounded_once(trial: Trial):
    """float16 and bfloat16 give what float32 gives, rounded once at the end."""

    def both(maps):
        once = [trial.apply(x.astype(jnp.float32)).astype(x.dtype) for x in maps]
        pairs = zip(map(trial.apply, maps), once, strict=True)
        return [[out.astype(jnp.float32) for out in pair] for pair in pairs]

    maps = []
    for dtype in jnp.float16, jnp.bfloat16:
        x = np.ones(trial.case.shape)
        # So large that it swallows its neighbours one by one.
        x[..., ::2] = smooth_map(x[..., ::2].shape)
        x.reshape(-1, x.shape[-1])[::3] = 2.0 ** (jnp.finfo(dtype).nmant + 1)
        maps.append(jnp.asarray(x, dtype))
    for x, (got, wanted) in zip(maps, compiled(both)(maps), strict=True):
        equal(got, wanted, f"in {x.dtype}", x=x)


@law()
def nothing_is_shared_in_a_batch(trial: Trial):
    """An example's output does not depend on the other examples of its batch."""
    one, two, three = (signed_map(trial.case.shape, seed) for seed in range(3))
    together = trial.run(stacked(one, two))
    for other in three, np.full_like(three, np.nan), np.zeros_like(three):
        equal(trial.run(stacked(one, other))[0], together[0], "the first of two", x=one)
        equal(trial.run(stacked(other, two))[1], together[1], "the second of two")


@law(concerns=trait("channelwise"))
def channels_are_independent(trial: Trial):
    """A channel of the output depends on that channel of the map alone."""
    x = stacked(*(signed_map(trial.case.shape, seed) for seed in range(2)))
    for spoiled in jnp.nan, 0.0:
        out = trial.run(x.at[..., 0].set(spoiled))
        equal(out[..., 1:], trial.run(x)[..., 1:], "the other channels")


@law(*TINY)
def jit_equals_eager(trial: Trial):
    """What is compiled gives what the operations give one by one."""
    x = jnp.asarray(smooth_map(trial.case.shape), jnp.float32)
    with jax.disable_jit():
        eager = trial.apply(x)
    equal(trial.run(x), eager, "compiled, against eager", x=x, rtol=1e-6)


@law()
def vmap_is_a_batch_axis(trial: Trial):
    """`vmap` gives what one call for each example gives."""
    maps = stacked(*(signed_map(trial.case.shape, seed) for seed in range(2)))
    apart = jnp.stack([trial.run(x) for x in maps])
    equal(compiled(jax.vmap(trial.apply))(maps), apart, "under vmap", rtol=1e-6)
