"""Arms by model, pool, boundary and augmentation: every combination of some of each."""

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from experiments.comparing.arm import Arm

AUGMENTS = "none", "translation"
"""Training images as they are, or moved by whole pixels, zeros shifted in."""

FACTORS = "model", "pool", "boundary", "augment"


class Setting(NamedTuple):
    """What an arm is made of."""

    model: str
    pool: str
    boundary: str
    augment: str


def settings(
    models: Sequence[str],
    pools: Sequence[str],
    boundaries: Sequence[str],
    augments: Sequence[str],
) -> dict[str, Setting]:
    """Every combination, by the name of its arm; the model is told where it varies."""
    combined = itertools.starmap(
        Setting, itertools.product(models, pools, boundaries, augments)
    )
    return {_name(each, len(models) > 1): each for each in combined}


def arm(name: str, setting: Setting, translation: int) -> Arm:
    """The arm of a setting, moved by up to `translation` pixels where it is moved."""
    moved = (f"pad_and_crop(padding={translation}, fill=0.0)",)
    flags = {
        "model": setting.model,
        "pool": setting.pool,
        "boundary": setting.boundary,
        "augment": moved if setting.augment == "translation" else None,
    }
    return Arm(name, flags, flag="pools")


class Contrast(NamedTuple):
    """Two arms that differ in one thing alone.

    Attributes:
        of: the two, as a difference: "circular - zero".
        where: what they share, of what varies.
    """

    a: str
    b: str
    factor: str
    of: str
    where: str


def contrasts(named: Mapping[str, Setting], factor: str) -> list[Contrast]:
    """The pairs that differ in a factor alone, what comes later less what is earlier.

    Args:
        factor: of `FACTORS`.
    """
    varying = [name for name in FACTORS if len({*_values(named, name)}) > 1]
    found = []
    for (b, before), (a, after) in itertools.combinations(named.items(), 2):
        differing = [x for x in FACTORS if getattr(before, x) != getattr(after, x)]
        if differing == [factor]:
            of = (
                _WORDS.get(x, x)
                for x in (getattr(after, factor), getattr(before, factor))
            )
            shared = [getattr(after, name) for name in varying if name != factor]
            where = " ".join(_WORDS.get(value, value) for value in shared)
            found.append(Contrast(a, b, factor, " \N{MINUS SIGN} ".join(of), where))
    return found


_WORDS = {"none": "plain", "translation": "augmented"}


def _values(named: Mapping[str, Setting], factor: str) -> list[str]:
    return [getattr(setting, factor) for setting in named.values()]


def _name(setting: Setting, of_several_models: bool) -> str:
    words = [setting.model] if of_several_models else []
    words += [setting.pool, setting.boundary]
    return " ".join(words + ["augmented"] * (setting.augment == "translation"))
