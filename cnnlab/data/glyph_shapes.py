"""The ten shapes that glyphs are drawn from.

The classes differ in how a few strokes are arranged, not in what they are made of: a
tee, a plus, an arrow and a fork are each a stem and two arms.
"""

import numpy as np


def _circle(start: float, stop: float) -> list[tuple[float, float]]:
    """Sixteen chords from one angle to another, in degrees clockwise from the right."""
    angles = np.radians(np.linspace(start, stop, 17))
    return list(zip(np.cos(angles), np.sin(angles), strict=True))


# Polylines inside the unit circle, x to the right and y down.
_SHAPES = {
    "corner": [[(-0.6, -0.8), (-0.6, 0.8), (0.6, 0.8)]],
    "tee": [[(-0.7, -0.7), (0.7, -0.7)], [(0.0, -0.7), (0.0, 1.0)]],
    "plus": [[(-0.9, 0.0), (0.9, 0.0)], [(0.0, -0.9), (0.0, 0.9)]],
    "arrow": [[(-0.7, -0.2), (0.0, -1.0), (0.7, -0.2)], [(0.0, -1.0), (0.0, 1.0)]],
    "fork": [[(-0.7, -0.7), (0.0, 0.1), (0.7, -0.7)], [(0.0, 0.1), (0.0, 1.0)]],
    "zigzag": [[(-0.6, -0.8), (0.6, -0.8), (-0.6, 0.8), (0.6, 0.8)]],
    "triangle": [[(0.0, -1.0), (0.866, 0.5), (-0.866, 0.5), (0.0, -1.0)]],
    "square": [[(-0.7, -0.7), (0.7, -0.7), (0.7, 0.7), (-0.7, 0.7), (-0.7, -0.7)]],
    "ring": [_circle(0.0, 360.0)],
    "arc": [_circle(55.0, 305.0)],
}
CLASS_NAMES = tuple(_SHAPES)


def segments() -> np.ndarray:
    """Ends of the strokes, float32 [class, segment, end, (x, y)].

    A class with fewer segments than another repeats its first, which draws nothing new.
    """
    shapes = [
        [ends for line in lines for ends in zip(line, line[1:], strict=False)]
        for lines in _SHAPES.values()
    ]
    longest = max(map(len, shapes))
    return np.array(
        [shape + shape[:1] * (longest - len(shape)) for shape in shapes], np.float32
    )
