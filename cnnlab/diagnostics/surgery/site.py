"""A place where a function thins its maps, as users see it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Site:
    """A place where one entry of a map is kept for several.

    Attributes:
        index: its number among the function's sites, in the order they run.
        kind: "pool", "convolution" or "slice".
        operator: the name of one of cnnlab's operators, or of a primitive of JAX.
        path: the modules that it is in, where the library names them.
        input_shape, output_shape: of the maps, in the function's own layout.
        axes: those of the input that are spatial; `window_shape`, `strides`, `padding`
            and `dilation` have one entry for each of them, in this order.
        boundary: what the padding holds, as far as the operator itself says.
        in_loop: inside of a loop or a branch: one site, however often it runs.
        itself: the spec of the operator by which nothing changes (to rounding at most);
            None where there is none.
        obstacle: why it cannot be swapped; None where it can.
    """

    index: int
    kind: str
    operator: str
    path: tuple[str, ...]
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    axes: tuple[int, ...]
    window_shape: tuple[int, ...]
    strides: tuple[int | float, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    boundary: str = "zero"
    in_loop: bool = False
    itself: str | None = None
    obstacle: str | None = None

    def __str__(self) -> str:
        strides = "x".join(f"{stride:g}" for stride in self.strides)
        shapes = f"{self.input_shape} to {self.output_shape}"
        name = f"{self.operator} /{strides}"
        where = f"{'/'.join(self.path)}: {name}" if self.path else name
        loop = ", in a loop" if self.in_loop else ""
        kept = f", stays: {self.obstacle}" if self.obstacle else ""
        return f"site {self.index}, {where}, {shapes}{loop}{kept}"
