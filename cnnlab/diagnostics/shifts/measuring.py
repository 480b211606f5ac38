"""Any protocol's number, by its spec."""

from typing import Any

from cnnlab.diagnostics.predictions import Images, Labels, Predict
from cnnlab.diagnostics.shifts.azulay import Jaggedness
from cnnlab.diagnostics.shifts.consistency import Consistency, consistency
from cnnlab.diagnostics.shifts.engstrom import Robustness
from cnnlab.diagnostics.shifts.parsing import parse
from cnnlab.diagnostics.shifts.protocol import Shift


def measure(
    predict: Predict,
    images: Images,
    spec: Any,
    labels: Labels | None = None,
    **options: Any,
) -> Consistency | Jaggedness | Robustness:
    """What the protocol of that spec measures.

    `measure(predict, images, result.spec, labels)` gives a result again.

    Args:
        predict, images, labels: as `consistency` has them.
        spec: as `parse` has it, or a protocol.
        options: `batch_size`.

    Raises:
        ValueError: a malformed spec, or what the protocol cannot measure.
    """
    protocol = parse(spec)
    if isinstance(protocol, Shift):
        return consistency(predict, images, protocol, labels, **options)
    return protocol.measure(predict, images, labels, **options)
