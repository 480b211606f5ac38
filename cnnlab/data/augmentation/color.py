"""The colours of images in [0, 1]: brightness, contrast, saturation, hue, greyscale.

The first three mix the image with a poorer one (black, its mean grey, its greyscale):
`factor` 0 is that one, 1 the image to the bit, and above 1 leads away from it. Results
are clipped to [0, 1]. Images have one channel or three (red, green, blue); of one
channel, saturation and hue change nothing.

Source: Haeberli and Voorhies, 1994, "Image processing by linear interpolation and
extrapolation", IRIS Universe 28, https://www.graficaobscura.com/interp/index.html; the
same mixtures as in torchvision's `adjust_*`.
"""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from cnnlab.data.augmentation.arguments import check_floating, check_image

Image = Float[Array, "height width channels"]
Amount = float | Float[Array, ""]

# ITU-R BT.601, section 2.5.1: luma of red, green and blue.
_LUMA = (0.299, 0.587, 0.114)


def adjust_brightness(image: Image, factor: Amount) -> Image:
    """The image, its every value times `factor`."""
    return _mixed(image, 0.0, factor)


def adjust_contrast(image: Image, factor: Amount) -> Image:
    """The image, its distance from its mean grey times `factor`."""
    return _mixed(image, _luma(_wide(image)).mean(), factor)


def adjust_saturation(image: Image, factor: Amount) -> Image:
    """The image, its distance from its own greyscale times `factor`."""
    return _mixed(image, _luma(_wide(image)), factor)


def adjust_hue(image: Image, turns: Amount) -> Image:
    """The image, its hues moved by `turns` of the colour wheel.

    1/3 makes red green, green blue and blue red. The largest and the smallest of a
    pixel's three values stay what they are, and greys are left alone.
    """
    pixels = _wide(image)
    if image.shape[-1] == 1:
        return image
    red, green, blue = jnp.moveaxis(pixels, -1, 0)
    most, least = pixels.max(-1), pixels.min(-1)
    chroma = most - least
    # Of a grey there is no hue, and any serves.
    divisor = jnp.where(chroma == 0, 1, chroma)
    # Not by equality with `most`, which a fusion may compute once more, and round.
    sixths = jnp.where(
        (red >= green) & (red >= blue),
        (green - blue) / divisor,
        jnp.where(
            green >= blue, 2 + (blue - red) / divisor, 4 + (red - green) / divisor
        ),
    )
    channels = []
    for start in (5, 3, 1):
        place = start + sixths + 6 * turns
        # As `place % 6`, which is many times slower on a CPU.
        place = place - 6 * jnp.floor(place / 6)
        share = jnp.clip(jnp.minimum(place, 4 - place), 0, 1)
        channels.append(most - chroma * share)
    turned = jnp.stack(channels, -1).astype(image.dtype)
    return jnp.where(jnp.asarray(turns) == 0, image, turned)


def grayscale(image: Image) -> Image:
    """The image's luma, in as many channels as it has.

    Source: ITU-R BT.601, section 2.5.1.
    """
    luma = _luma(_wide(image)).astype(image.dtype)
    return image if image.shape[-1] == 1 else jnp.broadcast_to(luma, image.shape)


def _luma(pixels):
    """`[height, width, 1]`."""
    if pixels.shape[-1] == 1:
        return pixels
    # Written out: an accelerator may multiply matrices in ten bits.
    weighted = (weight * pixels[..., i] for i, weight in enumerate(_LUMA))
    return sum(weighted)[..., None]


def _mixed(image, poorer, factor):
    pixels = _wide(image)
    # Not as poorer + factor * (image - poorer), which rounds where the factor is 1.
    mixed = factor * pixels + (1 - factor) * poorer
    return jnp.clip(mixed, 0, 1).astype(image.dtype)


def _wide(image):
    check_image(image, (1, 3))
    check_floating(image)
    return image.astype(jnp.promote_types(image.dtype, jnp.float32))
