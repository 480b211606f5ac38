"""GoogLeNet in both forms, written out in PyTorch's functions on the same weights."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stock_layers import fast_compile, random_variables

from cnnlab.models import create_model

pytestmark = pytest.mark.peer

MODULES = ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"]


class InTorch:
    """The network's scores, then those of its auxiliary heads."""

    def __init__(self, variables, *, normalised, train):
        self.variables, self.normalised, self.train = variables, normalised, train

    def tensor(self, *path, collection="params"):
        import torch

        leaf = self.variables[collection]
        for key in path:
            leaf = leaf[key]
        return torch.tensor(np.asarray(leaf))

    def conv(self, x, *path, stride=1):
        from torch.nn import functional as F

        kernel = self.tensor(*path, "kernel").permute(3, 2, 0, 1)
        bias = None if self.normalised else self.tensor(*path, "bias")
        x = F.conv2d(x, kernel, bias, stride, kernel.shape[-1] // 2)
        if self.normalised:
            norm = *path[:-1], f"{path[-1]}_norm"
            seen = [
                self.tensor(*norm, key, collection="batch_stats")
                for key in ("mean", "var")
            ]
            weights = [self.tensor(*norm, key) for key in ("scale", "bias")]
            x = F.batch_norm(x, *seen, *weights, training=self.train, eps=1e-3)
        return F.relu(x)

    def dense(self, x, *path):
        return x @ self.tensor(*path, "kernel") + self.tensor(*path, "bias")

    def module(self, x, name):
        import torch
        from torch.nn import functional as F

        def conv(x, layer):
            return self.conv(x, name, layer)

        pooled = F.max_pool2d(x, 3, 1, padding=1, ceil_mode=True)
        branches = [
            conv(x, "1x1"),
            conv(conv(x, "3x3_reduce"), "3x3"),
            conv(conv(x, "5x5_reduce"), "5x5"),
            conv(pooled, "pool_proj"),
        ]
        return torch.cat(branches, 1)

    def auxiliary(self, x, name):
        from torch.nn import functional as F

        if self.normalised:
            x = F.adaptive_avg_pool2d(x, 4)
        else:
            x = F.avg_pool2d(x, 5, 3)
        x = self.conv(x, name, "reduce").permute(0, 2, 3, 1).flatten(1)
        return self.dense(F.relu(self.dense(x, name, "hidden")), name, "scores")

    def respond(self, x):
        from torch.nn import functional as F

        # PyTorch divides alpha by the size.
        return x if self.normalised else F.local_response_norm(x, 5, 5e-4, 0.75, 2.0)

    def scores(self, images):
        import torch
        from torch.nn import functional as F

        heads = []
        x = torch.tensor(np.asarray(images)).permute(0, 3, 1, 2)
        x = F.max_pool2d(self.conv(x, "conv1", stride=2), 3, 2, ceil_mode=True)
        x = self.conv(self.conv(self.respond(x), "conv2_reduce"), "conv2")
        x = F.max_pool2d(self.respond(x), 3, 2, ceil_mode=True)
        for name in MODULES:
            if name == "4a":
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            if name == "5a":
                size = 2 if self.normalised else 3
                x = F.max_pool2d(x, size, 2, ceil_mode=True)
            x = self.module(x, f"inception_{name}")
            if self.train and name in ("4a", "4d"):
                heads.append(self.auxiliary(x, f"auxiliary_{name}"))
        return [self.dense(x.mean((2, 3)), "scores"), *heads]


def without_dropout(call, args, kwargs, context):
    return args[0] if isinstance(context.module, nn.Dropout) else call(*args, **kwargs)


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", ["googlenet", "googlenet_bn"])
def test_scores_are_those_of_pytorch(name, train):
    pytest.importorskip("torch")
    x = jax.random.normal(jax.random.key(1), (3, 83, 96, 3))
    model = create_model(name, num_classes=5, auxiliary=True)
    variables = random_variables(model, x)

    def apply(variables, x):
        with nn.intercept_methods(without_dropout):
            mutable = ["batch_stats", "auxiliary"]
            return model.apply(variables, x, train=train, mutable=mutable)

    own, updated = fast_compile(apply)(variables, x)
    got = [own, *jax.tree.leaves(updated.get("auxiliary", {}))]
    reference = InTorch(variables, normalised=name.endswith("_bn"), train=train)
    wanted = reference.scores(x)
    assert len(got) == len(wanted) == (3 if train else 1)
    for ours, theirs in zip(got, wanted, strict=True):
        assert jnp.ptp(ours) > 0
        scale = float(abs(theirs).max())
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4 * scale)
