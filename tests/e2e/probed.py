"""An app that the prober can ask: the program's own, with a few addresses more and a table for them."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.release import head_of

OVERLAY = Path(__file__).resolve().parent / "overlay"
REVISION = "0000probe"


def overlay(folder: Path) -> None:
    """Add the prober's addresses and their migration to a copied program."""
    head = head_of(folder)
    scaffold = folder / "app" / "scaffold"
    (scaffold / "probe.py").write_text((OVERLAY / "probe.py").read_text())
    migration = (OVERLAY / "orders.py").read_text().replace('"HEAD"', f'"{head}"')
    (folder / "app" / "migrations" / "versions" / f"{REVISION}_orders.py").write_text(migration)
    added_to(
        scaffold / "__init__.py",
        "    app.register_blueprint(home.blueprint)\n",
        "    from . import probe\n\n    app.register_blueprint(probe.blueprint)\n",
    )
    added_to(folder / "app" / ".dockerignore", "!scaffold\n", "!mark.py\n")
    added_to(folder / "app" / "Dockerfile", "COPY --from=build /code /app\n", "COPY mark.py /app/mark.py\n")
    added_to(folder / "app" / "gunicorn.conf.py", "import sys\n", "import runpy\n")
    with (folder / "app" / "gunicorn.conf.py").open("a") as server:
        server.write('\nrunpy.run_path("/app/mark.py")\n')
    change(folder, "first")


def added_to(path: Path, line: str, more: str) -> None:
    """Add something after a line of a file."""
    text = path.read_text()
    assert text.count(line) == 1, f"{path.name} is no longer what the overlay adds to: {line!r}"
    path.write_text(text.replace(line, line + more))


def change(folder: Path, mark: str, does: str = "") -> None:
    """Change a line of the app, and so make another release of it; `does` is run when its server starts.

    The line is in the image's last layer: a build takes a second.
    """
    (folder / "app" / "mark.py").write_text(f'"""{mark}"""\n{does}\n')
