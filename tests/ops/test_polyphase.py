"""Adaptive polyphase moves bit for bit with every circular shift of the map."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from circular import all_rolls, assert_moves_exactly, sparse_image

from cnnlab.ops import windows
from cnnlab.ops.conformance.subject import compiled
from cnnlab.ops.exact_sums import Wide, add, strided_sums
from cnnlab.ops.float_words import fixed_point, words
from cnnlab.ops.polyphase import (
    adaptive_polyphase,
    polyphase_choice,
    polyphase_downsample,
    polyphase_upsample,
)
from cnnlab.ops.rotation import rotate
from cnnlab.ops.torus_hash import torus_hash

# (image without channels, window, strides, padding)
PATHS = [
    ((8, 8), (2, 2), (2, 2), "VALID"),
    ((6, 9), (3, 3), (3, 3), "SAME"),
    ((7, 9), (3, 3), (2, 2), "SAME"),
    ((6, 7), (2, 2), (2, 3), "VALID"),
    ((10,), (2,), (2,), "VALID"),
    ((11,), (3,), (2,), "VALID"),
    ((4, 5, 3), (2, 2, 2), (2, 2, 1), "SAME"),
]


# Compiled with all optimizations, as the other tests are not: none may round otherwise.
@pytest.mark.parametrize("path", PATHS, ids=str)
def test_moves_exactly_with_every_circular_shift(path):
    spatial, window, strides, padding = path
    apply = jax.jit(lambda x: adaptive_polyphase(x, window, strides, padding))
    assert_moves_exactly(apply, sparse_image((*spatial, 2)), strides)


@pytest.mark.parametrize("options", [{"pool": None}, {"pool": "avg_pool", "p": 1}])
@pytest.mark.parametrize("size", [(6, 8), (7, 6)])
def test_moves_exactly_with_any_pool_and_norm(size, options):
    apply = compiled(lambda x: adaptive_polyphase(x, 2, 2, **options))
    assert_moves_exactly(apply, sparse_image((*size, 2)), (2, 2))


def _circular_conv(x, kernel):
    """A 3x3 convolution in whole numbers, exact in float32."""
    window = windows.geometry(x.shape[1:-1], kernel.shape[:2], 1, 1, "circular")
    taps = windows.taps(x, window, 0)
    matrices = kernel.reshape(-1, *kernel.shape[2:])
    return sum(tap @ matrix for tap, matrix in zip(taps, matrices, strict=True))


@pytest.mark.parametrize(("size", "stride"), [((8, 12), 2), ((7, 9), 2)])
def test_two_levels_with_convolutions_move_exactly(size, stride):
    @jax.jit
    def net(x, *kernels):
        for kernel in kernels:
            x = jax.nn.relu(_circular_conv(adaptive_polyphase(x, 2, stride), kernel))
        return x

    # The result is shifted where both levels divide the map, and else is the same.
    total = tuple(stride**2 if n % stride**2 == 0 else n + 1 for n in size)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        shapes = (3, 3, 1, 4), (3, 3, 4, 2)
        kernels = [rng.integers(-2, 3, shape).astype(np.float32) for shape in shapes]
        image = sparse_image((*size, 1), seed=seed)
        assert_moves_exactly(lambda x, k=kernels: net(x, *k), image, total)
        features = net(all_rolls(image), *kernels).sum((1, 2))
        np.testing.assert_array_equal(features, features[:1].repeat(len(features), 0))


def _published(x):
    """Stride 2 as published: the first phase of the largest float norm."""
    phases = jnp.stack([x[:, i::2, j::2] for i in range(2) for j in range(2)], axis=1)
    norms = jnp.sqrt(jnp.sum(phases**2, (2, 3, 4)))
    best = jnp.argmax(norms, axis=1)
    return jnp.take_along_axis(phases, best[:, None, None, None, None], 1)[:, 0]


def test_published_rule_fails_where_two_phases_tie():
    image = np.zeros((8, 8, 2), np.float32)
    image[0, 0, 0] = image[2, 5, 1] = 1
    ours = compiled(lambda x: adaptive_polyphase(x, 2, 2, pool=None))
    assert_moves_exactly(ours, image, (2, 2))
    with pytest.raises(AssertionError):
        assert_moves_exactly(_published, image, (2, 2))


def test_one_choice_for_all_channels():
    rng = np.random.default_rng(0)
    x = rng.random((3, 6, 6, 4)).astype(np.float32)
    out = np.asarray(adaptive_polyphase(jnp.asarray(x), 2, 2, pool=None))
    for image, kept in zip(x, out, strict=True):
        phases = [image[i::2, j::2] for i in range(2) for j in range(2)]
        largest = max(phases, key=lambda phase: (phase.astype(np.float64) ** 2).sum())
        np.testing.assert_array_equal(kept, largest)


def test_choice_is_made_image_by_image():
    apply = compiled(lambda x: adaptive_polyphase(x, 2, 2))
    images = jnp.stack([sparse_image((6, 8, 2), seed=seed) for seed in range(8)])
    together = apply(images)
    for image, out in zip(images, together, strict=True):
        np.testing.assert_array_equal(apply(image), out)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float64])
@pytest.mark.parametrize("size", [(4, 6), (5, 4)])
def test_every_float_dtype_moves_exactly(size, dtype):
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        image = np.asarray(jnp.asarray(rng.normal(size=(*size, 2)), dtype))
        assert_moves_exactly(
            compiled(lambda x: adaptive_polyphase(x, 2, 2)),
            image,
            (2, 2),
        )


@pytest.mark.parametrize("special", [(np.inf,), (np.nan, np.inf, -np.inf)])
def test_moves_exactly_with_nan_and_infinity_and_shows_nan(special):
    size = 6, 8
    image = np.random.default_rng(0).normal(size=(*size, 1)).astype(np.float32)
    for place, value in enumerate(special, 1):
        image[place, place] = value
    # NaN is not equal to itself, but its bytes are.
    apply = compiled(lambda x: adaptive_polyphase(x, 2, 2, pool=None))
    out = np.asarray(apply(all_rolls(image)))
    shifts = {np.roll(out[0], s, (0, 1)).tobytes() for s in np.ndindex(out.shape[1:3])}
    assert {result.tobytes() for result in out} <= shifts
    assert np.isnan(out).any(axis=(1, 2, 3)).all() == np.isnan(special).any()


def test_choice_does_not_depend_on_a_scale_of_two():
    x = np.random.default_rng(0).normal(size=(16, 6, 8, 2))
    scales = 2.0 ** np.reshape([0, -100, -60, 60, 120], (-1, 1, 1, 1, 1))
    choices = compiled(lambda x: polyphase_choice(x, 2))(jnp.asarray(x * scales))
    np.testing.assert_array_equal(choices, choices[:1].repeat(5, 0))
    assert len(np.unique(choices[0], axis=0)) > 1


@pytest.mark.parametrize(
    ("size", "strides"), [((6, 8), (2, 2)), ((7, 9), (2, 3)), ((11,), (2,))]
)
def test_upsampling_puts_samples_back_where_they_were(size, strides):
    image = np.random.default_rng(0).normal(size=(*size, 2)).astype(np.float32)

    @compiled
    def there_and_back(x):
        choice = polyphase_choice(x, strides)
        kept = polyphase_downsample(x, choice, strides)
        return polyphase_upsample(kept, choice, strides, size)

    back = np.asarray(there_and_back(all_rolls(image)))
    np.testing.assert_array_equal(back, all_rolls(back[0]))
    kept = np.count_nonzero(back[0].any(-1))
    assert kept == np.prod([-(-n // s) for n, s in zip(size, strides, strict=True)])
    np.testing.assert_array_equal(back[0], np.where(back[0] == 0, 0, image))


def test_hash_moves_with_the_torus_and_tells_tori_apart():
    image = sparse_image((5, 6, 2))
    for hashed in compiled(lambda x: torus_hash(x, 2))(all_rolls(image)):
        hashed = np.asarray(hashed)
        rolled = all_rolls(hashed[0][..., None])[..., 0]
        np.testing.assert_array_equal(hashed, rolled)
        assert len(np.unique(hashed[0])) == hashed[0].size
    other = image.copy()
    other[4, 5, 1] += 1
    one, two = (torus_hash(jnp.asarray(x), 2)[0] for x in (image, other))
    assert not np.intersect1d(one, two).size


def test_hash_takes_equal_numbers_alike():
    x = np.float32([0.0, 1.0, np.nan, 2.0])[:, None]
    same = np.float32([-0.0, 1.0, -np.nan, 2.0])[:, None]
    one, two = (jnp.stack(torus_hash(jnp.asarray(v), 1)) for v in (x, same))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("count", [1, 2, 5, 8, 13])
def test_sums_equal_those_of_big_integers(count):
    rng = np.random.default_rng(count)
    high, low = rng.integers(0, 1 << 28, 13), rng.integers(0, 1 << 32, 13)
    values = Wide(*(jnp.asarray(v, jnp.uint32) for v in (high, low)))

    def turned(values, distance):
        return Wide(*(jnp.roll(v, -distance) for v in values))

    sums = strided_sums(values, count, 3, turned, add)
    whole = [int(h) << 32 | int(part) for h, part in zip(high, low, strict=True)]
    got = [int(h) << 32 | int(part) for h, part in zip(*sums, strict=True)]
    assert got == [
        sum(whole[(o + 3 * i) % 13] for i in range(count)) for o in range(13)
    ]


@pytest.mark.parametrize("bits", [7, 16, 32])
def test_fixed_point_equals_that_of_fractions(bits):
    x = np.float32([3.7, -0.1, 2.0**-9, 0, 1e-30, -3.9999998])
    got = fixed_point(jnp.asarray(x), bits, (0,))
    wanted = [int(abs(float(v)) * 2**bits // 4) for v in x]
    assert np.asarray(got).tolist() == wanted


def test_words_of_float64_keep_all_bits():
    x = np.array([1.0, 1.0 + 2**-52, -0.0, 0.0])
    with jax.enable_x64(True):
        high, low = words(jnp.asarray(x))
    assert high[0] == high[1] and low[0] != low[1]
    assert high[2] == high[3] == low[2] == low[3] == 0


def test_rotation_is_a_roll_under_every_transformation():
    x = np.random.default_rng(0).normal(size=(3, 4, 5, 2)).astype(np.float32)
    x, offset = jnp.asarray(x), jnp.asarray([[0, 3], [-1, 7], [2, 2]])
    wanted = np.stack([np.roll(i, -o, (0, 1)) for i, o in zip(x, offset, strict=True)])
    np.testing.assert_array_equal(rotate(x, offset), wanted)
    np.testing.assert_array_equal(jax.vmap(rotate)(x, offset), wanted)
    out, pull = jax.vjp(lambda x: rotate(x, offset), x)
    np.testing.assert_array_equal(pull(out)[0], x)
    same = jax.vmap(rotate, (None, 0))(x[0], offset)
    assert same.shape == (3, 4, 5, 2)
    np.testing.assert_array_equal(same[1], np.roll(x[0], -offset[1], (0, 1)))


def test_gradient_goes_to_the_samples_that_were_kept():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 8, 3)), jnp.float32)

    @compiled
    def gradient_and_kept(x):
        choice = polyphase_choice(x, 2)
        gradient = jax.grad(lambda x: adaptive_polyphase(x, 2, 2, pool=None).sum())
        ones = jnp.ones((2, 3, 4, 3))
        return gradient(x), polyphase_upsample(ones, choice, 2, (6, 8))

    gradient, kept = gradient_and_kept(x)
    np.testing.assert_array_equal(gradient, kept)


@pytest.mark.parametrize("shape", [(0, 8, 7, 3), (2, 0, 8, 7, 3), (2, 8, 7, 0)])
def test_maps_without_examples_or_channels_give_such(shape):
    def there_and_back(x):
        choice = polyphase_choice(x, 2)
        kept = polyphase_downsample(x, choice, 2)
        return polyphase_upsample(kept, choice, 2, (8, 7))

    @compiled
    def value_and_gradient(x):
        out, pull = jax.vjp(there_and_back, x)
        return out, *pull(out)

    x = jnp.zeros(shape)
    out, gradient = value_and_gradient(x)
    assert out.shape == gradient.shape == shape
    assert jax.vmap(there_and_back)(x[None]).shape == (1, *shape)


def test_each_is_one_named_equation():
    x, choice = jnp.ones((2, 6, 7, 3), jnp.bfloat16), jnp.zeros((2, 2), jnp.int32)
    path = "strides=(2, 3), output_shape="
    for function, name in {
        (lambda x: polyphase_choice(x, (2, 3), p=1)): (
            f"polyphase_choice({path}(3, 3), p=1)"
        ),
        (lambda x: polyphase_downsample(x, choice, (2, 3))): (
            f"polyphase_downsample({path}(3, 3))"
        ),
        (lambda x: polyphase_upsample(x, choice, (2, 3), (12, 21))): (
            f"polyphase_upsample({path}(12, 21))"
        ),
    }.items():
        (equation,) = jax.make_jaxpr(function)(x).eqns
        assert equation.params["name"] == name


X, CHOICE = jnp.ones((2, 6, 4, 3)), jnp.zeros((2, 2), jnp.int32)
REFUSED = [
    (lambda: adaptive_polyphase(X, 2, p=3), ValueError, "p 3 must be 1 or 2"),
    (
        lambda: adaptive_polyphase(X, 2, boundary="reflect"),
        ValueError,
        "adaptive_polyphase has no boundary 'reflect'; choose from circular",
    ),
    (
        lambda: adaptive_polyphase(X, 2, pool="maxpool"),
        ValueError,
        "unknown pool 'maxpool'",
    ),
    (
        lambda: adaptive_polyphase(X.astype(jnp.int32), 2),
        TypeError,
        "floating-point map, got int32",
    ),
    (lambda: polyphase_choice(X, 0), ValueError, "must be at least 1 everywhere"),
    (
        lambda: polyphase_choice(X[0, 0], 2),
        ValueError,
        r"2 spatial axes need a map .* got shape \(4, 3\)",
    ),
    (
        lambda: polyphase_choice(X, ()),
        ValueError,
        r"strides \(\) must have 1 to 3 entries",
    ),
    (lambda: polyphase_choice(X, 2, p=2.0), TypeError, "p takes an integer, got 2.0"),
    (lambda: polyphase_choice([[1.0]], 2), TypeError, "must be an array, got list"),
    (lambda: polyphase_choice(X[:, :0], 2), ValueError, "has no samples"),
    (
        lambda: polyphase_downsample(X, [0, 0], 2),
        TypeError,
        "choice must be an array, got list",
    ),
    (
        lambda: polyphase_downsample(X, jnp.zeros((2, 2)), 2),
        TypeError,
        "a choice holds integers, got float32",
    ),
    (
        lambda: polyphase_downsample(X, CHOICE[:1], 2),
        ValueError,
        r"choice of shape \(1, 2\) must have shape \(2, 2\)",
    ),
    (
        lambda: polyphase_upsample(X > 0, CHOICE, 2, 12),
        TypeError,
        "map must hold numbers, got bool",
    ),
    (
        lambda: polyphase_upsample([[1.0]], CHOICE, 2, 12),
        TypeError,
        "must be an array, got list",
    ),
    (
        lambda: polyphase_upsample(X, jnp.zeros((2, 2), jnp.int32), 2, (12, 6)),
        ValueError,
        r"\(6, 4\) samples \(2, 2\) apart do not fit output_shape \(12, 6\)",
    ),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_call_is_refused_in_one_line(call, error, message):
    with pytest.raises(error, match=message):
        call()
