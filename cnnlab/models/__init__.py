"""Architectures, one family per file, all taking the same `pool=` and `boundary=`."""

from cnnlab.models import cifar_resnet, lenet, resnet, zeiler_fergus  # noqa: F401 (they register)
from cnnlab.models.registry import create_model, list_models, models

__all__ = ["create_model", "list_models", "models"]
