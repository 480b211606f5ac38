"""Parameters on disk, and the digest that names them."""

import jax
import jax.numpy as jnp
import numpy as np
import tiny

from cnnlab.training.checkpoint import params_hash, restore, save


def tree():
    """Arrays of several shapes and dtypes, with values that a detour would change."""
    odd = np.array([0.0, -0.0, np.inf, np.nan, 1e-42, 1 / 3], np.float32)
    return {
        "params": {
            "Conv_0": {"kernel": odd.reshape(1, 2, 3), "bias": odd[:1]},
            "Dense_10": {"kernel": jnp.asarray(odd, jnp.bfloat16)},
            "Dense_9": {"kernel": np.arange(3, dtype=np.int32)},
        },
        "scale": np.float32(2),
    }


def contents(tree):
    """Every array's path, dtype, shape and bytes."""
    return {
        jax.tree_util.keystr(path): (leaf.dtype, leaf.shape, np.asarray(leaf).tobytes())
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def test_what_is_restored_is_what_was_saved_bit_for_bit(tmp_path):
    save(tmp_path / "there", tree())
    assert contents(restore(tmp_path / "there")) == contents(tree())


def test_a_later_save_replaces_an_earlier_one(tmp_path):
    save(tmp_path, {"params": {"old": np.ones(3), "bias": np.ones(2)}})
    save(tmp_path, {"params": {"bias": np.zeros(2)}})
    assert contents(restore(tmp_path)) == contents({"params": {"bias": np.zeros(2)}})


def test_a_restored_network_predicts_as_before(tmp_path):
    model = tiny.Net(normalised=True)
    variables = tiny.train(model, epochs=1).variables
    save(tmp_path / "net", variables)
    restored = restore(tmp_path / "net")
    assert params_hash(restored) == params_hash(variables)
    data = tiny.data()
    images = data.scaling(data.images)
    np.testing.assert_array_equal(
        model.apply(restored, images), model.apply(variables, images)
    )


def test_the_hash_does_not_see_the_order_of_entries():
    first = {"a": {"x": np.ones(2), "y": np.zeros(3)}, "b": np.arange(4)}
    other = {"b": np.arange(4), "a": {"y": np.zeros(3), "x": np.ones(2)}}
    assert params_hash(first) == params_hash(other)


def test_the_hash_does_not_see_where_arrays_live():
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    other = np.asfortranarray(values)
    hashes = {params_hash({"w": w}) for w in (values, other, jnp.asarray(values))}
    assert len(hashes) == 1


def test_the_hash_sees_one_bit():
    values = np.linspace(0, 1, 5, dtype=np.float32)
    changed = values.copy()
    changed.view(np.uint32)[3] ^= 1
    assert params_hash({"w": values}) != params_hash({"w": changed})


def test_the_hash_sees_which_array_is_which():
    ones, zeros = np.ones(3), np.zeros(3)
    assert params_hash({"a": ones, "b": zeros}) != params_hash({"a": zeros, "b": ones})
