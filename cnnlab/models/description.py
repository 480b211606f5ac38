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

    Raises:
        ValueError: fields that do not fit together.
    """

    model: str
    num_classes: int
    options: Mapping[str, Any]
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...] | None
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __post_init__(self):
        channels, names = self.image_shape[-1], self.class_names
        fits = {
            "model": isinstance(self.model, str),
            "num_classes": _is_count(self.num_classes),
            "options": isinstance(self.options, Mapping),
            "image_shape": len(self.image_shape) == 3
            and all(map(_is_count, self.image_shape)),
            "class_names": names is None
            or len(names) == self.num_classes
            and all(isinstance(name, str) for name in names),
            "mean": len(self.mean) == channels,
            "deviation": len(self.deviation) == channels and min(self.deviation) > 0,
        }
        for field, fit in fits.items():
            if not fit:
                raise ValueError(f"{field} cannot be {getattr(self, field)!r}")

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
            description = cls(model=metadata["model"], **_as_tuples(fields))
            description.create()
        except (KeyError, ValueError, TypeError, IndexError) as error:
            reason = f"lacks {error}" if isinstance(error, KeyError) else error
            raise UserError(
                "weights", f"what the file says of its model cannot be used: {reason}"
            ) from None
        return description


def _as_tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in fields.items()
    }


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0
