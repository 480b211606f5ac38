"""The shape and the classes of the images that a run was made on."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnlab import data
from cnnlab.errors import UserError

# What a run's configuration says of its images, as `data.load` takes it.
_OPTIONS = "image_size", "train_examples", "data_dir"


def images_of(
    path: Path, results: Mapping[str, Any]
) -> tuple[tuple[int, int, int], tuple[str, ...]]:
    """The images' height, width and channels, and the names of their classes.

    Runs of older versions did not write them down: their set is loaded again.

    Raises:
        KeyError: results that do not say of which set they are.
        UserError: about `workdir`, a set that is no longer there, or no longer the
            same.
    """
    stored = results["dataset"]
    if "image_shape" in stored and "class_names" in stored:
        return tuple(stored["image_shape"]), tuple(stored["class_names"])
    config = _configuration(path, results)
    name, options = config["dataset"], {o: config[o] for o in _OPTIONS if o in config}
    cure = "its command with --overwrite makes it again"
    try:
        dataset = data.load(name, **options)
    except UserError as error:
        raise UserError(
            "workdir",
            f"'{path}' does not say what its images were, and {name} cannot be loaded "
            f"to see ({error}); {cure}",
        ) from error
    if dataset.fingerprint != stored["fingerprint"]:
        raise UserError(
            "workdir",
            f"'{path}' does not say what its images were, and those of {name} are not "
            f"the same any more; {cure}",
        )
    return dataset.image_shape, dataset.class_names


def _configuration(path: Path, results: Mapping[str, Any]) -> Mapping[str, Any]:
    """All flags of the run, those too that stay out of its results."""
    try:
        config = json.loads((path / "config.json").read_bytes())["config"]
    except (OSError, ValueError, KeyError, TypeError):
        config = {}
    return {**results["config"], **config}
