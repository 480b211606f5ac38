"""Published protocols that compare pairs of shifts."""

from cnnlab.diagnostics.shifts.motion import Motion
from cnnlab.diagnostics.shifts.parsing import protocols
from cnnlab.diagnostics.shifts.protocol import Shift
from cnnlab.diagnostics.shifts.ranges import Range
from cnnlab.ops.arguments import check_count


@protocols.register
def zhang_2019(
    *,
    canvas: int = 256,
    crop: int = 224,
    passes: int = 5,
    batch: int = 8,
    seed: int = 0,
) -> Shift:
    """Two random crops of a larger image: how often their classes agree.

    Offsets are 0..canvas - crop - 1 along each axis, the two of them drawn for each
    `batch` of images in a row and each pass, so that they may be the same.

    Args:
        canvas: side of the images, which come resized and cropped to it.
        crop: side of what the network sees.

    Raises:
        ValueError: a crop that leaves no room in the canvas for two offsets.

    Source: Zhang, 2019, "Making convolutional networks shift-invariant again", section
    4.1, https://arxiv.org/abs/1904.11486, with the numbers of the author's
    `validate_shift` (offsets `randint(32)`, so that the last possible one, 32, is never
    drawn; batches of 8, 5 passes). Here the draws are NumPy's, and any other canvas or
    crop is a scaling of ours.
    """
    for name, side in {"canvas": canvas, "crop": crop}.items():
        check_count(name, side)
    if canvas - crop < 2:
        raise ValueError(
            "zhang_2019 needs a canvas at least 2 larger than the crop, got "
            f"canvas={canvas}, crop={crop}"
        )
    offsets = Range(0, canvas - crop - 1)
    options = f"canvas={canvas}, crop={crop}, passes={passes}, batch={batch}"
    return Shift(
        Motion("crop", (canvas, canvas), (crop, crop)),
        offsets,
        offsets,
        "two draws",
        shared_by=batch,
        passes=passes,
        seed=seed,
        published=f"zhang_2019({options}, seed={seed})",
    )


@protocols.register
def chaman_2021(
    *, max_shift: int = 3, batch: int | None = 256, passes: int = 1, seed: int = 0
) -> Shift:
    """Two random circular shifts of an image: how often their classes agree.

    Shifts are -max_shift..max_shift - 1 along each axis, both copies moved.

    Args:
        batch: how many images in a row share their two shifts; None draws for each.

    Source: Chaman and Dokmanic, 2021, "Truly shift-invariant convolutional neural
    networks", section 5, https://arxiv.org/abs/2011.14214, with the numbers of the
    authors' CIFAR-10 script (`randint(-3, 3)`, whose upper end is excluded; shared by
    batches of 256, one pass). Here the draws are NumPy's.
    """
    check_count("max_shift", max_shift)
    offsets = Range(-max_shift, max_shift - 1)
    options = f"max_shift={max_shift}, batch={batch}, passes={passes}, seed={seed}"
    return Shift(
        Motion("circular"),
        offsets,
        offsets,
        "two draws",
        shared_by=batch,
        passes=passes,
        seed=seed,
        published=f"chaman_2021({options})",
    )
