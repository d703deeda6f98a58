"""How a process treats the memory that it frees."""

import ctypes

# Of malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Keep memory that tensors free for the next ones, where the C library is glibc.

    Otherwise every large tensor is a fresh mapping, which pays again for each of its pages: a tenth of a fit with
    Gaussian features, a third where its first layer is summed over axes, and of stable ranks of many random features.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
