"""The augmentations by name."""

from cnnlab.ops.registry import Registry

augmentations = Registry("augmentation")
