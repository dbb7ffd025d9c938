"""What the engine starts as a plugin: `python -I -S offline/start.py NAME ARGUMENTS…`, NAME being a package here.

All plugins load the same before their own, and the engine starts each twice in an update, one after the other. So only
the first of them loads it, and leaves a process behind (`plugin/nursery.py`) from which the engine's later plugins are
forked. What the engine started then stands for the plugin: it ends when that ends, and that ends when it does. Where
there is nothing to be forked from, the plugin runs in this very process.

Until it is known which, nothing is loaded that takes time: neither `site` (`-S`) nor `socket` nor `pathlib`.
"""

from __future__ import annotations

import marshal
import os
import stat
import sys

TAKEN = b"+"
ANSWER_SECONDS = 5.0
ROOT = __file__.rpartition("/offline/")[0]
OTHERS = 0o077


def main() -> None:
    """Run the plugin named by the first argument; the rest is the engine's."""
    engine = os.getppid()
    stand_in(engine)
    import site

    site.main()
    sys.path.insert(0, ROOT)
    from offline import launch

    launch.load()
    from offline.plugin import nursery

    nursery.leave_behind(engine, ROOT, made_address)
    launch.run(sys.argv.pop(1))


def folder() -> str:
    """Return where this user's nurseries listen."""
    return f"{os.environ.get('TMPDIR') or '/tmp'}/scaffold-plugins-{os.geteuid()}"  # noqa: S108 - see `address`


def address(engine: int) -> str:
    """Return where an engine's nursery listens; raise OSError where others than this user could listen there, or ask.

    A file: a name without one is known to every container on this machine's network, where root is called root, too.
    Engines in two containers may have the same number.
    """
    found = os.lstat(folder())
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & OTHERS:
        raise PermissionError
    return f"{folder()}/{os.stat('/proc/self/ns/pid').st_ino}-{engine}"  # noqa: PTH116


def made_address(engine: int) -> str:
    """Return what `address` does, in a folder that is made where there is none."""
    from contextlib import suppress

    with suppress(FileExistsError):
        os.mkdir(folder(), 0o700)  # noqa: PTH102
    return address(engine)


def stand_in(engine: int) -> None:
    """Have the plugin forked and stand for it until its end; return where that cannot be."""
    if sys.platform != "linux":
        return
    import _socket

    line = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    line.settimeout(ANSWER_SECONDS)
    try:
        line.connect(address(engine))
        wanted = marshal.dumps((ROOT, sys.executable, sys.argv, os.getcwd(), dict(os.environ), os.getpgrp()))  # noqa: PTH109
        files = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2))
        line.sendmsg([len(wanted).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)])
        line.sendall(wanted)
        if line.recv(1) != TAKEN:
            return
        line.settimeout(None)
    except OSError:
        line.close()  # so that a plugin which is forked after all finds nobody, and ends
        return
    while True:
        try:
            code = line.recv(1)
            os._exit(code[0] if code else 1)
        except KeyboardInterrupt:
            line.shutdown(_socket.SHUT_WR)


if __name__ == "__main__":
    main()
