"""Amounts such as `500m` and `1Gi`: written as the API server writes them back."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

FORM = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)([eE][+-]?\d+|[KMGTPE]i|[numkMGTPE]?)")
DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
FINEST = 10**9
LARGEST = 2**63 - 1
DECIMAL_DIGITS, BINARY_DIGITS = 18, 15


def canonical(written: str | float) -> str:
    """Return an amount as the server keeps it; raise ValueError for what is none."""
    text = written.strip() if isinstance(written, str) else format(Decimal(str(written)), "f")
    found = FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no amount: digits, and a suffix such as m, k, Mi or e3 are")
    sign, digits, suffix = found.groups()
    if _is_kept(digits, suffix):
        return text
    number = Fraction(Decimal(digits)) * _unit(suffix)
    nanos = -(-number * FINEST // 1)  # finer than a billionth is rounded up
    if suffix in BINARY[1:]:
        nanos = min(nanos, LARGEST * FINEST)
    if nanos == 0:
        return "0"
    minus = "-" if sign == "-" else ""
    if suffix in BINARY[1:] and nanos >= 1024 * FINEST and nanos % FINEST == 0:
        return minus + _binary(nanos // FINEST)
    return minus + _decimal(nanos, exponential=suffix[:1] in ("e", "E") and suffix[1:] != "" and suffix[1:] != "i")


def _is_kept(digits: str, suffix: str) -> bool:
    """Say whether the server leaves an amount as it is written, with its sign, its point and its leading zeros.

    It does when the digits fit into an integer, and that integer's unit is one there is and could not be a larger one.
    """
    whole, _, part = digits.partition(".")
    whole = whole.lstrip("0") or "0"
    if suffix in BINARY[1:]:
        return not part and len(whole) + 3 * BINARY.index(suffix) < BINARY_DIGITS and int(whole) % 8 != 0
    power = (DECIMAL[suffix] if suffix in DECIMAL else int(suffix[1:])) - len(part)
    number = whole + part
    fits = len(number) <= DECIMAL_DIGITS and power >= DECIMAL["n"]
    return fits and power % 3 == 0 and not number.startswith("0") and not number.endswith("000")


def _unit(suffix: str) -> Fraction:
    if suffix in DECIMAL:
        return Fraction(10) ** DECIMAL[suffix]
    if suffix in BINARY:
        return Fraction(1024 ** BINARY.index(suffix))
    return Fraction(10) ** int(suffix[1:])


def _binary(number: int) -> str:
    power = 0
    while number % 1024 == 0 and power < len(BINARY) - 1:
        number //= 1024
        power += 1
    return f"{number}{BINARY[power]}"


def _decimal(nanos: int, *, exponential: bool) -> str:
    power = -9
    while nanos % 1000 == 0 and power < DECIMAL["E"]:
        nanos //= 1000
        power += 3
    if exponential:
        return f"{nanos}e{power}" if power else str(nanos)
    return f"{nanos}{next(suffix for suffix, exponent in DECIMAL.items() if exponent == power)}"
