"""What is refused of a model's name and options before images are read."""

from typing import Any

from cnnlab.errors import UserError
from experiments.harness import networks


def refuse_other_model(config: Any) -> None:
    """Raises a UserError where the model or one of its options is none."""
    from cnnlab.ops.registry import parse_spec
    from experiments.training.plan import net_options

    if networks.classes_in(config.model) is not None:
        # To be held to those of the images, which are not there yet.
        return
    networks.create(config.model, net_options(config))
    written = parse_spec(config.model)[1]
    for option in ("pool", "boundary", "downsample", "dtype"):
        if option in written:
            raise UserError("model", f"{config.model} sets {option}; use --{option}")
