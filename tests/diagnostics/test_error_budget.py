"""Whose fault a change under shifts is: nets with one cause each, and mixtures."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.diagnostics.error_budget import error_budget
from cnnlab.ops.registry import parse_spec

SIZE, CHANNELS, CLASSES = 8, 4, 3


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(6, SIZE, SIZE, 2))


def weights(stride):
    generator = np.random.default_rng(1)
    kernel = generator.normal(size=(3, 3, 2, CHANNELS))
    side = SIZE // stride
    to_classes = generator.normal(size=(CHANNELS, CLASSES))
    from_places = generator.normal(size=(side, side, CHANNELS, CLASSES)) / side
    return kernel, to_classes, from_places


def numpy_net(stride, boundary, head):
    """(features, head) of a convolution 3x3, a ReLU and one linear layer."""
    kernel, to_classes, from_places = weights(stride)

    def features(images):
        mode = "wrap" if boundary == "circular" else "constant"
        padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode)
        height, width = images.shape[1:3]
        maps = sum(
            padded[:, y : y + height, x : x + width] @ kernel[y, x]
            for y, x in itertools.product(range(3), repeat=2)
        )
        return np.maximum(maps[:, ::stride, ::stride], 0)

    def mean(maps):
        return 3 * maps.mean((1, 2)) @ to_classes

    def flatten(maps):
        return np.einsum("nhwc,hwck->nk", maps, from_places)

    return features, {"mean": mean, "flatten": flatten}[head]


def jax_net(stride, boundary, head):
    """The same from JAX's own operations."""
    kernel, to_classes, from_places = map(jnp.asarray, weights(stride))

    @jax.jit
    def features(images):
        mode = "wrap" if boundary == "circular" else "constant"
        padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode)
        return jax.nn.relu(
            jax.lax.conv_general_dilated(
                padded,
                kernel.astype(images.dtype),
                (stride, stride),
                "VALID",
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
        )

    @jax.jit
    def to_logits(maps):
        if head == "mean":
            return 3 * jnp.mean(maps, (1, 2)) @ to_classes
        return maps.reshape(len(maps), -1) @ from_places.reshape(-1, CLASSES)

    return features, to_logits


def in_one(net):
    return lambda images: net[1](net[0](images))


PURE = {
    "aliasing": (2, "circular", "mean"),
    "boundary": (1, "zero", "mean"),
    "head": (1, "circular", "flatten"),
}


@pytest.mark.parametrize("outputs", ["probabilities", "logits"])
@pytest.mark.parametrize("make", [numpy_net, jax_net])
@pytest.mark.parametrize("cause", PURE)
def test_a_net_with_one_cause_changes_by_that_alone(images, cause, make, outputs):
    images = images.astype(np.float32)
    stride, boundary, head = PURE[cause]
    net = make(stride, boundary, head)
    got = error_budget(net, images, stride=stride, outputs=outputs)
    shares = got.shares
    assert set(shares) == {"aliasing", "boundary", "head"}
    for name, share in shares.items():
        assert share.mean >= 0.95 if name == cause else abs(share.mean) <= 0.05
    assert sum(share.mean for share in shares.values()) == pytest.approx(1)
    # They are far sharper than that: what remains is rounding.
    assert shares[cause].mean == pytest.approx(1, abs=1e-4)


def by_hand(net, image, stride):
    """(total, aliasing, head) of one image's logits, from all outputs at once."""
    features, head = net
    steps = SIZE // stride
    rolls = list(itertools.product(range(stride), repeat=2))
    points = list(itertools.product(range(steps), repeat=2))

    def at(dy, dx):
        return features(np.roll(image, (dy, dx), (0, 1))[None])

    reached = np.array(
        [
            [head(at(p + stride * m, q + stride * n))[0] for m, n in points]
            for p, q in rolls
        ]
    )
    followed = np.array(
        [
            [head(np.roll(at(p, q), point, (1, 2)))[0] for point in points]
            for p, q in rolls
        ]
    )
    total = reached.reshape(-1, CLASSES).var(0).sum()
    aliasing = reached.mean(1).var(0).sum()
    shared = sum(
        np.cov(reached[p, :, k], followed[p, :, k], bias=True)[0, 1]
        for p in range(len(rolls))
        for k in range(CLASSES)
    )
    return total, aliasing, shared / len(rolls)


@pytest.mark.parametrize("head", ["mean", "flatten"])
@pytest.mark.parametrize("boundary", ["zero", "circular"])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_mixtures_are_the_formula_and_add_up(images, stride, boundary, head):
    net = numpy_net(stride, boundary, head)
    got = error_budget(net, images[:2], stride=stride, outputs="logits", batch_size=1)
    wanted = np.array([by_hand(net, image, stride) for image in images[:2]])
    for name, values in zip(("total", "aliasing", "head"), wanted.T, strict=True):
        np.testing.assert_allclose(getattr(got, name), values, atol=1e-12, rtol=1e-9)
    parts = got.aliasing + got.boundary + got.head
    np.testing.assert_allclose(parts, got.total, atol=1e-12)
    if boundary == "circular":
        np.testing.assert_allclose(got.boundary, 0, atol=1e-12)
    if head == "mean":
        np.testing.assert_allclose(got.head, 0, atol=1e-12)
    if stride == 1:
        np.testing.assert_array_equal(got.aliasing, 0)


def test_of_one_function_boundary_and_head_stay_one_number(images):
    net = numpy_net(2, "zero", "flatten")
    whole = error_budget(in_one(net), images, stride=2)
    parted = error_budget(net, images, stride=2)
    assert whole.boundary is None and whole.head is None
    assert set(whole.shares) == {"aliasing", "boundary and head"}
    np.testing.assert_allclose(whole.total, parted.total, rtol=1e-9)
    np.testing.assert_allclose(whole.aliasing, parted.aliasing, rtol=1e-9)
    np.testing.assert_allclose(
        whole.boundary_and_head, parted.boundary + parted.head, rtol=1e-9
    )
    assert 0.01 < whole.shares["aliasing"].mean < 0.95


def test_intervals_cover_the_ratio_of_the_means(images):
    got = error_budget(numpy_net(2, "zero", "flatten"), images, stride=2)
    share = got.shares["aliasing"]
    assert share.mean == pytest.approx(got.aliasing.mean() / got.total.mean())
    assert share.low < share.mean < share.high and share.n == len(images)
    one = error_budget(numpy_net(2, "zero", "flatten"), images[:1], stride=2)
    assert one.shares["aliasing"].low is None


def test_an_invariant_net_has_no_shares(images):
    images = images.astype(np.float32)
    got = error_budget(jax_net(1, "circular", "mean"), images)
    assert got.shares is None and (np.abs(got.total) < 1e-10).all()


def test_some_multiples_and_a_stride_that_does_not_divide(images):
    # 7 rows, stride 2 down and 1 to the right.
    net = numpy_net(1, "zero", "mean")
    odd = images[:, :7]
    with pytest.raises(ValueError, match="does not divide images 7x8: name the mult"):
        error_budget(net, odd, stride=2)
    got = error_budget(in_one(net), odd, stride=(2, 1), multiples=(0, 1, -1))
    rolls = np.array(
        [
            [
                in_one(net)(np.roll(odd, (p + 2 * m, n), (1, 2)))
                for m, n in itertools.product((0, 1, -1), repeat=2)
            ]
            for p in (0, 1)
        ]
    )
    exponents = np.exp(rolls)
    rolls = exponents / exponents.sum(-1, keepdims=True)
    np.testing.assert_allclose(got.total, rolls.var((0, 1)).sum(-1), rtol=1e-9)
    np.testing.assert_allclose(got.aliasing, rolls.mean(1).var(0).sum(-1), rtol=1e-9)


def test_the_spec_gives_the_numbers_again(images):
    net = numpy_net(2, "zero", "flatten")
    options = {"stride": 2, "multiples": range(-1, 2), "outputs": "logits"}
    got = error_budget(net, images, **options)
    name, options = parse_spec(got.spec)
    again = error_budget(net, images, batch_size=4, **options)
    assert name == "error_budget" and again.spec == got.spec
    np.testing.assert_allclose(again.total, got.total, rtol=1e-12)
    np.testing.assert_allclose(again.head, got.head, rtol=1e-12)


def noisy(function):
    calls = itertools.count(1)
    return lambda x: function(x) * next(calls)


FEATURES, HEAD = numpy_net(2, "zero", "mean")


@pytest.mark.parametrize(
    "net, options, message",
    [
        (lambda images: images.sum(-1), {}, "must give logits [6, classes]"),
        ((lambda images: images.sum((1, 2)), HEAD), {}, "features must give maps [6,"),
        ((FEATURES, lambda maps: maps), {}, "must give logits"),
        ((noisy(FEATURES), HEAD), {}, "features changes between calls"),
        ((FEATURES, noisy(HEAD)), {}, "head changes between calls"),
        (noisy(in_one((FEATURES, HEAD))), {}, "is dropout left on?"),
        ((FEATURES, HEAD), {"stride": 0}, "stride 0 must be at least 1"),
        ((FEATURES, HEAD), {"stride": (1, 2, 3)}, "one or two integers, got (1, 2, 3)"),
        ((FEATURES, HEAD), {"stride": 3}, "does not divide images 8x8"),
        ((FEATURES, HEAD), {"outputs": "classes"}, "unknown outputs 'classes'"),
        ((FEATURES, HEAD), {"multiples": (1, 2)}, "must hold 0"),
        ((FEATURES, HEAD), {"multiples": (0, 1, 1)}, "each once"),
        ((FEATURES, HEAD), {"multiples": range(9)}, "the largest roll is 7"),
        ((FEATURES, HEAD), {"batch_size": -1}, "batch_size -1 must be at least 1"),
    ],
)
def test_refusals(images, net, options, message):
    with pytest.raises(ValueError) as refused:
        error_budget(net, images, **options)
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_images_that_are_none(images):
    with pytest.raises(ValueError, match="got shape \\(8, 8, 2\\)"):
        error_budget((FEATURES, HEAD), images[0])
    with pytest.raises(
        TypeError, match="or the pair \\(features, head\\), got 3 of them"
    ):
        error_budget((FEATURES, FEATURES, HEAD), images)
    images[3, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="finite, image 3 is not"):
        error_budget((FEATURES, HEAD), images)
