"""Architectures, one family per file, all taking the same `pool=` and `boundary=`."""

from cnnlab.models import (  # noqa: F401 (they register)
    alexnet,
    all_cnn,
    cifar_resnet,
    googlenet,
    lenet,
    lenet_1998,
    network_in_network,
    resnet,
    vgg,
    zeiler_fergus,
    zfnet,
)
from cnnlab.models.registry import create_model, list_models, models

__all__ = ["create_model", "list_models", "models"]
