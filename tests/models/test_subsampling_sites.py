"""No place where a network thins its maps goes unnoticed, or keeps its own strides."""

import flax.linen as nn
import pytest

from cnnlab.models import create_model, list_models, sites
from cnnlab.models.network import Network

QUICK = {"lenet5", "lenet5_1998", "resnet20", "resnet18_v2", "alexnet", "strided_a"}
EVERY_MODEL = pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in list_models()
    ],
)


def listed(name, **options):
    return [(s.operator, s.strides) for s in sites(create_model(name, **options))]


def test_the_sites_of_resnet18():
    stem = [("conv", (2, 2)), ("max_pool", (2, 2))]
    # Branch and shortcut of the three stages that halve their maps.
    assert listed("resnet18") == stem + 6 * [("conv", (2, 2))]


def test_option_a_shortcuts_are_sites_too():
    stage = [("conv", (2, 2)), ("slice", (2, 2))]
    assert listed("resnet20") == 2 * stage
    assert listed("resnet20", shortcut="projection") == 4 * [("conv", (2, 2))]


def test_a_site_says_where_it_is_and_what_it_does():
    branch, shortcut, *_ = sites(create_model("resnet20"))
    where = "CifarResNet/BasicBlock_3"
    assert str(branch) == f"{where}/Conv_0: conv /2x2, 32x32 to 16x16"
    assert str(shortcut) == f"{where}: slice /2x2, 32x32 to 16x16"


@EVERY_MODEL
def test_a_downsampling_takes_every_stride(name):
    own = listed(name)
    assert own
    blurred = listed(name, downsample="blur_pool(window_shape=3)")
    assert {operator for operator, _ in blurred} == {"blur_pool"}
    strides = [strides for _, strides in own]
    assert [strides for _, strides in blurred] == strides
    exact = listed(name, downsample="adaptive_polyphase", boundary="circular")
    assert {operator for operator, _ in exact} == {"adaptive_polyphase"}


class Foreign(Network, kw_only=True):
    """A network of stock layers, which know nothing of `downsample`."""

    image_shape = (16, 16, 1)

    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.Conv(2, (3, 3), strides=(2, 2))(x)
        x = nn.max_pool(x, (2, 2), strides=(2, 1))
        return x[:, ::2, ::3].mean((1, 2))


def test_what_keeps_its_own_strides_is_seen():
    model = Foreign(downsample="blur_pool")
    assert [(s.operator, s.strides) for s in sites(model)] == [
        ("conv_general_dilated", (2, 2)),
        ("reduce_window_max", (2, 1)),
        ("slice", (2, 3)),
    ]
    assert sites(model, (32, 20, 1))[0].output_shape == (1, 16, 10, 2)
