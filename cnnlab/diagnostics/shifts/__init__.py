"""What happens when the image moves, by protocols that say what they measured.

`consistency(predict, images, "shift(circular, -3..3, all pairs, per image)", labels)`,
`grid` for the maps, `measure` for any protocol, the published ones in `protocols`.
Functions of any `predict(images) -> logits`.
"""

from cnnlab.diagnostics.shifts.accuracy import Accuracy, accuracy_under_shifts
from cnnlab.diagnostics.shifts.azulay import Jaggedness, azulay_2019
from cnnlab.diagnostics.shifts.consistency import Consistency, consistency
from cnnlab.diagnostics.shifts.engstrom import Robustness, engstrom_2019
from cnnlab.diagnostics.shifts.grid import Grid, grid
from cnnlab.diagnostics.shifts.measuring import measure
from cnnlab.diagnostics.shifts.motion import Motion
from cnnlab.diagnostics.shifts.motions import (
    crop_at,
    embed_at,
    fourier_shift,
    roll,
    translate,
)
from cnnlab.diagnostics.shifts.parsing import parse, protocols
from cnnlab.diagnostics.shifts.protocol import Shift
from cnnlab.diagnostics.shifts.published import chaman_2021, zhang_2019
from cnnlab.diagnostics.shifts.ranges import Range

__all__ = [
    "Accuracy",
    "Consistency",
    "Grid",
    "Jaggedness",
    "Motion",
    "Range",
    "Robustness",
    "Shift",
    "accuracy_under_shifts",
    "azulay_2019",
    "chaman_2021",
    "consistency",
    "crop_at",
    "embed_at",
    "engstrom_2019",
    "fourier_shift",
    "grid",
    "measure",
    "parse",
    "protocols",
    "roll",
    "translate",
    "zhang_2019",
]
