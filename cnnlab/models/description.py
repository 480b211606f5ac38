"""What a trained network is, in words that a weights file can carry."""

import dataclasses
import json
import math
import reprlib
from collections.abc import Callable, Iterator, Mapping
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
        for field in self._faults():
            value = reprlib.repr(getattr(self, field))
            raise ValueError(f"{field} cannot be {value}")

    def _faults(self) -> Iterator[str]:
        """The fields that cannot be used, each judged when all before it can be."""
        if not isinstance(self.model, str):
            yield "model"
        if not _is_count(self.num_classes):
            yield "num_classes"
        if not isinstance(self.options, Mapping):
            yield "options"
        if not _are(self.image_shape, 3, _is_count):
            yield "image_shape"
        names, channels = self.class_names, self.image_shape[-1]
        if names is not None and not _are(names, self.num_classes, _is_text):
            yield "class_names"
        if not _are(self.mean, channels, _is_finite):
            yield "mean"
        if not _are(self.deviation, channels, lambda of: _is_finite(of) and of > 0):
            yield "deviation"

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
        except (KeyError, ValueError, TypeError, RecursionError) as error:
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


def _are(values: Any, count: int, fit: Callable[[Any], bool]) -> bool:
    return isinstance(values, tuple) and len(values) == count and all(map(fit, values))


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
