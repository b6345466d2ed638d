"""The points of a range, exact: both ends are met, and every point is the float nearest to the true number."""

import decimal
from decimal import Decimal
from fractions import Fraction

MAX_POINTS = 10_000

_CONTEXT = decimal.Context(prec=60)


def stepped(minimum: float, maximum: float, step: float, scale: str = "linear") -> list[Decimal]:
    """`minimum`, `minimum + step`, ... `maximum`; on a log scale each point is `step` times the one before.

    The numbers are taken as written (0.1 is one tenth), so 0 to 0.3 by 0.1 is 0, 0.1, 0.2, 0.3.

    Raises:
        ValueError: the steps do not end at `maximum`, or there are more than MAX_POINTS points.
    """
    low, high, size = _written(minimum), _written(maximum), _written(step)
    if scale == "log" and size <= 1:
        raise ValueError("on a log scale each point is `step` times the one before, so `step` must be above 1")
    points = [low]
    while points[-1] < high:
        if len(points) == MAX_POINTS:
            raise ValueError(f"`step` must make at most {MAX_POINTS} points")
        last = points[-1]
        points.append(_CONTEXT.multiply(last, size) if scale == "log" else _CONTEXT.add(last, size))
    if points[-1] != high:
        raise ValueError(
            f"the steps from {minimum:g} must end at `max`, {maximum:g}; they meet {float(points[-2]):g} and "
            f"{float(points[-1]):g}"
        )
    return points


def spaced(minimum: float, maximum: float, num: int, scale: str = "linear") -> list[Decimal]:
    """`num` points from `minimum` to `maximum`, both met exactly: evenly, or on a log scale by even ratios."""
    low, high = _written(minimum), _written(maximum)
    inner = [
        _log_between(low, high, i, num - 1) if scale == "log" else _between(low, high, i, num - 1) for i in range(num)
    ]
    return [low, *inner[1:-1], high]


def _written(number: float) -> Decimal:
    """The decimal number that the shortest text of a float says: the number as a person wrote it."""
    return Decimal(repr(number))


def _between(low: Decimal, high: Decimal, index: int, parts: int) -> Decimal:
    exact = Fraction(low) + (Fraction(high) - Fraction(low)) * index / parts
    return _CONTEXT.divide(Decimal(exact.numerator), Decimal(exact.denominator))


def _log_between(low: Decimal, high: Decimal, index: int, parts: int) -> Decimal:
    ratio = _CONTEXT.ln(_CONTEXT.divide(high, low))
    grown = _CONTEXT.exp(_CONTEXT.divide(_CONTEXT.multiply(ratio, Decimal(index)), Decimal(parts)))
    return _CONTEXT.multiply(low, grown)
