"""Weights in timm's names where torchvision has others, or no such network."""

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from cnnlab.errors import UserError
from cnnlab.models import create_model, load_pretrained

MEMBERS = {
    "resnet18_v2": lambda timm: timm.ResNetV2(timm.Block, (2, 2, 2, 2)),
    "resnet50_v2": lambda timm: timm.ResNetV2(timm.Bottleneck, (3, 4, 6, 3)),
}


def compared(tmp_path, name, network, tensors, side):
    """Our scores are those of `network`, whose weights a file has as `tensors`."""
    import torch
    from safetensors.torch import save_file as save_torch

    path = tmp_path / "weights.safetensors"
    save_torch(tensors, path)
    x = np.random.default_rng(0).normal(size=(2, side, side, 3)).astype(np.float32)
    with torch.no_grad():
        wanted = network(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()
    model = create_model(name)
    scores = jax.jit(model.apply)(load_pretrained(model, path), x)
    spread = np.std(wanted)
    assert spread > 0.1
    np.testing.assert_allclose(scores, wanted, rtol=0, atol=1e-4 * spread)


@pytest.mark.peer
@pytest.mark.parametrize("name", MEMBERS)
def test_scores_are_those_of_timms_preactivation_networks(tmp_path, name):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    import timm_modules
    from torch_modules import unlike_a_fresh_one

    network = unlike_a_fresh_one(MEMBERS[name](timm_modules))
    compared(tmp_path, name, network, network.state_dict(), 96)


@pytest.mark.peer
def test_scores_are_those_of_vgg_as_timm_stores_it(tmp_path):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    import torch_modules

    network = torch_modules.VGG((1, 1, 2, 2, 2), batch_norm=False)
    torch_modules.unlike_a_fresh_one(network)
    tensors = dict(network.state_dict())
    for theirs, timms, window in (
        ("classifier.0", "pre_logits.fc1", (512, 7, 7)),
        ("classifier.3", "pre_logits.fc2", (4096, 1, 1)),
        ("classifier.6", "head.fc", (4096,)),
    ):
        weight = tensors.pop(f"{theirs}.weight")
        tensors[f"{timms}.weight"] = weight.reshape(-1, *window)
        tensors[f"{timms}.bias"] = tensors.pop(f"{theirs}.bias")
    compared(tmp_path, "vgg11", network, tensors, 224)


def test_big_transfers_weights_are_refused(tmp_path):
    """They have the same names, and a normalisation without statistics."""
    block = "stages.0.blocks.0"
    tensors = {
        "stem.conv.weight": np.zeros((64, 3, 7, 7), np.float32),
        f"{block}.norm1.weight": np.zeros(64, np.float32),
        f"{block}.norm1.bias": np.zeros(64, np.float32),
    }
    path = tmp_path / "weights.safetensors"
    save_file(tensors, path)
    message = f"has no '{block}.norm1.running_mean', of which the model needs .64.$"
    with pytest.raises(UserError, match=message):
        load_pretrained(create_model("resnet18_v2"), path)
