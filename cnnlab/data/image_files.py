"""Image files as arrays of one size, whatever size, depth and colours they have."""

import os
import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from cnnlab.errors import UserError

# Formats that Pillow decodes itself; some others would run programs.
FORMATS = "PNG", "JPEG", "WEBP", "BMP"
_MODES = {1: "L", 3: "RGB"}


def read_images(
    paths: Sequence[str | os.PathLike],
    image_shape: Sequence[int],
    *,
    margin: float = 1.0,
) -> UInt8[np.ndarray, "images height width channels"]:
    """The middle of every image, as uint8 of `image_shape` (height, width, channels).

    An image is scaled (bilinear, antialiased) until its shorter side is `margin` times
    as long as the crop's, and the middle is cut out, as torchvision's evaluation does:
    256 / 224 is what its networks had. It is turned as its camera says. 16 bits a
    channel are scaled to 8, what is transparent is white, and colours become grey, or
    grey becomes colour, as `image_shape` has 1 or 3 channels.

    Raises:
        UserError: about `images`, for the first file that is not one.
    """
    height, width, channels = image_shape
    if channels not in _MODES:
        raise UserError(
            "images", f"files have 1 or 3 channels, and the network takes {channels}"
        )
    images = np.empty((len(paths), height, width, channels), np.uint8)
    for image, path in zip(images, paths, strict=True):
        try:
            with warnings.catch_warnings(action="ignore"), open(path, "rb") as file:
                opened = Image.open(file, formats=FORMATS)
                whole = _eight_bits(ImageOps.exif_transpose(opened))
            middle = _middle(whole.convert(_MODES[channels]), height, width, margin)
        # Pillow documents no exceptions; damaged files have raised each of many kinds.
        except Exception as error:
            raise UserError("images", f"'{path}' {_fault(error)}") from None
        image[:] = np.asarray(middle).reshape(image.shape)
    return images


def _eight_bits(image: Image.Image) -> Image.Image:
    """The image with 8 bits a channel, on white where it is transparent."""
    if image.mode.startswith("I"):
        # Pillow's own conversion cuts off what is above 255.
        grey = np.asarray(image, np.int64).clip(0, 65_535)
        return Image.fromarray(((grey * 255 + 32_767) // 65_535).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image


def _middle(image: Image.Image, height: int, width: int, margin: float) -> Image.Image:
    across, down = image.size
    if across * height < down * width:
        scaled = round(width * margin)
        size = scaled, int(scaled * down / across)
    else:
        scaled = round(height * margin)
        size = int(scaled * across / down), scaled
    size = max(size[0], width), max(size[1], height)
    if size != image.size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
    return image.crop((left, top, left + width, top + height))


def _fault(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    if type(error).__name__ == "UnidentifiedImageError":
        return f"is not an image; choose from {', '.join(FORMATS)}"
    return f"cannot be read: {' '.join(str(error).split())[:200]}"
