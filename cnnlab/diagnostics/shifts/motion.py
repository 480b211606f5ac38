"""A motion with its sizes: how images move, where they are at home, how far they go."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Num

from cnnlab.diagnostics.predictions import Images
from cnnlab.diagnostics.shifts import motions
from cnnlab.ops.arguments import check_choice

Size = tuple[int, int]

# The sizes that each takes.
SIZES = {
    "circular": (),
    "zero": (),
    "fourier": (),
    "crop": ("canvas", "crop"),
    "embed": ("canvas",),
}


@dataclasses.dataclass(frozen=True)
class Motion:
    """One way to move images by a displacement (dy, dx).

    Attributes:
        name: "circular"; "zero", zeros shifted in; "fourier", circular and by parts of
            a pixel; "crop", a window in larger images, the displacement its first
            pixel; "embed", the image on a canvas of zeros, likewise.
        canvas: (height, width) of the images of which "crop" takes a part, or of those
            that "embed" makes; None for others.
        crop: (height, width) of the window; None for others.

    Raises:
        ValueError: an unknown name, a size that is missing, below 1 or not taken, or a
            crop beyond its canvas.
    """

    name: str
    canvas: Size | None = None
    crop: Size | None = None

    def __post_init__(self):
        check_choice("motion", self.name, SIZES)
        for option in ("canvas", "crop"):
            size = getattr(self, option)
            if (size is not None) != (option in SIZES[self.name]):
                verb = "needs" if size is None else "takes no"
                raise ValueError(f"the motion {self.name} {verb} {option}=")
            if size is not None and min(size) < 1:
                raise ValueError(f"{option} {written(size)} must be at least 1")
        if self.crop and min(self.room(*self.canvas)) < 0:
            raise ValueError(
                f"crop {written(self.crop)} does not fit canvas {written(self.canvas)}"
            )

    def __call__(self, images: Images, dy: float, dx: float) -> Images:
        """`images` moved by (dy, dx)."""
        match self.name:
            case "circular":
                return motions.roll(images, dy, dx)
            case "zero":
                return motions.translate(images, dy, dx)
            case "fourier":
                return motions.fourier_shift(images, dy, dx)
            case "crop":
                return motions.crop_at(images, dy, dx, self.crop)
            case "embed":
                return motions.embed_at(images, dy, dx, self.canvas)

    def each(self, images: Images, displacements: Num[np.ndarray, "some 2"]) -> Images:
        """Every image moved by its own displacement, or all by the only one."""
        if len(displacements) == 1:
            return self(images, *displacements[0].tolist())
        different, group = np.unique(displacements, axis=0, return_inverse=True)
        moved = None
        for number, displacement in enumerate(different.tolist()):
            members = np.flatnonzero(group.reshape(-1) == number)
            part = self(images[members], *displacement)
            if moved is None:
                moved = np.empty((len(images), *part.shape[1:]), part.dtype)
            moved[members] = part
        return moved

    def home(self, height: int, width: int) -> Size:
        """The displacement that counts as none for images of that size.

        (0, 0); for crops the one in the middle of the canvas, and for an image on a
        canvas that which puts it in the middle.
        """
        if self.name not in ("crop", "embed"):
            return 0, 0
        return tuple(room // 2 for room in self.room(height, width))

    def check(
        self, height: int, width: int, rows: Sequence[float], columns: Sequence[float]
    ) -> None:
        """Refuses displacements that images of that size do not have room for.

        Raises:
            ValueError: a shift as large as the image or larger, one by parts of a
                pixel that the motion does not have, an offset outside of the canvas, or
                images that are not as large as the canvas of crops.
        """
        if self.name == "crop" and (height, width) != self.canvas:
            raise ValueError(
                f"crops of a canvas {written(self.canvas)} need images of that size, "
                f"got {height}x{width}; canvas= and crop= scale the protocol"
            )
        if self.name == "embed" and min(self.room(height, width)) < 0:
            raise ValueError(
                f"images of {height}x{width} do not fit canvas {written(self.canvas)}"
            )
        room = self.room(height, width)
        for axis, values in enumerate((rows, columns)):
            name = ("dy", "dx")[axis]
            low, high = (0 if self.canvas else -room[axis]), room[axis]
            wrong = [value for value in values if not low <= value <= high]
            if wrong:
                raise ValueError(
                    f"{self.name} shifts of images {height}x{width} go from {low} to "
                    f"{high} in {name}, got {wrong[0]:g}"
                )
            if self.name != "fourier" and any(v != int(v) for v in values):
                raise ValueError(
                    f"{self.name} shifts go by whole pixels; fourier goes between them"
                )

    def room(self, height: int, width: int) -> Size:
        """The largest displacement along each axis, for images of that size."""
        if self.name == "crop":
            return tuple(a - b for a, b in zip(self.canvas, self.crop, strict=True))
        if self.name == "embed":
            return self.canvas[0] - height, self.canvas[1] - width
        return height - 1, width - 1


def written(size: Size) -> str:
    """A size as specs have it: `224`, or `224x320`."""
    return str(size[0]) if size[0] == size[1] else f"{size[0]}x{size[1]}"
