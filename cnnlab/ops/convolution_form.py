"""The geometry of a convolution, as its lowerings are given it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Form:
    """The geometry of a convolution; one entry per spatial axis, zero padding."""

    spatial: tuple[int, ...]
    window: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def output(self) -> tuple[int, ...]:
        """The spatial shape of y."""
        return tuple(
            (n + low + high - (w - 1) * d - 1) // s + 1
            for n, w, s, (low, high), d in self.axes()
        )

    def axes(self):
        """Size, window, stride, padding and dilation of each axis."""
        return zip(
            self.spatial,
            self.window,
            self.strides,
            self.padding,
            self.dilation,
            strict=True,
        )


def result_shape(
    result: str, left: tuple[int, ...], right: tuple[int, ...], form: Form
) -> tuple[int, ...]:
    """The shape of the contraction of operands of these shapes, copies first."""
    if result == "y":
        shape = left[1], *form.output, right[-1]
    elif result == "x":
        shape = right[1], *form.spatial, form.groups * left[-2]
    else:
        shape = *form.window, left[-1] // form.groups, right[-1]
    return left[0], *shape
