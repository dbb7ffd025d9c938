"""Wrong passwords from many addresses at once, as a proxy in front tells of them, so that no address sends many."""

from __future__ import annotations

import http.client
import ipaddress
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.login.caller import Caller

FORM = "/auth/login/password"
NETWORK = ipaddress.ip_network("198.18.0.0/15")
LONGEST = 600.0

Account = Callable[[int], str]


@dataclass
class Flood:
    """Tries at accounts, each from an address of its own; with a `rate` they come evenly, so many a second."""

    port: int
    account: Account
    rate: float | None = None
    most: int | None = None
    attackers: int = 8
    answers: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> Flood:
        """Begin."""
        self.ended = threading.Event()
        self.began = time.monotonic()
        self.numbers = iter(range(len_of(self.most)))
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.attack, args=(n,), daemon=True) for n in range(self.attackers)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it, unless it has ended."""
        self.ended.set()
        self.wait()

    def wait(self) -> None:
        """Return when the last try is answered."""
        for thread in self.threads:
            thread.join(timeout=LONGEST)
            assert not thread.is_alive(), f"the flood has not ended: {self.answers}"

    @property
    def sent(self) -> int:
        """How many tries were answered, or got no answer."""
        return sum(self.answers.values())

    def turns(self) -> Iterator[int]:
        """Yield the number of each try when it is due."""
        while not self.ended.is_set():
            with self.lock:
                number = next(self.numbers, None)
            if number is None:
                return
            if self.rate:
                self.ended.wait(self.began + number / self.rate - time.monotonic())
            yield number

    def attack(self, place: int) -> None:
        """Try again and again, with one form for all tries."""
        with Caller(self.port, str(NETWORK[-2 - place])) as caller:
            token = caller.get(FORM).token
            for number in self.turns():
                caller.address = str(NETWORK[number + 1])
                form = {"csrf_token": token, "email": self.account(number), "password": f"wrong password {number}"}
                try:
                    answer = caller.post(FORM, form)
                except (OSError, http.client.HTTPException) as failure:
                    self.count(type(failure).__name__)
                else:
                    self.count(str(answer.status))

    def count(self, what: str) -> None:
        """Count an answer."""
        with self.lock:
            self.answers[what] += 1


def len_of(most: int | None) -> int:
    """Return how many tries there are; every one needs an address."""
    return min(most or NETWORK.num_addresses, NETWORK.num_addresses - 100)
