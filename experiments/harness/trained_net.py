"""The trained net that a command's flags name: of a run, or of a file of weights.

A configuration needs the fields `checkpoint`, `weights`, `model`, `num_classes` and
`normalization`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cnnlab.errors import UserError
from experiments.harness import checkpoints, networks
from experiments.harness.refusals import refuse_given

# In grey levels; the first is what most of torchvision's networks were trained with.
NORMALIZATIONS = {
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "inception": ((127.5,) * 3, (127.5,) * 3),
}
NORMALIZATION_HELP = (
    "of the images for PyTorch's weights: imagenet has each channel's mean and "
    "deviation there, inception goes from -1 to 1; auto is what PyTorch's used"
)
# What PyTorch's files leave open, and a net of ours brings with it.
_OF_PYTORCH = "model", "num_classes", "normalization"
# Of the shorter side over the crop's, with which torchvision evaluates.
_MARGIN = 256 / 224


class Net(NamedTuple):
    """A trained net, and how it wants its images.

    Attributes:
        name: for people.
        spec: the model with its options, as `create_model` takes it.
        mean, deviation: of each channel, in grey levels.
        margin: of an image's shorter side over that of what is shown.
    """

    name: str
    model: Any
    variables: Any
    image_shape: Sequence[int]
    class_names: Sequence[str] | None
    mean: Sequence[float]
    deviation: Sequence[float]
    margin: float
    spec: str


def validate(config: Any) -> None:
    """Refuses flags that name no net, or more than one.

    Raises:
        UserError: about the first that cannot be used.
    """
    if (config.checkpoint is None) == (config.weights is None):
        raise UserError("weights", "give either a file of weights or a --checkpoint")
    if config.weights is None:
        refuse_given(
            config, _OF_PYTORCH, "is for --weights; a checkpoint knows its own"
        )


def load(config: Any, options: Mapping[str, Any] | None = None) -> Net:
    """The net that the flags name.

    Args:
        options: of the model that PyTorch's weights are of, as flags set them.

    Raises:
        UserError: a net that cannot be read, or flags that do not fit it.
    """
    if config.checkpoint is not None:
        _refuse_options(options, "a checkpoint")
        _, variables, net = checkpoints.load(config.checkpoint)
        name = f"{net.description.model}, {net.arm}, seed {net.seed}"
        return _described(name, net.description, variables)

    from cnnlab.models.pretrained import describe_weights, load_pretrained

    description = describe_weights(config.weights)
    if description is None:
        return _of_pytorch(config, options or {})
    for name in ("model", "num_classes"):
        given, said = getattr(config, name), getattr(description, name)
        if given not in (None, said):
            raise UserError(name, f"{given} is not what the file says, {said}")
    refuse_given(
        config,
        ["normalization"],
        f"is for PyTorch's weights; '{config.weights}' says how its images are scaled",
    )
    _refuse_options(options, f"'{config.weights}'")
    variables = load_pretrained(description.create(), config.weights)
    described = (f"{name} {value}" for name, value in description.options.items())
    name = ", ".join((description.model, *described))
    return _described(name, description, variables)


def _described(name: str, description, variables) -> Net:
    return Net(
        name,
        description.create(),
        variables,
        description.image_shape,
        description.class_names,
        description.mean,
        description.deviation,
        margin=1.0,
        spec=_spec(description.model, description.options),
    )


def _of_pytorch(config: Any, options: Mapping[str, Any]) -> Net:
    from cnnlab.models.pretrained import load_pretrained

    if config.model is None:
        raise UserError(
            "model", f"is needed, as '{config.weights}' does not say what it is of"
        )
    classes = networks.classes_in(config.model)
    if classes is not None:
        raise UserError(
            "model", f"{config.model} sets num_classes; use --num_classes={classes}"
        )
    model = networks.create(
        config.model, {**options, "num_classes": config.num_classes}
    )
    kind = config.normalization
    if kind == "auto":
        kind = getattr(model, "torch_normalization", "imagenet")
    return Net(
        config.model,
        model,
        load_pretrained(model, config.weights),
        model.image_shape,
        None,
        *NORMALIZATIONS[kind],
        margin=_MARGIN,
        spec=_spec(config.model, options),
    )


def _refuse_options(options: Mapping[str, Any] | None, owner: str) -> None:
    for option in options or {}:
        raise UserError(option, f"is for PyTorch's weights; {owner} knows its own")


def _spec(model: str, options: Mapping[str, Any]) -> str:
    """The spec with these options added."""
    from cnnlab.ops.registry import parse_spec

    name, written = parse_spec(model)
    together = {**written, **options}
    listed = ", ".join(f"{option}={value!r}" for option, value in together.items())
    return f"{name}({listed})" if listed else name
