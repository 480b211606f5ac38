"""Agreement under shifts, against every pair written out and closed forms."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.diagnostics import shifts

CLASSES = 3


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(size=(10, 7, 6, 2)).astype(np.float32)


@pytest.fixture
def labels():
    return np.array([0, 1, 2, 0, 1, 2, 0, 1, 1, 0])


def predict(images):
    """Logits that tell every pixel from every other, in NumPy."""
    weights = np.random.default_rng(1).normal(size=(*images.shape[1:], CLASSES))
    return np.einsum("nhwc,hwck->nk", images, weights)


def seen(image, dy, dx):
    """The class of one image that moves circularly, pixel by pixel."""
    height, width = image.shape[:2]
    moved = np.empty_like(image)
    for y, x in itertools.product(range(height), range(width)):
        moved[(y + dy) % height, (x + dx) % width] = image[y, x]
    return int(predict(moved[None]).argmax())


SPEC = "shift(circular, -1..1 x 0..2, {}, per image)"
MOVES = list(itertools.product([-1, 0, 1], [0, 1, 2]))
ALL_PAIRS = list(itertools.combinations(MOVES, 2))
UNSHIFTED = [((0, 0), move) for move in MOVES if move != (0, 0)]


@pytest.mark.parametrize(
    "pairs, wanted", [("all pairs", ALL_PAIRS), ("with the unshifted", UNSHIFTED)]
)
def test_numbers_are_those_of_every_pair(images, labels, pairs, wanted):
    got = shifts.consistency(predict, images, SPEC.format(pairs), labels, batch_size=4)
    looks = [{move: seen(image, *move) for move in MOVES} for image in images]
    agree = [np.mean([own[a] == own[b] for a, b in wanted]) for own in looks]
    np.testing.assert_allclose(got.agreement, agree)
    assert got.overall.mean == pytest.approx(np.mean(agree))
    chance = [
        np.mean(
            [
                (own[a] == other[b]) / 2 + (own[b] == other[a]) / 2
                for j, other in enumerate(looks)
                if j != i and labels[j] == labels[i]
                for a, b in wanted
            ]
        )
        for i, own in enumerate(looks)
    ]
    np.testing.assert_allclose(got.chance, chance)
    beyond = np.mean(agree) - np.mean(chance)
    assert got.beyond_accuracy.mean == pytest.approx(beyond)
    right = [
        [own[move] == label for move in MOVES]
        for own, label in zip(looks, labels, strict=True)
    ]
    assert got.accuracy.mean == pytest.approx(np.mean(right))
    correct = np.array([own[0, 0] for own in looks]) == labels
    assert 0 < correct.sum() < len(labels)
    assert got.among_correct.mean == pytest.approx(np.mean(np.array(agree)[correct]))
    assert got.among_wrong.mean == pytest.approx(np.mean(np.array(agree)[~correct]))


def test_drawn_pairs_compare_two_moved_copies_shared_by_a_batch(images):
    seen_moves, classes = [], []

    def watched(images):
        seen_moves.append(images[:, 0, 0, 0].astype(int))
        classes.append(seen_moves[-1] % CLASSES)
        return np.eye(CLASSES)[classes[-1]]

    # Each pixel says where it is, so that the first one tells how far an image moved.
    places = np.arange(7)[:, None] * 10 + np.arange(6)
    images = np.broadcast_to(places[None, :, :, None], (10, 7, 6, 1)).astype(float)
    spec = "chaman_2021(max_shift=2, batch=4, passes=50)"
    got = shifts.consistency(watched, images, spec, batch_size=10)
    # The first three find out whether predict can be asked, the last is unshifted.
    first = np.array(seen_moves[3:-1])
    assert first.shape == (100, 10) and (seen_moves[-1] == 0).all()
    moves = np.stack([-(first // 10) % 7, -(first % 10) % 6], -1)
    moves = np.where(moves > 3, moves - [7, 6], moves)
    for group in (slice(0, 4), slice(4, 8), slice(8, 10)):
        assert (moves[:, group] == moves[:, group][:, :1]).all()
    # 300 draws leave none of the four out, and never take the upper end.
    for axis in (0, 1):
        assert set(moves[..., axis].ravel().tolist()) == {-2, -1, 0, 1}
    agree = np.array(classes[3:-1:2]) == np.array(classes[4:-1:2])
    np.testing.assert_allclose(got.agreement, agree.mean(0))
    assert (moves[::2] != moves[1::2]).any() and (moves[:, 0] != moves[:, 4]).any()


def test_zhang_draws_what_the_full_grid_expects(images):
    # Two of n offsets are one with chance 1/n, and else a pair of different ones.
    exact = shifts.consistency(
        predict_crop,
        images[:, :6],
        "shift(crop, 0..1, all pairs, per image, canvas=6, crop=4)",
    )
    drawn = shifts.consistency(
        predict_crop, images[:, :6], "zhang_2019(canvas=6, crop=4, passes=400, batch=1)"
    )
    wanted = 1 / 4 + 3 / 4 * exact.agreement
    deviation = np.sqrt(wanted * (1 - wanted) / 400)
    assert (np.abs(drawn.agreement - wanted) <= 5 * deviation).all()
    assert 0 < exact.overall.mean < 1


def predict_crop(images):
    assert images.shape[1:3] == (4, 4)
    return predict(images)


def table_predict(table):
    """Predicts for image number i, moved by (dy, dx), the class `table[i][dy, dx]`."""

    def predict(images):
        # The one bright pixel says where the image is; its value which it is.
        flat = images[..., 0].reshape(len(images), -1)
        where = flat.argmax(1)
        number = flat.max(1).astype(int) - 1
        rows, columns = np.divmod(where, images.shape[2])
        return np.eye(CLASSES)[table[number, rows, columns]]

    return predict


def numbered(count, size):
    images = np.zeros((count, size, size, 1))
    images[:, 0, 0, 0] = np.arange(count) + 1
    return images


GRID = "shift(circular, 0..2, all pairs, per image)"


def test_a_perfect_net_agrees_by_its_accuracy_alone():
    labels = np.arange(9) % CLASSES
    table = np.broadcast_to(labels[:, None, None], (9, 3, 3))
    got = shifts.consistency(table_predict(table), numbered(9, 3), GRID, labels)
    assert got.overall.mean == 1 and got.beyond_accuracy == (0, 0, 0, 9)
    assert got.among_wrong is None and got.among_correct.mean == 1


def test_an_invariant_net_keeps_its_mistakes():
    # Of the four images of each label two are seen as 0 and two as 1, whatever moves:
    # of an image's three fellows one is seen alike.
    labels = np.repeat([0, 1, 2], 4)
    kinds = np.tile([0, 0, 1, 1], 3)
    table = np.broadcast_to(kinds[:, None, None], (12, 3, 3))
    got = shifts.consistency(table_predict(table), numbered(12, 3), GRID, labels)
    np.testing.assert_allclose(got.chance, 1 / 3)
    assert got.overall.mean == 1
    assert got.beyond_accuracy.mean == pytest.approx(2 / 3)


def test_answers_that_know_the_place_alone_agree_by_chance():
    # All images are seen alike at each displacement, by its column's number.
    table = np.broadcast_to(np.arange(3), (6, 3, 3))
    labels = np.zeros(6, int)
    got = shifts.consistency(table_predict(table), numbered(6, 3), GRID, labels)
    # Of 36 pairs of 9 looks, 3 in each of 3 columns agree.
    assert got.overall.mean == pytest.approx(9 / 36)
    np.testing.assert_allclose(got.chance, 9 / 36)
    assert got.beyond_accuracy.mean == pytest.approx(0)


def test_independent_draws_agree_by_chance_and_the_interval_knows():
    # Right with chance 0.6, else either mistake; 60 repetitions of 40 images.
    generator = np.random.default_rng(5)
    labels = np.arange(40) % CLASSES
    covered, means, chances = 0, [], []
    for _ in range(60):
        wrong = (labels[:, None, None] + generator.integers(1, 3, (40, 3, 3))) % 3
        right = generator.random((40, 3, 3)) < 0.6
        table = np.where(right, labels[:, None, None], wrong)
        got = shifts.consistency(table_predict(table), numbered(40, 3), GRID, labels)
        low, high = got.beyond_accuracy[1:3]
        covered += low <= 0 <= high
        means.append(got.beyond_accuracy.mean)
        chances.append(got.chance.mean())
    assert np.mean(chances) == pytest.approx(0.6**2 + 2 * 0.2**2, abs=0.01)
    assert abs(np.mean(means)) < 0.01
    # 95 % of 60 are 57; fewer than 50 have a chance of 1e-3.
    assert covered >= 50


def test_an_image_without_fellows_is_left_out_of_chance(images):
    labels = np.array([0, 1, 1, 1, 1, 1, 1, 1, 1, 1])
    got = shifts.consistency(predict, images, SPEC.format("all pairs"), labels)
    assert np.isnan(got.chance[0]) and np.isfinite(got.chance[1:]).all()
    assert got.beyond_accuracy.n == 9
    alone = shifts.consistency(
        predict, images[:3], SPEC.format("all pairs"), np.arange(3)
    )
    assert alone.beyond_accuracy is None


def test_without_labels_agreement_alone_is_known(images):
    got = shifts.consistency(predict, images)
    assert got.overall.n == 10
    with pytest.raises(ValueError, match="without labels"):
        _ = got.among_correct


def test_a_jax_function_and_jax_images_do_as_well(images, labels):
    weights = jnp.asarray(
        np.random.default_rng(1).normal(size=(7, 6, 2, CLASSES)), jnp.float32
    )

    def jax_predict(images):
        return jnp.einsum("nhwc,hwck->nk", images, weights).astype(jnp.float16)

    spec = SPEC.format("all pairs")
    got = shifts.consistency(jax_predict, jnp.asarray(images), spec, labels)
    wanted = shifts.consistency(predict, images, spec, labels)
    np.testing.assert_array_equal(got.agreement, wanted.agreement)
