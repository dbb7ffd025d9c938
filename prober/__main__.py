"""`python3 -m prober --url http://localhost:8000 --rate 100 --seconds 30`: ask a site, and print what became of it all.

Ends with 1 when a request failed, or got the maintenance page.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from prober import work
from prober.journal import Journal
from prober.load import Load
from prober.target import Target


def arguments() -> argparse.ArgumentParser:
    """Return what the command line takes."""
    parser = argparse.ArgumentParser(prog="python3 -m prober", description=__doc__)
    parser.add_argument("--url", required=True, help="the site, http://HOST[:PORT]")
    parser.add_argument("--path", default="/", help="what is asked for (default: /)")
    parser.add_argument("--rate", type=float, default=100, help="requests a second altogether (default: 100)")
    parser.add_argument(
        "--fresh", type=float, default=0.2, help="which share of them on new connections (default: 0.2)"
    )
    parser.add_argument("--post", default="", metavar="PATH", help="send every third request there, numbered")
    parser.add_argument("--seconds", type=float, default=30, help="for how long (default: 30)")
    parser.add_argument("--connections", type=int, default=8, help="how many stay open (default: 8)")
    parser.add_argument("--timeout", type=float, default=15, help="seconds after which a request is late (default: 15)")
    parser.add_argument("--page-words", default="", help="words that the maintenance page must hold")
    parser.add_argument("--journal", type=Path, help="a file for every request as a line of JSON")
    return parser


def works(options: argparse.Namespace) -> list[work.Work]:
    """Return the kinds of requests that the command line asks for."""
    posts = options.rate / 3 if options.post else 0.0
    gets = options.rate - posts
    kinds = [
        work.get(options.path, gets * (1 - options.fresh)),
        work.fresh(options.path, gets * options.fresh),
        work.post(options.post, posts, f"prober-{os.getpid()}"),
    ]
    return [kind for kind in kinds if kind.rate > 0]


def main() -> int:
    """Run, print the tally as JSON, and return 0 where every request was served."""
    parser = arguments()
    options = parser.parse_args()
    try:
        target = Target.of(options.url)
    except ValueError as error:
        parser.error(str(error))
    if options.rate <= 0 or options.seconds <= 0 or not 0 <= options.fresh <= 1:
        parser.error("--rate and --seconds have to be more than 0, --fresh between 0 and 1")
    with ExitStack() as stack:
        listen = Journal(stack.enter_context(options.journal.open("w"))) if options.journal else None
        tally = asyncio.run(ask(options, target, listen))
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = round((used.ru_utime + used.ru_stime) / options.seconds, 3)
    print(json.dumps(tally | {"processor": seconds}, indent=2))
    return 0 if tally["sent"] == tally["verdicts"].get("served", 0) else 1


async def ask(options: argparse.Namespace, target: Target, listen: Journal | None) -> dict[str, Any]:
    """Run the load and return its tally."""
    load = Load(target, works(options), options.connections, options.timeout, options.page_words, listen)
    return (await load.run(options.seconds)).plain()


if __name__ == "__main__":
    sys.exit(main())
