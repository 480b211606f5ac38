"""Every registered pool obeys every law; wrong pools are told by the law they break."""

import functools
import inspect
import math
import sys

import jax
import jax.numpy as jnp
import pytest
import references
from geometries import CASES, SPECS
from mutants import MUTANTS

from cnnlab.ops import conformance, pools
from cnnlab.ops.conformance import BrokenLaw, check
from cnnlab.ops.conformance.cases import random_cases
from cnnlab.ops.pool_definition import Traits
from cnnlab.ops.registry import parse_spec

# What options can change: the values, and where their derivatives are infinite.
OF_OPTIONS = ("equals_the_reference", "derivatives_are_finite_at_zeros")

# Their laws all together are among the slow tests, these few among the default ones.
LONG_TO_COMPILE = {
    "adaptive_blur_pool": ("equals_the_reference", "derivatives_are_finite_at_zeros"),
    "fractional_max_pool": ("equals_the_reference", "a_key_is_one_draw"),
    "adaptive_polyphase": ("equals_the_reference", "shifts_are_exact"),
    "learned_polyphase": ("equals_the_reference", "shifts_are_exact"),
}

# The laws that stand before the one they break take longest.
LONG_TO_TELL = {
    "uniform stochastic draw",
    "one draw shared by overlapping windows",
    "padding that wins",
    "ties split",
    "tie of phases broken by index",
}


def _reference(name):
    """The NumPy reference of a registered pool, which has to take all its options."""
    known = references.POOLS | references.MAPS
    assert name in known, f"{name} has no reference"
    ours, theirs = (
        inspect.signature(function).parameters
        for function in (pools[name], known[name])
    )
    options = {p for p in ours if ours[p].kind == inspect.Parameter.KEYWORD_ONLY}
    missing = options - {"key", "boundary"} - set(theirs)
    assert not missing, f"{name}'s reference lacks {', '.join(missing)}"
    return functools.partial(references.pool, name)


def _slow_if_long(name):
    marks = [pytest.mark.slow] if name in LONG_TO_COMPILE else []
    return pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", list(map(_slow_if_long, pools)))
def test_pool_obeys_every_law(name):
    # What pools of the whole map do is long to compile for each window.
    long = name in LONG_TO_COMPILE or not pools[name].traits.local
    examples = 1 if long else 4
    check(name, reference=_reference(name), examples=examples)


@pytest.mark.parametrize("name", list(LONG_TO_COMPILE))
def test_pool_obeys_the_laws_of_its_kind(name):
    check(name, reference=_reference(name), laws=LONG_TO_COMPILE[name], examples=1)


@pytest.mark.slow
@pytest.mark.parametrize("spec", SPECS)
def test_pool_with_options_obeys(spec):
    check(spec, reference=_reference(parse_spec(spec)[0]), laws=OF_OPTIONS, examples=0)


def test_missing_reference_is_told_by_the_pools_name():
    with pytest.raises(AssertionError, match="sum_pool has no reference"):
        _reference("sum_pool")


@pytest.mark.parametrize("name", pools)
def test_is_one_named_equation(name):
    case = CASES["asymmetric"]._replace(boundary=None)
    x = jnp.zeros(case.shape)
    (equation,) = jax.make_jaxpr(lambda x: case.apply(pools[name], x))(x).eqns
    boundary = pools[name].boundaries[0]
    assert equation.params["name"].startswith(
        f"{name}(window_shape={case.window_shape}, strides={case.strides}, "
        f"padding={case.padding}, boundary={boundary!r}"
    )


def _slow_if_long_to_tell(mutant):
    marks = [pytest.mark.slow] if mutant in LONG_TO_TELL else []
    return pytest.param(mutant, marks=marks)


@pytest.mark.parametrize("mutant", list(map(_slow_if_long_to_tell, MUTANTS)))
def test_wrong_pool_is_told_by_the_law_it_breaks(mutant):
    law, wrong, right, traits, reference = MUTANTS[mutant]
    with pytest.raises(BrokenLaw) as caught:
        check(wrong, traits=traits, reference=reference)
    assert caught.value.law == law
    assert str(caught.value).startswith(f"{law}: {conformance.laws()[law]}\n")
    check(right, traits=traits, reference=reference, laws=[law])


def _subsample(x, window_shape, strides, padding):
    """A user's own pool: plain operations, no boundary, its default padding alone."""
    if padding != "VALID":
        raise ValueError("subsampling takes no padding")
    rank = 2 if isinstance(window_shape, int) else len(window_shape)
    windows = references.each(window_shape, rank)
    strides = references.each(strides, rank)
    spatial = x.shape[x.ndim - rank - 1 : -1]
    kept = tuple(
        slice(0, size - window + 1, stride)
        for size, window, stride in zip(spatial, windows, strides, strict=True)
    )
    return x[..., *kept, :]


def test_a_callable_needs_no_registration():
    check(_subsample, traits=Traits(local=False), reference=_subsample)


def test_refusing_windows_is_for_pools_that_are_not_local():
    with pytest.raises(BrokenLaw, match="takes_every_window.*\n.*\n.*no padding"):
        check(_subsample, laws=["takes_every_window"])


def _leaking(x, window_shape, strides, padding):
    windows = references.each(window_shape, 2)
    return pools["avg_pool"](x, window_shape, strides, padding) / windows[0]


def test_a_small_window_is_shown():
    with pytest.raises(BrokenLaw, match=r"(?s)got .* wanted") as caught:
        check(_leaking, laws=["constants_are_fixed"])
    assert math.prod(caught.value.case.shape) <= 3


def test_unknown_law_is_refused():
    with pytest.raises(ValueError, match="unknown law 'gravity'; choose from takes_"):
        check("max_pool", laws=["gravity"])


def test_random_windows_are_the_same_at_every_call_and_leave_no_file(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    first, again = (random_cases.__wrapped__(20, ("circular",)) for _ in range(2))
    assert first == again and len(set(first)) > 10
    assert {case.rank for case in first} == {1, 2, 3}
    assert not list(tmp_path.iterdir())


def test_without_hypothesis_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ImportError, match=r"needs hypothesis: .*cnnlab\[test\]"):
        random_cases.__wrapped__(3, ())
