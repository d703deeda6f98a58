"""Points drawn once and for all: a sequence of which any piece can be drawn again.

Labels of training points are made in the data stage and kept as bits; the points themselves, 96 times as large, are
drawn again where they are needed. This is the one place that says which points they are.
"""

import numpy as np

_KEY = 2020  # of the sequence
_DRAWS = 4  # numbers that the generator makes per count of its counter


def unit_points(first: int, count: int) -> np.ndarray:
    """Points first .. first + count - 1 of the sequence, (count, 3) float64, uniform in [0, 1)**3.

    Philox numbers its draws, so a piece costs nothing of what lies before it.
    """
    counter, skipped = divmod(3 * first, _DRAWS)
    generator = np.random.Generator(np.random.Philox(key=_KEY).advance(counter))
    return generator.random(skipped + 3 * count)[skipped:].reshape(count, 3)


def box_points(box: np.ndarray, first: int, count: int) -> np.ndarray:
    """The same piece spread over a box (2, 3) of lowest and highest corner: (count, 3) float32.

    Rounded here, so that labels belong to the very points that a network is given.
    """
    lowest, highest = np.asarray(box, dtype=np.float64)
    return (lowest + unit_points(first, count) * (highest - lowest)).astype(np.float32)
