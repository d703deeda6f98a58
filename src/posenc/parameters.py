"""Kinds of values that encodings and networks declare for their parameters.

An encoding or a network states its parameters as annotated keyword arguments of `__init__`. The planner reads the
annotations from the source, without importing torch, and checks every configured value against them.
"""

from typing import Annotated

from annotated_types import Ge, Gt, MultipleOf
from pydantic import AllowInfNan

Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0), AllowInfNan(True)]  # .inf is one, too
Count = Annotated[int, Ge(1)]
EvenCount = Annotated[int, Ge(2), MultipleOf(2)]
