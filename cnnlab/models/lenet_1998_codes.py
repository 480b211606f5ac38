"""The bitmaps that the output units of the LeNet-5 of 1998 compare with."""

import numpy as np

# The ten digits of the paper's figure 3, 7 wide and 12 high, after a public
# transcription (mattwang44/LeNet-from-Scratch on GitHub) that was not compared with the
# figure itself.
_DIGITS = """
.#####.  ...##..  .#####.  #######  .#####.  .#####.  ..####.  #######  .#####.  .#####.
.......  ..###..  .......  .....##  .......  .......  .##....  .....##  ##...##  ##..###
..###..  .####..  .#####.  ....##.  .......  #######  ##.....  .....##  ##...##  ##...##
.##.##.  ...##..  ##...##  ...##..  .##..##  ##.....  ##.....  ....##.  ##...##  ##...##
##...##  ...##..  #....##  ..####.  .##..##  ##.....  ######.  ...##..  .#####.  ##..###
##...##  ...##..  ....##.  .....##  ###..##  .####..  ###..##  ...##..  ##...##  .######
##...##  ...##..  ..###..  .....##  ##...##  ..####.  ##...##  ..##...  ##...##  .....##
##...##  ...##..  .##....  .....##  ##...##  .....##  ##...##  ..##...  ##...##  .....##
.##.##.  ...##..  ##.....  ##...##  ##..###  ##...##  ###..##  ..##...  ##...##  ....##.
..###..  .######  #######  .#####.  .######  .#####.  .#####.  ..##...  .#####.  .####..
.......  .......  .......  .......  .....##  .......  .......  .......  .......  .......
.......  .......  .......  .......  .....##  .......  .......  .......  .......  .......
"""


def digit_codes() -> np.ndarray:
    """The codes of the classes 0 to 9, `[10, 84]`: +1 for ink, -1 for paper.

    Row-major bitmaps of 12 rows and 7 columns.
    """
    rows = [line.split() for line in _DIGITS.split("\n") if line]
    ink = np.array([[list(part) for part in row] for row in rows]) == "#"
    return np.where(ink.swapaxes(0, 1), 1.0, -1.0).reshape(10, 84).astype(np.float32)
