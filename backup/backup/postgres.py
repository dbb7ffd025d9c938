"""The steps for PostgreSQL: dump, read through, globals, test restore."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from backup import archive, catalogue, connection, dump, fault, proof, room, snapshot, source, tools
from backup.made import Made, Piece
from backup.settings import Settings
from backup.url import Postgres


def make(chosen: Settings, target: Postgres, folder: Path) -> Made:
    """Dump a PostgreSQL database, read the dump, restore it beside and compare."""
    programs = tools.find()
    path = folder / "database.dump"
    with connection.connect(target) as session:
        origin = source.read(session)
        source.check(origin, programs)
        source.check_readable(session, target.keywords["user"])
        database_bytes = source.bytes_of(session)
        needed = look_for_room(chosen, target, database_bytes)
        with snapshot.held(session) as taken:
            fault.point("dump:before")
            held = dump.write(programs, target, session, taken, path, chosen.step_seconds)
    fault.point("read:before")
    archive.read_through(programs, path, chosen.step_seconds)
    listed = archive.listing(programs, path, chosen.step_seconds)
    fault.point("globals:before")
    roles = folder / "globals.sql"
    dump.write_globals(programs, target, roles, chosen.step_seconds)
    fault.point("restore:before")
    shown = proof.prove(programs, path, origin, held, chosen.work / "proof", chosen.step_seconds, needed)
    sizes = {"database_bytes": database_bytes, "dump_bytes": path.stat().st_size, "restored_bytes": shown.bytes}
    server = origin._asdict()
    server["extensions"] = [extension._asdict() for extension in origin.extensions]
    return Made(
        pieces=(Piece(path, "dump", "pg_dump custom", dump.compression(programs)), Piece(roles, "globals", "sql")),
        server={**server, "dump_version": listed.dumped_by, "archive_version": listed.archive_version},
        snapshot=taken._asdict(),
        contents=held,
        verify={
            "level": "restored",
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "by": f"PostgreSQL {programs.version}",
            "left_out": list(shown.left_out),
            "locale": shown.locale,
            "sizes": sizes,
        },
    )


def look_for_room(chosen: Settings, target: Postgres, database_bytes: int) -> int:
    """Raise StopError where a dump, or what it restores to, has no room; return what the latter takes."""
    entry = catalogue.newest_good(chosen.folder, chosen.keys, target.database)
    last = entry.manifest if entry else None
    needed = room.for_restore(database_bytes, last)
    dumped = room.for_dump(database_bytes, last, sealed=bool(chosen.recipients))
    room.check([room.Room(chosen.folder, dumped, "the dump"), room.Room(chosen.work, needed, "the test restore")])
    return needed
