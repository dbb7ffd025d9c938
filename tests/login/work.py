"""People who sign in and work without a pause, each with cookies of their own; what goes wrong is kept."""

from __future__ import annotations

import http.client
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.login.caller import Caller
from tests.login.signer import Person, Signer
from tests.login.visit import SESSION

PAGE_SECONDS, LOGIN_SECONDS = 0.1, 1.0
MOST_SECONDS = 3600.0
KEPT = 20


def person(name: str) -> Person:
    """Return somebody who was never here."""
    return Person(str(uuid.uuid4()), name, f"{name.lower().replace(' ', '.')}@example.org")


@dataclass
class Work:
    """Some who stay signed in and open a page ten times a second, and those who sign in and out, one each second."""

    port: int
    signer: Signer
    staying: Sequence[str] = ("Grace Hopper", "Hedy Lamarr", "Mary Somerville")
    passing: str = "Emmy Noether"
    done: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def __enter__(self) -> Work:
        """Begin, and return when each of them has come so far as to work."""
        self.ended = threading.Event()
        staying = [self.thread(self.stay, name) for name in self.staying]
        self.threads = [*staying, self.thread(self.come_and_go, self.passing)]
        for thread in self.threads:
            thread.start()
        self.wait_for(pages=len(self.staying), logins=1)
        return self

    def __exit__(self, *_: object) -> None:
        """End, and wait for the last answers."""
        self.ended.set()
        for thread in self.threads:
            thread.join(timeout=60)
            assert not thread.is_alive(), "somebody still waits for an answer"

    def thread(self, work: Callable[[Person], None], name: str) -> threading.Thread:
        """Return somebody's thread."""
        return threading.Thread(target=work, args=(person(name),), daemon=True)

    def wait_for(self, *, pages: int, logins: int, seconds: float = 120) -> None:
        """Return when so many more pages and logins have gone well; fail when something went wrong before."""
        wanted = {"pages": self.done["pages"] + pages, "logins": self.done["logins"] + logins}
        deadline = time.monotonic() + seconds
        while any(self.done[what] < count for what, count in wanted.items()):
            assert not self.failures, self.failures
            assert time.monotonic() < deadline, f"not within {seconds} s: {self.done}"
            time.sleep(0.05)

    def stay(self, somebody: Person) -> None:
        """Sign in once, and open a page again and again."""
        with Caller(self.port, "198.51.100.20") as caller:
            self.noted("logins", lambda: self.sign_in(caller, somebody))
            session = caller.cookies.get(SESSION)
            for _ in self.paced(PAGE_SECONDS):
                self.noted("pages", lambda: self.look(caller, somebody, session))

    def come_and_go(self, somebody: Person) -> None:
        """Sign in and out, each time with a browser that was never here."""
        for _ in self.paced(LOGIN_SECONDS):
            with Caller(self.port, "198.51.100.21") as caller:
                self.noted("logins", lambda caller=caller: self.visit(caller, somebody))  # type: ignore[misc]

    def paced(self, seconds: float) -> Iterator[int]:
        """Yield at a pace until the end; a turn that took long is followed by the next one at once."""
        began = due = time.monotonic()
        number = 0
        while not self.ended.is_set() and due - began < MOST_SECONDS:
            yield number
            number, due = number + 1, max(due + seconds, time.monotonic())
            self.ended.wait(due - time.monotonic())

    def noted(self, what: str, act: Callable[[], object]) -> None:
        """Do something, and count it, or keep why it failed."""
        try:
            act()
        except (AssertionError, OSError, http.client.HTTPException) as failure:
            if len(self.failures) < KEPT:
                self.failures.append(f"{time.strftime('%H:%M:%S')} {what}: {failure!r}")
        else:
            self.done[what] += 1

    def sign_in(self, caller: Caller, somebody: Person) -> None:
        """Sign in by the provider."""
        asked = caller.begin()
        answer = caller.bring(self.signer.answer(asked, somebody), asked)
        assert (answer.status, answer.headers["Location"]) == (303, "/account"), f"{answer.status}: {answer.body}"

    def look(self, caller: Caller, somebody: Person, session: str | None) -> str:
        """Open one's page, in the session that it was."""
        answer = caller.get("/account")
        assert answer.status == 200, f"{answer.status}: {answer.body}"
        assert somebody.name in answer.body
        assert caller.cookies.get(SESSION) == session
        return answer.token

    def visit(self, caller: Caller, somebody: Person) -> None:
        """Sign in, open one's page, and sign out."""
        self.sign_in(caller, somebody)
        token = self.look(caller, somebody, caller.cookies[SESSION])
        self.sign_out(caller, token)

    def sign_out(self, caller: Caller, token: str) -> None:
        """Send the form that signs out."""
        answer = caller.post("/auth/logout", {"csrf_token": token})
        assert answer.status == 303, f"{answer.status}: {answer.body}"
        assert SESSION not in caller.cookies
