"""Weights from files: what fits is loaded, and what does not is told in one line."""

import functools
import json
import pickle
import struct
import zipfile

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from flax import traverse_util
from safetensors.numpy import save_file

from cnnlab.errors import UserError
from cnnlab.models import create_model, list_models, load_pretrained
from cnnlab.models.description import Description
from cnnlab.models.pretrained import describe_weights, encode_weights
from cnnlab.models.torch_names import TorchModule, sources

# Small enough to be written often: a CIFAR stem, ten classes.
SMALL = "cifar_resnet18"
NAMED = [
    name
    for name in list_models()
    if hasattr(create_model(name), "torch_names")
    and create_model(name).torch_names() is not None
]
# Tracing hundreds of layers takes seconds.
DEEP = "101", "152", "34_v2", "50_v2"


@functools.cache
def shapes(model):
    images = jax.ShapeDtypeStruct((1, *model.image_shape), jnp.float32)
    tree = jax.eval_shape(model.init, jax.random.key(0), images)
    return traverse_util.flatten_dict(tree, sep="/")


def torch_shapes(model):
    """The tensors that PyTorch would have, written out from the model's shapes."""
    found, ours = {}, shapes(model)
    for path, name in model.torch_names().items():
        name = name.names[0] if isinstance(name, TorchModule) else name
        for leaf, of in (
            ("params/{}/kernel", "weight"),
            ("params/{}/bias", "bias"),
            ("params/{}/scale", "weight"),
            ("batch_stats/{}/mean", "running_mean"),
            ("batch_stats/{}/var", "running_var"),
        ):
            if leaf.format(path) in ours:
                shape = ours[leaf.format(path)].shape
                order = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[len(shape)]
                found[f"{name}.{of}"] = tuple(shape[axis] for axis in order)
    return found


@pytest.fixture(scope="module")
def tensors():
    """Random weights of the small network, as PyTorch has them."""
    draw = np.random.default_rng(0)
    return {
        name: draw.normal(size=shape).astype(np.float32)
        for name, shape in torch_shapes(create_model(SMALL)).items()
    }


def stored(tmp_path, tensors, metadata=None):
    path = tmp_path / "weights.safetensors"
    save_file(tensors, path, metadata)
    return path


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow)
        if any(depth in name for depth in DEEP)
        else name
        for name in NAMED
    ],
)
def test_every_layer_has_one_name_in_pytorch(name):
    model = create_model(name)
    names = torch_shapes(model)
    assert len(names) == len(shapes(model))
    known = [
        one
        for name in model.torch_names().values()
        for one in (name.names if isinstance(name, TorchModule) else (name,))
    ]
    assert len(set(known)) == len(known)


def test_a_tensor_becomes_our_kernel_bias_scale_and_statistics(tmp_path, tensors):
    counter = {"bn1.num_batches_tracked": np.asarray(7)}
    path = stored(tmp_path, tensors | counter)
    variables = load_pretrained(create_model(SMALL), path)
    kernel = variables["params"]["Conv_0"]["kernel"]
    theirs = tensors["conv1.weight"]
    for out, into, row, column in ((0, 0, 0, 0), (63, 2, 1, 2), (5, 1, 2, 0)):
        assert kernel[row, column, into, out] == theirs[out, into, row, column]
    block = variables["params"]["BasicBlock_2"]
    np.testing.assert_array_equal(
        block["projection_norm"]["scale"], tensors["layer2.0.downsample.1.weight"]
    )
    statistics = variables["batch_stats"]["BasicBlock_7"]["BatchNorm_1"]
    np.testing.assert_array_equal(
        statistics["var"], tensors["layer4.1.bn2.running_var"]
    )
    dense = variables["params"]["Dense_0"]
    np.testing.assert_array_equal(dense["kernel"], tensors["fc.weight"].T)
    np.testing.assert_array_equal(dense["bias"], tensors["fc.bias"])
    wanted = shapes(create_model(SMALL))
    found = traverse_util.flatten_dict(variables, sep="/")
    assert {path: leaf.shape for path, leaf in found.items()} == {
        path: leaf.shape for path, leaf in wanted.items()
    }


def test_blocks_in_a_loop_are_stacked_in_their_order():
    model = create_model("resnet50", scan=True)
    found = dict(sources(model.torch_names(), shapes(model), ()))
    assert found.keys() == shapes(model).keys()
    source = found["params/BottleneckBlock_1/Conv_1/kernel"]
    assert source.tensors == ("layer1.1.conv2.weight", "layer1.2.conv2.weight")
    draw = np.random.default_rng(0)
    tensors = [draw.normal(size=(64, 64, 3, 3)) for _ in range(2)]
    stack = source.assemble(tensors)
    assert stack.shape == shapes(model)["params/BottleneckBlock_1/Conv_1/kernel"].shape
    for place, tensor in enumerate(tensors):
        assert stack[place, 1, 2, 30, 4] == tensor[4, 30, 1, 2]


@pytest.mark.parametrize("window", [(20,), (5, 2, 2)])
def test_a_dense_layer_reads_the_flattened_map_in_our_order(window):
    names = {"Dense_0": TorchModule(("theirs", "fc"), channels=5)}
    variables = {"params/Dense_0/kernel": jax.ShapeDtypeStruct((20, 3), jnp.float32)}
    ((_, source),) = sources(names, variables, {"fc.weight"})
    assert source.tensors == ("fc.weight",)
    assert (3, *window) in source.shapes
    # The score of a map, whose channels come first for PyTorch and last for us.
    draw = np.random.default_rng(0)
    weight, x = draw.normal(size=(3, *window)), draw.normal(size=(5, 2, 2))
    theirs = weight.reshape(3, -1) @ x.reshape(-1)
    ours = x.transpose(1, 2, 0).reshape(-1) @ source.assemble([weight])
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_a_map_that_is_not_square_is_refused():
    names = {"Dense_0": TorchModule(("fc",), channels=5)}
    variables = {"params/Dense_0/kernel": jax.ShapeDtypeStruct((10, 3), jnp.float32)}
    with pytest.raises(UserError, match="takes 10 numbers, which are no square map"):
        list(sources(names, variables, ()))


def test_vgg_is_read_under_timms_names_too():
    model = create_model("vgg11")
    theirs = {
        "pre_logits.fc1": (4096, 512, 7, 7),
        "pre_logits.fc2": (4096, 4096, 1, 1),
        "head.fc": (1000, 4096),
    }
    in_file = {f"{name}.{leaf}" for name in theirs for leaf in ("weight", "bias")}
    found = dict(sources(model.torch_names(), shapes(model), in_file))
    for layer, (name, shape) in enumerate(theirs.items()):
        source = found[f"params/DenseHead_0/Dense_{layer}/kernel"]
        assert source.tensors == (f"{name}.weight",)
        assert shape in source.shapes


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ml_dtypes.bfloat16])
def test_other_floats_become_float32(tmp_path, tensors, dtype):
    stored_as = {name: tensor.astype(dtype) for name, tensor in tensors.items()}
    loaded = load_pretrained(create_model(SMALL), stored(tmp_path, stored_as))
    leaves = jax.tree.leaves(loaded)
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype("float32")}
    np.testing.assert_array_equal(
        loaded["params"]["Dense_0"]["bias"], stored_as["fc.bias"].astype(np.float32)
    )


def without(name):
    return lambda tensors: {n: t for n, t in tensors.items() if n != name}


def changed(name, tensor):
    return lambda tensors: {**tensors, name: tensor}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            without("layer1.0.conv2.weight"),
            "has no 'layer1.0.conv2.weight', of which the model needs [64, 64, 3, 3]",
        ),
        (
            changed("layer5.0.conv1.weight", np.zeros((2, 3), np.float32)),
            "has 'layer5.0.conv1.weight' of shape [2, 3], and the model has no such "
            "tensor",
        ),
        (
            changed("conv1.weight", np.zeros((64, 3, 7, 7), np.float32)),
            "has 'conv1.weight' of shape [64, 3, 7, 7], and the model needs "
            "[64, 3, 3, 3]",
        ),
        (
            changed("fc.weight", np.zeros((1000, 512), np.float32)),
            "has 'fc.weight' of shape [1000, 512], and the model needs [10, 512]; "
            "does num_classes=1000 fit?",
        ),
        (
            changed("bn1.running_var", np.zeros((64, 1), np.float32)),
            "has 'bn1.running_var' of shape [64, 1], and the model needs [64]",
        ),
        (
            changed("conv1.weight", np.zeros((64, 3, 3, 3), np.int8)),
            "has 'conv1.weight' as I8; choose from F64, F32, F16, BF16",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_its_first_tensor(
    tmp_path, tensors, change, message
):
    path = stored(tmp_path, change(tensors))
    with pytest.raises(UserError) as error:
        load_pretrained(create_model(SMALL), path)
    assert str(error.value) == f"weights: '{path}' {message}"


def test_the_first_fault_in_the_networks_order_is_told(tmp_path, tensors):
    faulty = {name: tensor[..., None] for name, tensor in tensors.items()}
    with pytest.raises(UserError, match="'conv1.weight'"):
        load_pretrained(create_model(SMALL), stored(tmp_path, faulty))


def test_nothing_is_read_of_a_file_that_does_not_fit(tmp_path, tensors, monkeypatch):
    from cnnlab.models.tensor_file import TensorFile

    monkeypatch.setattr(TensorFile, "read", None)
    path = stored(tmp_path, without("fc.bias")(tensors))
    with pytest.raises(UserError, match="has no 'fc.bias'"):
        load_pretrained(create_model(SMALL), path)


def test_a_file_that_is_cut_short_names_the_tensor(tmp_path, tensors):
    path = stored(tmp_path, tensors)
    whole = path.read_bytes()
    header = json.loads(whole[8 : 8 + struct.unpack("<Q", whole[:8])[0]])
    begin, end = header["layer4.0.conv1.weight"]["data_offsets"]
    start = len(whole) - max(of["data_offsets"][1] for of in header.values())
    path.write_bytes(whole[: start + begin + 4 * 1234])
    with pytest.raises(UserError) as error:
        load_pretrained(create_model(SMALL), path)
    assert str(error.value) == (
        f"weights: '{path}' is cut short: of 'layer4.0.conv1.weight' "
        "[512, 256, 3, 3] it has 1,234 of 1,179,648 values"
    )


@pytest.mark.parametrize("length", [0, 5, 8, 300])
def test_a_file_cut_in_its_header_is_refused(tmp_path, tensors, length):
    path = stored(tmp_path, tensors)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UserError, match="not a whole safetensors file") as error:
        load_pretrained(create_model(SMALL), path)
    assert "\n" not in str(error.value)


class Trap:
    """Raises when it is unpickled."""

    def __reduce__(self):
        return exec, ("raise RuntimeError('unpickled')",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_never_read(tmp_path, protocol):
    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps(Trap(), protocol))
    with pytest.raises(UserError, match="is a pickle or an archive of pickles"):
        load_pretrained(create_model(SMALL), path)


def test_an_archive_of_pickles_is_refused_whatever_its_name(tmp_path):
    path = tmp_path / "weights.safetensors"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Trap()))
    with pytest.raises(UserError, match="is a pickle or an archive of") as error:
        load_pretrained(create_model(SMALL), path)
    assert "\n" not in str(error.value)


def test_a_path_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(UserError, match="none' cannot be read: No such file"):
        load_pretrained(create_model(SMALL), tmp_path / "none")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        load_pretrained(create_model(SMALL), tmp_path)


@pytest.mark.parametrize("name", ["lenet5", "resnet20", "googlenet"])
def test_a_model_that_pytorch_lacks_is_refused(tmp_path, tensors, name):
    with pytest.raises(UserError, match="not one of torchvision's or timm's networks"):
        load_pretrained(create_model(name), stored(tmp_path, tensors))


def test_weights_of_a_pool_are_in_no_file_of_pytorchs(tmp_path, tensors):
    model = create_model(SMALL, pool="gated_pool")
    with pytest.raises(UserError, match="^model: its 'params/.*Pool_0/"):
        load_pretrained(model, stored(tmp_path, tensors))


def drawn(model):
    """Random variables of the model."""
    draw = np.random.default_rng(1)
    flat = {
        path: draw.normal(size=variable.shape).astype(np.float32)
        for path, variable in shapes(model).items()
    }
    return traverse_util.unflatten_dict(flat, sep="/")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lenet5", {"pool": "gated_pool"}),
        ("cifar_resnet18", {}),
        ("resnet20", {"scan": True}),
    ],
)
def test_what_we_write_is_read_bit_for_bit(tmp_path, name, options):
    model = create_model(name, **options)
    variables = drawn(model)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(encode_weights(variables))
    loaded = load_pretrained(model, path)
    assert jax.tree.structure(loaded) == jax.tree.structure(variables)
    for ours, theirs in zip(
        jax.tree.leaves(variables), jax.tree.leaves(loaded), strict=True
    ):
        assert ours.dtype == theirs.dtype
        assert ours.tobytes() == theirs.tobytes()


def test_a_file_says_what_it_is(tmp_path):
    description = Description(
        model="zeiler_fergus(lrn=True)",
        num_classes=4,
        options={"pool": "lp_pool(p=3.0)", "boundary": "zero"},
        image_shape=(12, 12, 3),
        class_names=("a", "b", "c, d", "\N{SNOWMAN}"),
        mean=(1.5, 2.5, 3.25),
        deviation=(60.0, 61.0, 62.0),
    )
    # Maps of 2x2 entries remain of its images.
    variables = {
        f"params/{path}": np.full(shape, i, np.float32)
        for i, (path, shape) in enumerate(
            {
                **{"Conv_0/kernel": (5, 5, 3, 64), "Conv_0/bias": (64,)},
                **{"Conv_1/kernel": (5, 5, 64, 64), "Conv_1/bias": (64,)},
                **{"Conv_2/kernel": (5, 5, 64, 64), "Conv_2/bias": (64,)},
                **{"Dense_0/kernel": (2 * 2 * 64, 4), "Dense_0/bias": (4,)},
            }.items()
        )
    }
    variables = traverse_util.unflatten_dict(variables, sep="/")
    path = tmp_path / "weights.safetensors"
    path.write_bytes(encode_weights(variables, description))
    assert describe_weights(path) == description
    # On images of the size that the file says, not on those of the paper.
    model = description.create()
    assert model.image_shape != description.image_shape
    loaded = load_pretrained(model, path)
    assert loaded["params"]["Dense_0"]["kernel"].shape == (256, 4)
    with pytest.raises(UserError, match="params/Dense_0/kernel' of shape .256, 4., "):
        load_pretrained(model, path, image_shape=(28, 28, 3))


def test_a_file_of_others_says_nothing(tmp_path, tensors):
    assert describe_weights(stored(tmp_path, tensors, {"format": "pt"})) is None


DESCRIPTION = {
    "format": "cnnlab",
    "model": "cifar_resnet18",
    "num_classes": "10",
    "options": "{}",
    "image_shape": "[32, 32, 3]",
    "class_names": "null",
    "mean": "[0, 0, 0]",
    "deviation": "[1, 1, 1]",
}


@pytest.mark.parametrize(
    ("field", "text", "reason"),
    [
        ("mean", None, "lacks 'mean'"),
        ("num_classes", "ten", "Expecting value"),
        ("num_classes", "-1", "num_classes cannot be -1"),
        ("model", "resnet19", "unknown model 'resnet19'"),
        ("options", '{"depth": 3}', "cifar_resnet18 has no option 'depth'"),
        ("options", "[1]", "options cannot be"),
        ("image_shape", "[32, 32]", "image_shape cannot be"),
        ("image_shape", "[]", "image_shape cannot be"),
        ("image_shape", "3", "image_shape cannot be 3"),
        ("image_shape", "[" * 100_000, "maximum recursion depth"),
        ("class_names", '["cat"]', "class_names cannot be"),
        ("class_names", '"ten chars."', "class_names cannot be 'ten chars.'"),
        ("mean", '["a", 0, 0]', "mean cannot be ('a', 0, 0)"),
        ("mean", "[NaN, 0, 0]", "mean cannot be (nan, 0, 0)"),
        ("mean", "[0, 0]", "mean cannot be (0, 0)"),
        ("deviation", "[1, 0, 1]", "deviation cannot be"),
    ],
)
def test_a_description_that_is_damaged_is_told(tmp_path, tensors, field, text, reason):
    assert describe_weights(stored(tmp_path, tensors, DESCRIPTION)) is not None
    damaged = {**DESCRIPTION, field: text}
    damaged = {name: text for name, text in damaged.items() if text is not None}
    path = stored(tmp_path, tensors, damaged)
    with pytest.raises(UserError) as error:
        load_pretrained(create_model(SMALL), path)
    message = str(error.value)
    assert message.startswith("weights: what the file says of its model cannot be used")
    assert reason in message and "\n" not in message


def test_a_description_of_what_cannot_be_traced_is_the_files_fault(tmp_path, tensors):
    described = {**DESCRIPTION, "options": '{"pool": "lp_pool(p=-1)"}'}
    path = stored(tmp_path, tensors, described)
    model = describe_weights(path).create()
    with pytest.raises(UserError, match="^weights: CifarStemResNet cannot take .*: p "):
        load_pretrained(model, path)


@pytest.mark.parametrize("field", sorted(set(DESCRIPTION) - {"format"}))
def test_whatever_stands_in_a_description_it_is_used_or_refused(field):
    texts = "", "{", "null", "true", "-1", "0.5", "1e999", "NaN", '"a"', "[]", "{}"
    texts += '["a"]', "[[1]]", "[1, 2, 3]", "[32, 32, true]", '{"pool": []}', "[null]"
    texts += '{"dtype": {}}', '{"boundary": 3}', '{"num_classes": 3}', '{"parent": 1}'
    for text in texts:
        try:
            description = Description.from_metadata({**DESCRIPTION, field: text})
        except UserError as error:
            assert str(error).startswith("weights: what the file says")
            assert "\n" not in str(error)
        else:
            assert description.create().num_classes == description.num_classes


MEMBERS = {
    "alexnet": lambda torch: torch.AlexNet(),
    "vgg11": lambda torch: torch.VGG((1, 1, 2, 2, 2), batch_norm=False),
    "vgg16_bn": lambda torch: torch.VGG((2, 2, 3, 3, 3), batch_norm=True),
    "resnet18": lambda torch: torch.ResNet(torch.BasicBlock, (2, 2, 2, 2)),
    "resnet50": lambda torch: torch.ResNet(torch.Bottleneck, (3, 4, 6, 3)),
    "resnet50_v1": lambda torch: torch.ResNet(
        torch.Bottleneck, (3, 4, 6, 3), stride_in_first=True
    ),
    "googlenet_bn": lambda torch: torch.GoogLeNet(aux_logits=True),
}


@pytest.mark.peer
@pytest.mark.parametrize("name", MEMBERS)
def test_scores_are_those_of_pytorch(tmp_path, name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    import torch_modules
    from safetensors.torch import save_file as save_torch

    network = torch_modules.unlike_a_fresh_one(MEMBERS[name](torch_modules))
    path = tmp_path / "weights.safetensors"
    save_torch(network.state_dict(), path)
    x = np.random.default_rng(0).normal(size=(1, 224, 224, 3)).astype(np.float32)
    with torch.no_grad():
        wanted = network(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()
    del network
    model = create_model(name)
    variables = load_pretrained(model, path)
    scores = jax.jit(model.apply)(variables, x)
    spread = np.std(wanted)
    assert spread > 0.1
    np.testing.assert_allclose(scores, wanted, rtol=0, atol=1e-4 * spread)


@pytest.mark.peer
def test_googlenets_auxiliary_heads_are_read_where_they_are_wanted(tmp_path):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    import torch_modules
    from safetensors.torch import save_file as save_torch

    path = tmp_path / "weights.safetensors"
    network = torch_modules.unlike_a_fresh_one(torch_modules.GoogLeNet(aux_logits=True))
    save_torch(network.state_dict(), path)
    wanting = create_model("googlenet_bn", auxiliary=True)
    head = load_pretrained(wanting, path)["params"]["auxiliary_4d"]
    wanted = network.aux2.fc1.weight.detach().numpy().reshape(1024, 128, 4, 4)
    found = np.asarray(head["hidden"]["kernel"]).reshape(4, 4, 128, 1024)
    np.testing.assert_array_equal(found, wanted.transpose(2, 3, 1, 0))

    network = torch_modules.unlike_a_fresh_one(
        torch_modules.GoogLeNet(aux_logits=False)
    )
    save_torch(network.state_dict(), path)
    plain = load_pretrained(create_model("googlenet_bn"), path)
    assert "auxiliary_4a" not in plain["params"]
    with pytest.raises(UserError, match="has no 'aux1.conv.conv.weight'"):
        load_pretrained(wanting, path)
