"""What is known of a pool that chooses which samples to keep by what the map shows.

Its registration says so: the trait `shift_exact`. Along an axis that its strides
divide, the result is rolled by whole entries when the map is rolled by any: by how
many, the choice decides, and so the image does. By multiples of the strides the choice
stays, and the amount is known. Along any other axis the result stays. Where from
several offsets the map looks the same, which of them is taken may change with a shift
along another axis, and its result be rolled along this one: that is unknown along all
axes or along none.
"""

from collections.abc import Mapping, Sequence

from cnnlab.diagnostics.geometry.facts import (
    Fact,
    Level,
    chosen_along,
    fact_of,
)
from cnnlab.diagnostics.geometry.track import Choice, Track
from cnnlab.diagnostics.geometry.tracks import (
    changed,
    lost,
    sampled,
    still,
    uncut,
    within,
)
from cnnlab.diagnostics.geometry.window_rules import draws
from cnnlab.diagnostics.operation import Operation
from cnnlab.diagnostics.sliding import Window
from cnnlab.diagnostics.windows_of import (
    is_local_pool,
    result_shape,
    spatial_windows,
)
from cnnlab.ops import pools
from cnnlab.ops.registry import parse_spec


def chosen(operation: Operation, facts: Sequence[Fact]) -> Fact | None:
    """The fact of a shift-exact pool's result; None where the operation is none."""
    traits = getattr(pools.get(operation.name), "traits", None)
    if traits is None or not traits.shift_exact or not _is_exact(operation):
        return None
    windows = spatial_windows(operation)
    first, *others = facts
    if windows is None or any(fact.moves for fact in others):
        return None
    x, (out,) = operation.inputs[0].shape, operation.outputs
    if out.shape != (*result_shape(operation, windows), x[-1]):
        return None
    is_choice = any(window.stride > 1 for window in windows.values())
    choices = {
        axis: Choice(out.shape[axis])
        for axis, window in windows.items()
        if is_choice and _divides(window, out.shape[axis]) and out.shape[axis] > 1
    }
    maps = _Maps(x, out.shape, windows, choices)
    exact, loose = (
        tuple(
            within(track, [other[i] for other in levels])
            for i, track in enumerate(found)
        )
        for found, levels in (
            (maps.exact(first.exact), [fact.exact for fact in others]),
            (maps.loose(first.best), [fact.best for fact in others]),
        )
    )
    return fact_of(frozenset(), exact, loose, chosen_along(facts))


def _is_exact(operation: Operation) -> bool:
    """Whether the pool is called without a key, and with what windows decide alone."""
    spec = operation.options.get("pool")
    try:
        named = spec is None or is_local_pool(parse_spec(spec)[0])
    except ValueError:
        named = False
    return named and not draws(operation)


def _divides(window: Window, entries: int) -> bool:
    return window.stride * entries == window.size


class _Maps:
    """The map that is pooled, and the one that is made of it."""

    def __init__(
        self,
        before: Sequence[int],
        after: Sequence[int],
        windows: Mapping[int, Window],
        choices: Mapping[int, Choice],
    ):
        self.before, self.after = before, after
        self.windows, self.choices = windows, choices
        self.batch = frozenset(range(min(windows)))

    def exact(self, level: Level) -> Level:
        """The tracks of shifts under which the choice stays, or moves with the map."""
        return tuple(map(self._exact, level))

    def _exact(self, track: Track) -> Track:
        track = self._of_torus(track)
        if not track.moves:
            return track
        if self._is_rolled(track.axis):
            return sampled(track, self.windows[track.axis].stride)
        if self.choices:
            # The order of equal offsets turns, and another may come first.
            return lost(track, "takes the first of equal offsets")
        return still(track)

    def loose(self, level: Level) -> Level:
        """The tracks of all shifts that roll the map by whole entries."""
        return tuple(map(self._loose, level))

    def _loose(self, track: Track) -> Track:
        track = self._of_torus(track)
        if not track.moves or not self._is_rolled(track.axis):
            return still(track)
        if not self.choices:
            return changed(track)
        return Track(
            track.image,
            track.lattice,
            track.axis,
            choice=self.choices[track.axis],
            apart=self.batch,
            why=track.why,
        )

    def _is_rolled(self, axis: int) -> bool:
        """Whether what is kept along an axis may begin anywhere."""
        window = self.windows[axis]
        return axis in self.choices or (
            not self.choices
            and window.stride == 1
            and _divides(window, self.after[axis])
        )

    def _of_torus(self, track: Track) -> Track:
        if not track.moves:
            return track
        if track.axis not in self.windows or not track.apart <= self.batch:
            return lost(track, "chooses among what moves otherwise")
        return uncut(track, self.before, "chooses on what is no torus")
