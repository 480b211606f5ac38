"""Trees of arrays on disk, and the digest that names parameters."""

import errno
import importlib.metadata
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint
import pytest
import tiny
from bits import bits

from cnnlab.errors import UserError
from cnnlab.training import checkpoint
from cnnlab.training.checkpoint import params_hash, restore, save
from cnnlab.training.checkpoint_index import Damaged, Unreadable
from cnnlab.training.state import TrainState


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


def test_what_is_restored_is_what_was_saved_bit_for_bit(tmp_path):
    save(tmp_path / "there", tree())
    assert bits(restore(tmp_path / "there")) == bits(tree())


def test_a_later_save_replaces_an_earlier_one(tmp_path):
    save(tmp_path, {"params": {"old": np.ones(3), "bias": np.ones(2)}})
    save(tmp_path, {"params": {"bias": np.zeros(2)}})
    assert bits(restore(tmp_path)) == bits({"params": {"bias": np.zeros(2)}})


def test_a_restored_network_predicts_as_before(tmp_path):
    model = tiny.Net(normalised=True)
    variables = tiny.train(model, epochs=1).variables
    save(tmp_path / "net", variables)
    restored = restore(tmp_path / "net")
    assert params_hash(restored) == params_hash(variables)
    data = tiny.data()
    images = data.scaling(data.images)
    restored = jax.tree.map(jnp.asarray, restored)
    np.testing.assert_array_equal(
        model.apply(restored, images), model.apply(variables, images)
    )


def state():
    """A state of training with the optimizers' states that are hard to store."""
    params = {"Conv_0": {"kernel": jnp.ones((3, 3, 1, 2)), "bias": jnp.zeros(2)}}
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.masked(optax.add_decayed_weights(1e-4), {"Conv_0": False}),
        optax.inject_hyperparams(optax.sgd)(learning_rate=0.1, momentum=0.9),
        optax.ema(0.9),
    )
    opt_state = optax.MultiSteps(optimizer, 2).init(params)
    return TrainState(jnp.int32(3), jnp.int32(1), params, {}, opt_state)


def abstract(tree):
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)


DTYPES = (
    "bool int8 uint8 int16 uint16 int32 uint32 int64 uint64 "
    "bfloat16 float16 float32 float64 complex64"
).split()


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_every_dtype_comes_back(tmp_path, shape):
    patterns = np.random.default_rng(0).bytes(6 * 8)
    arrays = {
        # Arbitrary bits, among them NaNs; a bool has but two values.
        name: np.frombuffer(patterns, jnp.dtype(name))[: np.prod(shape, dtype=int)]
        if name != "bool"
        else np.arange(np.prod(shape, dtype=int)) % 2 == 0
        for name in DTYPES
    }
    arrays = {name: values.reshape(shape) for name, values in arrays.items()}
    arrays["-0"] = -np.zeros(shape)
    save(tmp_path / "there", arrays)
    assert bits(restore(tmp_path / "there")) == bits(arrays)
    assert bits(restore(tmp_path / "there", arrays)) == bits(arrays)


def test_a_state_of_training_comes_back_as_it_was(tmp_path):
    save(tmp_path / "there", state())
    restored = restore(tmp_path / "there", abstract(state()))
    assert jax.tree.structure(restored) == jax.tree.structure(state())
    assert bits(restored) == bits(state())
    assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(restored))


def test_a_state_of_training_comes_back_as_dictionaries(tmp_path):
    save(tmp_path / "there", state())
    restored = restore(tmp_path / "there")
    assert bits(restored["params"]) == bits(state().params)
    assert restored["batch_stats"] == {}
    assert bits(restored) == bits(state())


@pytest.mark.parametrize(
    "other, said",
    [
        ({"a": {"w": np.ones((2, 4))}}, "a/w is float64[2, 3], where float64[2, 4]"),
        ({"a": {"w": np.ones((2, 3), "f4")}}, "a/w is float64[2, 3], where float32"),
        (
            {"a": {"w": np.ones((2, 3)), "b": np.ones(1)}},
            "a/b is missing, where float64[1]",
        ),
        ({"b": np.ones(2)}, "b is missing, where float64[2]"),
        ({"a": {}}, "a/w is float64[2, 3], where nothing is wanted"),
    ],
)
def test_another_tree_is_refused_by_its_first_difference(tmp_path, other, said):
    save(tmp_path / "there", {"a": {"w": np.ones((2, 3))}})
    with pytest.raises(UserError) as refused:
        restore(tmp_path / "there", other)
    assert said in str(refused.value)
    assert str(refused.value).startswith("workdir: ")
    assert "\n" not in str(refused.value)


def test_an_array_that_is_restored_wrong_is_damage(tmp_path, monkeypatch):
    save(tmp_path / "there", {"w": np.arange(3.0), "b": np.arange(3)})
    for other in (
        {"w": np.array([0, 1, 2.0000000000000004]), "b": np.arange(3)},
        {"w": np.arange(3.0), "b": np.arange(3, dtype=np.uint64)},
        {"w": np.arange(3.0), "b": np.arange(3).reshape(1, 3)},
        {"w": np.arange(3.0)},
    ):
        monkeypatch.setattr(checkpoint, "read_arrays", lambda path, tree=other: tree)
        with pytest.raises(Damaged):
            restore(tmp_path / "there")


def test_files_without_digests_are_not_trusted(tmp_path):
    with orbax.checkpoint.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "bare", tree())
    for like in (None, tree()):
        with pytest.raises(Damaged, match="^index.json is missing$"):
            restore(tmp_path / "bare", like)


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def written_by(monkeypatch, path, tree, **versions):
    """Saves as other versions of what stores arrays would have."""
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "versions", lambda: versions)
        save(path, tree)


def unable(path):
    raise ValueError("no such\nformat")


def test_what_cannot_be_read_is_not_damage_where_its_files_are_whole(
    tmp_path, monkeypatch
):
    other = {"orbax-checkpoint": "0.1.2", "tensorstore": "0.3.4"}
    written_by(monkeypatch, tmp_path / "there", tree(), **other)
    before = contents(tmp_path)
    monkeypatch.setattr(checkpoint, "read_arrays", unable)
    with pytest.raises(Unreadable, match="^workdir: the files of ") as refused:
        restore(tmp_path / "there")
    line = str(refused.value)
    here = {name: importlib.metadata.version(name) for name in other}
    for name in other:
        assert f"{name} {here[name]}" in line and f"{name} {other[name]}" in line
    assert str(tmp_path / "there") in line and "(no such format)" in line
    assert "\n" not in line and contents(tmp_path) == before
    # Where they are not, it is.
    stored = next(path for path in before if path.name != "index.json")
    os.truncate(tmp_path / stored, len(before[stored]) - 1)
    with pytest.raises(Damaged, match=f"{stored.name} has changed"):
        restore(tmp_path / "there")


def test_arrays_that_other_versions_read_otherwise_are_not_damage(
    tmp_path, monkeypatch
):
    written_by(monkeypatch, tmp_path / "there", {"w": np.arange(3.0)}, tensorstore="0")
    monkeypatch.setattr(checkpoint, "read_arrays", lambda path: {"w": np.ones(3)})
    with pytest.raises(Unreadable, match="the array w has changed"):
        restore(tmp_path / "there")


@pytest.mark.parametrize(
    "number, raised",
    [(errno.EACCES, Unreadable), (errno.EMFILE, Unreadable), (errno.EIO, Damaged)],
)
def test_a_file_that_is_not_open_to_us_is_not_damage(
    tmp_path, monkeypatch, number, raised
):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    save(tmp_path / "there", {"w": np.ones(3)})
    for place, name in (
        (checkpoint, "_digest_of_file"),
        (pathlib.Path, "read_bytes"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, refuse)
            with pytest.raises(raised, match=os.strerror(number)):
                restore(tmp_path / "there")
    assert bits(restore(tmp_path / "there")) == bits({"w": np.ones(3)})


def test_a_save_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    save(tmp_path / "there", {"w": np.ones(3)})
    for failing in ("write_arrays", "_flush", "_replace"):
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, failing, refuse)
            with pytest.raises(OSError, match="No space left"):
                save(tmp_path / "there", {"w": np.zeros(3)})
        assert [path.name for path in tmp_path.iterdir()] == ["there"]
        assert bits(restore(tmp_path / "there")) == bits({"w": np.ones(3)})


def refuse(*_):
    raise OSError(28, "No space left on device")


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
