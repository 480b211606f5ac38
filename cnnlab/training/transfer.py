"""A trained net's backbone under a new head, trained in part or as a whole.

Parameters are named by their paths, such as "BasicBlock_0/Conv_0/kernel".
"""

import fnmatch
import functools
import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import traverse_util

from cnnlab.layers import BatchNorm
from cnnlab.training.state import TrainState

_SHOWN_PATHS = 4


def head_of(model: nn.Module, image_shape: tuple[int, int, int]) -> frozenset[str]:
    """The paths of the parameters whose shapes go with `model.num_classes`.

    Heads in the middle of a network, as GoogLeNet has them, are among them.

    Raises:
        ValueError: the model has no such parameters.
    """
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    one, two = (
        _shapes(
            jax.eval_shape(
                model.clone(num_classes=classes).init, jax.random.key(0), images
            )["params"]
        )
        for classes in (1, 2)
    )
    head = frozenset(path for path in two if two[path] != one[path])
    if not head:
        raise ValueError("the model has no parameters that go with its classes")
    return head


def check_backbone(
    variables: Mapping[str, Any], fresh: Mapping[str, Any], head: Collection[str]
) -> None:
    """Lets a trained net's variables pass that fit another's, but for the head.

    Args:
        fresh: arrays, or `jax.ShapeDtypeStruct`.

    Raises:
        ValueError: something else than the head differs in its path or shape.
    """
    trained, wanted = _shapes(variables), _shapes(fresh)
    for path in sorted((trained.keys() | wanted.keys()) - _in_variables(head)):
        there, here = (
            list(shapes[path]) if path in shapes else "missing"
            for shapes in (trained, wanted)
        )
        if there != here:
            raise ValueError(
                f"{path} is {there} in the trained net and {here} in the one to train; "
                f"only the head may differ: {_listed(head)}"
            )


def replace_head(
    variables: Mapping[str, Any], fresh: Mapping[str, Any], head: Collection[str]
) -> dict[str, Any]:
    """`variables` of a trained net, but for the head, which is that of `fresh`.

    Args:
        fresh: the variables of the net to train; every array takes its dtype.

    Raises:
        ValueError: as `check_backbone`.
    """
    check_backbone(variables, fresh, head)
    trained, begun = (
        traverse_util.flatten_dict(dict(tree), sep="/") for tree in (variables, fresh)
    )
    new = _in_variables(head)
    merged = {
        # Copies, as a step gives up the buffers that it gets.
        path: jnp.array(begun[path] if path in new else trained[path], leaf.dtype)
        for path, leaf in begun.items()
    }
    return traverse_util.unflatten_dict(merged, sep="/")


def matching(
    params: Any, patterns: Sequence[str], *, spared: Collection[str] = ()
) -> frozenset[str]:
    """The paths of the parameters that a pattern matches.

    A pattern is a glob of a whole path, or of its beginning up to a slash: "Conv_0" is
    all of that layer, "BasicBlock_[01]" two blocks, "*/bias" the biases within layers,
    and "*" everything.

    Args:
        spared: paths that no pattern matches.

    Raises:
        ValueError: a pattern that matches nothing.
    """
    paths = [path for path in _shapes(params) if path not in spared]
    found = set()
    for pattern in patterns:
        matched = {path for path in paths if _matches(path, pattern)}
        if not matched:
            raise ValueError(
                f"'{pattern}' matches none of the parameters, which are "
                f"{_listed(paths)}"
            )
        found |= matched
    return frozenset(found)


def frozen(
    optimizer: optax.GradientTransformation, paths: Collection[str]
) -> optax.GradientTransformation:
    """The optimizer for all parameters but those, which it neither sees nor changes.

    Norms of gradients, weight decay and moments are those of the others alone.
    """
    if not paths:
        return optimizer

    def labels(params):
        return jax.tree_util.tree_map_with_path(
            lambda path, _: "frozen" if _path(path) in paths else "trained", params
        )

    return optax.multi_transform(
        {"trained": optimizer, "frozen": optax.set_to_zero()}, labels
    )


class FrozenNorms(nn.Module):
    """A net whose frozen normalisations work in training as in evaluation.

    They normalise by their running statistics, and do not update them. Variables are
    those of `net`.

    Attributes:
        frozen: paths of parameters; a normalisation is frozen where its scale is.
    """

    net: nn.Module
    frozen: frozenset[str]

    def setup(self):
        nn.share_scope(self, self.net)

    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        # Not a method, as those of modules are intercepted themselves.
        as_in_evaluation = functools.partial(_as_in_evaluation, self.frozen)
        with nn.intercept_methods(as_in_evaluation):
            return self.net(x, train=train)


def begin_with(
    state: TrainState,
    variables: Mapping[str, Any],
    optimizer: optax.GradientTransformation,
) -> TrainState:
    """The state at step 0 of the same run, from those variables."""
    params = variables["params"]
    state = state._replace(
        params=params,
        batch_stats=variables.get("batch_stats", {}),
        opt_state=optimizer.init(params),
    )
    if state.average:
        state = state._replace(average=jax.tree.map(jnp.copy, state.variables))
    return state


def _as_in_evaluation(frozen, call, arguments, options, context):
    norm = context.module
    if (
        isinstance(norm, (BatchNorm, nn.BatchNorm))
        and context.method_name == "__call__"
        and "/".join((*norm.path, "scale")) in frozen
        and not norm.use_running_average
    ):
        fixed = norm.clone(parent=None, use_running_average=True)
        return fixed.apply(norm.variables, *arguments, **options)
    return call(*arguments, **options)


def _in_variables(head: Collection[str]) -> set[str]:
    return {f"params/{path}" for path in head}


def _shapes(params: Any) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {_path(path): jnp.shape(leaf) for path, leaf in leaves}


def _path(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _matches(path: str, pattern: str) -> bool:
    beginnings = itertools.accumulate(path.split("/"), "{}/{}".format)
    return any(fnmatch.fnmatchcase(beginning, pattern) for beginning in beginnings)


def _listed(paths: Collection[str]) -> str:
    first = sorted(paths)[:_SHOWN_PATHS]
    more = len(paths) - len(first)
    return ", ".join(first) + (f" and {more} more" if more > 0 else "")
