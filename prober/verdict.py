"""Judges a complete answer: what was asked for, the maintenance page, or a failure."""

from __future__ import annotations

from prober.answer import Answer
from prober.fate import Verdict
from prober.work import Work


def of(work: Work, answer: Answer, page_words: str = "") -> tuple[Verdict, str]:
    """Return the verdict, and what was wrong with the answer; the page must hold the given words."""
    if answer.status == 503:
        wrong = wrong_with_page(answer, page_words)
        return (Verdict.FAILED, wrong) if wrong else (Verdict.PAGE, "")
    if not 200 <= answer.status < 300:
        return Verdict.FAILED, f"status {answer.status}: {answer.text[:200]}"
    wrong = wrong_with_body(work, answer)
    return (Verdict.FAILED, wrong) if wrong else (Verdict.SERVED, "")


def wrong_with_page(answer: Answer, words: str) -> str:
    """Return what a 503 lacks to be the page, or nothing."""
    if not answer.headers.get("retry-after", "").isdigit():
        return "a 503 without Retry-After in seconds"
    if "no-store" not in answer.headers.get("cache-control", ""):
        return "a 503 that may be stored"
    if words not in answer.text:
        return f"a 503 without {words!r}: {answer.text[:200]}"
    return ""


def wrong_with_body(work: Work, answer: Answer) -> str:
    """Return how a body differs from the wanted one, or nothing."""
    if work.wanted_sha256 and answer.sha256 != work.wanted_sha256:
        return f"another body of {answer.length} bytes"
    echo = answer.document.get("sha256")
    if work.wanted_echo and echo != work.wanted_echo:
        return f"the server got another body, with hash {echo}"
    return ""


def release(answer: Answer) -> str:
    """Return the release that answered, by the answer's JSON or its header, or nothing."""
    return str(answer.document.get("release") or answer.headers.get("probe-release", ""))
