"""What a trained network is, in words that a weights file can carry."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from cnnlab.errors import UserError
from cnnlab.models.network import Network
from cnnlab.models.registry import create_model

_FORMAT = "cnnlab"


@dataclasses.dataclass(frozen=True)
class Description:
    """A network and the images that it was trained on.

    Attributes:
        model: its spec, as `create_model` takes it, as it does `num_classes` and
            `options`.
        image_shape: height, width and channels.
        class_names: one for each class; None where they are not known.
        mean, deviation: of each channel, in grey levels from 0 to 255: the network sees
            (pixel - mean) / deviation.
    """

    model: str
    num_classes: int
    options: Mapping[str, Any]
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...] | None
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def create(self) -> Network:
        """The model that is described."""
        return create_model(self.model, self.num_classes, **self.options)

    def to_metadata(self) -> dict[str, str]:
        """Texts for a weights file, JSON but for `model`."""
        fields = dataclasses.asdict(self)
        texts = {name: json.dumps(value) for name, value in fields.items()}
        return {"format": _FORMAT} | texts | {"model": self.model}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> "Description | None":
        """What `to_metadata` gave; None for the metadata of another's file.

        Raises:
            UserError: texts of ours that cannot be read.
        """
        if metadata.get("format") != _FORMAT:
            return None
        try:
            fields = {
                field.name: json.loads(metadata[field.name])
                for field in dataclasses.fields(cls)
                if field.name != "model"
            }
            return cls(model=metadata["model"], **_as_tuples(fields))
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(
                "weights", f"what the file says of its model cannot be read: {error}"
            ) from None


def _as_tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in fields.items()
    }
