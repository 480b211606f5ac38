"""Architectures, one family per file, all taking the same `pool=` and `boundary=`."""

from cnnlab.models import (  # noqa: F401 (they register)
    alexnet,
    all_cnn,
    cifar_resnet,
    cifar_stem_resnet,
    googlenet,
    lenet,
    lenet_1998,
    network_in_network,
    red_green,
    resnet,
    vgg,
    zeiler_fergus,
    zfnet,
)
from cnnlab.models.pretrained import load_pretrained
from cnnlab.models.registry import create_model, list_models, models
from cnnlab.models.subsampling_sites import sites

__all__ = ["create_model", "list_models", "load_pretrained", "models", "sites"]
