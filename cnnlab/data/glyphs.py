"""Procedural images: ten stroke shapes, drawn in JAX from a key."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.data.glyph_shapes import CLASS_NAMES, segments
from cnnlab.errors import UserError

__all__ = ["CLASS_NAMES", "GlyphOptions", "draw"]

# Lengths below are in pixels of a 28x28 image and grow with image_size.
_REFERENCE_SIZE = 28
# A fragment stays shorter than the gap that tells an arc from a ring.
_FRAGMENT_LENGTH = (2.0, 4.0)
# The soft edge of a stroke is one pixel wide, half of it outside the stroke.
_SOFT_EDGE = 0.5
# One compiled program serves every n, and keeps example i the same whatever n is.
_CHUNK = 256


@dataclasses.dataclass(frozen=True)
class GlyphOptions:
    """Ranges that each image draws from, uniformly and independently.

    Lengths are in pixels of a 28x28 image and grow with the image.

    Attributes:
      translation: largest shift along each axis; less where the frame is in the way.
      rotation: largest turn to either side, degrees, up to 30.
      scale: smallest and largest radius of the glyph, as a fraction of the image side.
      shear: largest horizontal shear to either side, as a slope, up to 0.5.
      stroke_width: thinnest and thickest stroke.
      clutter: fewest and most stroke fragments, each 2 to 4 pixels long.
      noise: smallest and largest standard deviation of the Gaussian noise, as a
        fraction of white.

    Raises:
      UserError: a range that is empty or not allowed, or glyphs that the frame could
        not hold.
    """

    translation: float = 8.0
    rotation: float = 25.0
    scale: tuple[float, float] = (0.2, 0.36)
    shear: float = 0.25
    stroke_width: tuple[float, float] = (1.25, 3.0)
    clutter: tuple[int, int] = (0, 4)
    noise: tuple[float, float] = (0.0, 0.3)

    def __post_init__(self):
        for name, limit in (
            ("translation", math.inf),
            # Past 45 degrees an arrow lying on its side could be a fork.
            ("rotation", 30.0),
            ("shear", 0.5),
        ):
            value = getattr(self, name)
            if not 0 <= value <= limit:
                raise UserError(name, f"{value} is outside 0..{limit}")
        for name, least in (
            ("scale", 0.15),
            ("stroke_width", 0.5),
            ("clutter", 0),
            ("noise", 0),
        ):
            low, high = getattr(self, name)
            if not least <= low <= high < math.inf:
                raise UserError(
                    name, f"({low}, {high}) is no range, low to high, from {least} up"
                )
        reach = self.scale[1] * _shear_norm(self.shear) * _REFERENCE_SIZE
        needed = reach + self.stroke_width[1] / 2 + _SOFT_EDGE
        if needed > _REFERENCE_SIZE / 2:
            raise UserError(
                "scale",
                f"{self.scale[1]} with shear {self.shear} and stroke width "
                f"{self.stroke_width[1]} reaches {needed:.1f} pixels from the centre; "
                f"the frame ends at {_REFERENCE_SIZE / 2}",
            )

    def ranges(self) -> np.ndarray:
        """[7, 2], low and high: shear, turn, scale, width, noise, clutter, translation.

        The turn is in radians; clutter's high end is past the last count.
        """
        turn = math.radians(self.rotation)
        return np.array(
            [
                (-self.shear, self.shear),
                (-turn, turn),
                self.scale,
                self.stroke_width,
                self.noise,
                (self.clutter[0], self.clutter[1] + 1),
                (-self.translation, self.translation),
            ],
            np.float32,
        )


def _shear_norm(shear: float) -> float:
    """The most by which [[1, shear], [0, 1]] stretches a vector."""
    return shear / 2 + math.sqrt(1 + shear**2 / 4)


def draw(
    key: jax.Array,
    labels: jax.Array,
    *,
    image_size: int = _REFERENCE_SIZE,
    options: GlyphOptions | None = None,
) -> jax.Array:
    """Glyphs of the given classes, uint8 [n, image_size, image_size, 1].

    Image i depends on `key`, i and `labels[i]` alone. The glyph is white on black,
    lies fully inside the frame, and is larger than any clutter.

    Args:
      key: a typed key (`jax.random.key`).
      labels: [n], each in 0..9; see `CLASS_NAMES`.
      image_size: side in pixels, at least 16.
      options: ranges to draw from; None means the defaults.

    Raises:
      UserError: an image_size under 16.
    """
    if image_size < 16:
        raise UserError("image_size", f"{image_size} is less than 16")
    options = options or GlyphOptions()
    ranges, most_fragments = options.ranges(), options.clutter[1]
    labels = jnp.asarray(labels, jnp.int32)
    count = labels.shape[0]
    labels = jnp.pad(labels, (0, -count % _CHUNK))
    chunks = [
        _draw_chunk(
            key,
            start,
            labels[start : start + _CHUNK],
            ranges,
            image_size=image_size,
            most_fragments=most_fragments,
        )
        for start in range(0, count, _CHUNK)
    ]
    empty = jnp.zeros((0, image_size, image_size, 1), jnp.uint8)
    return jnp.concatenate([empty, *chunks])[:count]


# The ranges are arguments, so that other options need no other program.
@functools.partial(jax.jit, static_argnames=("image_size", "most_fragments"))
def _draw_chunk(key, start, labels, ranges, *, image_size, most_fragments):
    # Few and wide draws: each call of the generator costs 0.3 s of compilation.
    numbers = 2 * (start + jnp.arange(_CHUNK))[:, None] + jnp.arange(2)
    keys = jax.vmap(jax.vmap(jax.random.fold_in, (None, 0)), (None, 0))(key, numbers)
    unit = jax.vmap(
        lambda pose_key: jax.random.uniform(
            pose_key, (8 + 4 * most_fragments,), jnp.float32
        )
    )(keys[:, 0])
    grain = jax.vmap(
        lambda noise_key: jax.random.normal(
            noise_key, (image_size, image_size), jnp.float32
        )
    )(keys[:, 1])
    return jax.vmap(_draw_one, (0, 0, 0, None))(labels, unit, grain, ranges)


def _draw_one(label, unit, grain, ranges):
    """One image from uniform numbers in 0..1 and standard normal noise."""
    image_size = grain.shape[0]
    pixel = image_size / _REFERENCE_SIZE
    low, high = ranges[:, 0], ranges[:, 1]
    shear, turn, scale, width, noise, count = low[:6] + (high - low)[:6] * unit[:6]
    width *= pixel
    glyph = _posed(jnp.asarray(segments())[label], shear, turn, scale * image_size)
    glyph += _origin(glyph, unit[6:8], width, pixel * ranges[6], image_size)
    fragments = _fragments(unit[8:].reshape(-1, 4), image_size)
    wanted = jnp.arange(len(fragments)) < jnp.floor(count)
    # Far outside, an unwanted fragment inks nothing.
    fragments = jnp.where(wanted[:, None, None], fragments, -4 * image_size)
    ink = _ink(jnp.concatenate([glyph, fragments]), width, image_size) + noise * grain
    return jnp.round(255 * jnp.clip(ink, 0, 1)).astype(jnp.uint8)[..., None]


def _posed(segments, shear, turn, scale):
    """Segment ends sheared, then turned, then scaled about the origin."""
    x = segments[..., 0] + shear * segments[..., 1]
    y = segments[..., 1]
    cos, sin = jnp.cos(turn), jnp.sin(turn)
    return scale * jnp.stack([x * cos - y * sin, x * sin + y * cos], axis=-1)


def _origin(segments, unit, width, translation, image_size):
    """Where the glyph's origin goes: near the centre, so that all lies in the frame."""
    centre = image_size / 2
    margin = width / 2 + _SOFT_EDGE
    low = jnp.maximum(translation[0], margin - segments.min(axis=(0, 1)) - centre)
    high = jnp.minimum(translation[1], centre - margin - segments.max(axis=(0, 1)))
    return centre + low + (high - low) * unit


def _fragments(unit, image_size):
    """Short segments, centred anywhere in the image, from [n, 4] uniform numbers."""
    shortest, longest = _FRAGMENT_LENGTH
    length = shortest + (longest - shortest) * unit[:, 0]
    length *= image_size / _REFERENCE_SIZE
    angle = math.pi * unit[:, 1]
    arm = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    arm *= length[:, None] / 2
    return image_size * unit[:, None, 2:] + jnp.stack([-arm, arm], axis=1)


def _ink(strokes, width, image_size):
    """Coverage of each pixel, 0 to 1: full inside a stroke, soft over one pixel."""
    middle = jnp.arange(image_size, dtype=jnp.float32) + 0.5

    def squared_distance(ends):
        start, along = ends[0], ends[1] - ends[0]
        x, y = middle[None, :] - start[0], middle[:, None] - start[1]
        length_squared = jnp.maximum(along @ along, 1e-12)
        t = jnp.clip((x * along[0] + y * along[1]) / length_squared, 0, 1)
        return (x - t * along[0]) ** 2 + (y - t * along[1]) ** 2

    nearest = jnp.sqrt(jax.vmap(squared_distance)(strokes).min(axis=0))
    return jnp.clip(width / 2 + _SOFT_EDGE - nearest, 0, 1)
