"""Requests become those that may pass now and those that have to wait, and for how long."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

MOST_KEYS = 20_000


class Rate:
    """A token bucket for every key: `burst` at once, `per_second` in the long run.

    The buckets live in memory, each process has its own, and the longest unused are forgotten
    first.
    """

    def __init__(self, per_second: float, burst: float, *, most_keys: int = MOST_KEYS,
                 clock: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        if per_second <= 0 or burst < 1:
            raise ValueError(f"per_second should be above 0 and burst at least 1, "
                             f"got {per_second:g} and {burst:g}")
        self.per_second, self.burst = per_second, burst
        self._most_keys, self._clock = most_keys, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, key: str) -> float:
        """Take a token: 0, or the seconds until there is one."""
        now = self._clock()
        held, since = self._buckets.pop(key, (self.burst, now))
        held = min(self.burst, held + (now - since) * self.per_second)
        lacking = max(0.0, 1 - held)
        self._buckets[key] = (held if lacking else held - 1, now)
        if len(self._buckets) > self._most_keys:
            self._buckets.popitem(last=False)
        return lacking / self.per_second


@dataclass
class Limits:
    """How many requests pass: of one annotator, of one address, and how many join from there.

    A whole laboratory may sit behind one address, and one comparison takes up to ten requests.
    """

    session: Rate = field(default_factory=lambda: Rate(20, 200))
    address: Rate = field(default_factory=lambda: Rate(200, 2000))
    joining: Rate = field(default_factory=lambda: Rate(2, 200))
    guessing: Rate = field(default_factory=lambda: Rate(0.5, 10))


def neighbourhood(address: str) -> str:
    """An IPv4 address, or the /64 network of an IPv6 one, which is what one household has."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Network((parsed, 64), strict=False))
    return str(parsed)
