"""What the prober asks for: a record of every order, slow bodies both ways, and which release it is."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

from flask import Blueprint, Response, current_app, jsonify, request
from scaffold import csrf
from scaffold.database import db
from sqlalchemy import text

blueprint = Blueprint("probe", __name__, url_prefix="/probe")

PIECES_A_SECOND = 10
BLOCK = bytes(range(256))


@blueprint.get("/release")
def release() -> Response:
    """Say which release this is, having asked the database."""
    db.session.execute(text("SELECT 1"))
    return jsonify(release=current_app.config["RELEASE"])


@blueprint.post("/orders")
@csrf.exempt
def order() -> Response:
    """Write an order down; nothing stops a second one of the same number, so that it would show."""
    asked = request.get_json()
    db.session.execute(
        text("INSERT INTO probe_orders (run, number) VALUES (:run, :number)"),
        {"run": asked["run"], "number": asked["number"]},
    )
    db.session.commit()
    return jsonify(release=current_app.config["RELEASE"])


@blueprint.get("/orders/<run>")
def orders(run: str) -> Response:
    """Tell how often each order of a run was written down."""
    counted = text("SELECT number, count(*) FROM probe_orders WHERE run = :run GROUP BY number ORDER BY number")
    return jsonify([[number, times] for number, times in db.session.execute(counted, {"run": run})])


@blueprint.get("/download")
def download() -> Response:
    """Send bytes that the client knows, over the time it asks for."""
    size, seconds = request.args.get("size", type=int, default=0), request.args.get("seconds", type=float, default=0.0)

    def pieces() -> Iterator[bytes]:
        body = (BLOCK * (size // len(BLOCK) + 1))[:size]
        step = -(-size // max(1, round(seconds * PIECES_A_SECOND)))
        for at in range(0, size, step):
            # Before a piece and not after the last one, which would hold up whoever is next on the connection.
            time.sleep(1 / PIECES_A_SECOND)
            yield body[at : at + step]

    headers = {"Content-Length": str(size), "Probe-Release": str(current_app.config["RELEASE"])}
    return Response(pieces(), headers=headers, content_type="application/octet-stream")


@blueprint.post("/upload")
@csrf.exempt
def upload() -> Response:
    """Read a body slowly and answer with its hash."""
    digest = hashlib.sha256()
    while piece := request.stream.read(8192):
        digest.update(piece)
        time.sleep(1 / PIECES_A_SECOND)
    return jsonify(sha256=digest.hexdigest(), release=current_app.config["RELEASE"])
