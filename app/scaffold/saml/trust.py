"""Whose signatures are trusted: what settings say, and the last good copy of the metadata that they name.

Metadata only ever adds a certificate. One that it names no more stays trusted until it ends or somebody ends that by
hand: whoever could change what is fetched would otherwise lock everybody out.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from .. import audit
from ..database import db
from ..moments import now
from . import fetch, idp_metadata, keys, tables
from .findings import Fetched, Trusted
from .idp_metadata import Metadata
from .keys import Certificate
from .provider import Provider
from .refusal import Refusal
from .settings import Saml

log = structlog.stdlib.get_logger(__name__)

# After a failure it is tried again sooner, and whoever tries has this long for it.
AFTER_FAILURE, ATTEMPT = timedelta(minutes=5), timedelta(minutes=2)
UNAVAILABLE = 503


def current(saml: Saml) -> Provider:
    """Return the identity provider as it is trusted now; raise `Refusal` while nothing at all is known of it."""
    pems = {certificate.fingerprint: certificate.pem for certificate in saml.idp_certificates}
    sso_url, slo_url = saml.sso_url, saml.slo_url
    if saml.metadata_url is not None:
        stored = db.session.get(tables.Provider, saml.idp_entity_id)
        if stored is not None:
            sso_url, slo_url = sso_url or stored.sso_url, slo_url or stored.slo_url
        pems |= {found.fingerprint: found.pem for found in trusted(saml.idp_entity_id)}
    if sso_url is None or not pems:
        raise Refusal("no_idp_metadata", UNAVAILABLE)
    return Provider(saml.idp_entity_id, sso_url, slo_url, tuple(pems.values()))


def trusted(entity_id: str) -> list[tables.TrustedCertificate]:
    """Return the stored certificates that are trusted now."""
    table = tables.TrustedCertificate
    chosen = select(table).where(table.entity_id == entity_id, table.distrusted_at.is_(None), table.ends_at > now())
    return list(db.session.scalars(chosen.order_by(table.first_seen_at, table.fingerprint)))


def known(saml: Saml) -> list[Trusted]:
    """Return every certificate whose signatures are taken, each once, those of settings first."""
    found = of_settings(saml)
    if saml.metadata_url is not None:
        held = {one.certificate.fingerprint for one in found}
        stored = [keys.certificate(row.pem) for row in trusted(saml.idp_entity_id)]
        found += [Trusted(one, "metadata") for one in stored if one.fingerprint not in held]
    return found


def of_settings(saml: Saml) -> list[Trusted]:
    """Return the certificates that settings name."""
    return [Trusted(one, "settings") for one in saml.idp_certificates]


def fetched(saml: Saml) -> Fetched:
    """Return how the metadata was last found."""
    stored = db.session.get(tables.Provider, saml.idp_entity_id)
    return Fetched(stored.fetched_at, stored.problem) if stored else Fetched(None, None)


def claim(saml: Saml) -> bool:
    """Tell whether it is time to fetch and nobody else does it; whoever is told so has some time for it."""
    at = now()
    if db.session.get(tables.Provider, saml.idp_entity_id) is None:
        try:
            with db.session.begin_nested():
                db.session.add(tables.Provider(entity_id=saml.idp_entity_id, next_fetch_at=at))
                db.session.flush()
        except IntegrityError:
            pass
    claimed = db.session.execute(
        update(tables.Provider)
        .where(tables.Provider.entity_id == saml.idp_entity_id, tables.Provider.next_fetch_at <= at)
        .values(next_fetch_at=at + ATTEMPT)
        .returning(tables.Provider.entity_id)
        .execution_options(synchronize_session=False)
    ).all()
    db.session.commit()
    return bool(claimed)


def refresh(saml: Saml) -> list[Certificate]:
    """Fetch the metadata and keep it; return what is trusted newly. Raise OSError or ValueError and keep what is there.

    It is committed here either way.
    """
    if saml.metadata_url is None:
        raise ValueError("SAML_IDP_METADATA_URL: got nothing; wanted the address of the metadata to fetch")
    try:
        document = fetch.text(saml.metadata_url)
        metadata = idp_metadata.read(document, saml.idp_entity_id)
    except (OSError, ValueError) as error:
        note(saml, now() + AFTER_FAILURE, problem=str(error)[:500])
        db.session.commit()
        audit.record("authn_idp_unreachable", method="saml", detail={"problem": str(error)})
        raise
    added = keep(saml, metadata, now())
    db.session.commit()
    for one in added:
        detail = {"fingerprint": one.fingerprint, "subject": one.subject, "ends": one.ends.isoformat()}
        audit.record("authn_idp_changed", method="saml", reason="certificate_added", detail=detail)
    return added


def keep(saml: Saml, metadata: Metadata, at: datetime) -> list[Certificate]:
    """Write metadata down; return the certificates that are new. The caller commits."""
    note(saml, at + timedelta(seconds=saml.metadata_interval), problem=None)
    stored = db.session.get_one(tables.Provider, saml.idp_entity_id)
    stored.sso_url, stored.slo_url, stored.fetched_at = metadata.sso_url, metadata.slo_url, at
    added = []
    for one in metadata.certificates:
        known = db.session.get(tables.TrustedCertificate, (saml.idp_entity_id, one.fingerprint))
        if known is not None:
            known.last_seen_at = at
            continue
        added.append(one)
        db.session.add(
            tables.TrustedCertificate(
                entity_id=saml.idp_entity_id,
                fingerprint=one.fingerprint,
                pem=one.pem,
                ends_at=one.ends,
                first_seen_at=at,
                last_seen_at=at,
            )
        )
    db.session.flush()
    return added


def note(saml: Saml, next_fetch_at: datetime, *, problem: str | None) -> None:
    """Write down when to fetch next, and what was wrong this time; the caller commits."""
    stored = db.session.get(tables.Provider, saml.idp_entity_id)
    if stored is None:
        stored = tables.Provider(entity_id=saml.idp_entity_id, next_fetch_at=next_fetch_at)
        db.session.add(stored)
    stored.next_fetch_at, stored.problem = next_fetch_at, problem
    db.session.flush()


def distrust(saml: Saml, fingerprint: str) -> bool:
    """Trust a stored certificate no more, whether or not metadata still names it; tell whether there was one."""
    found = db.session.get(tables.TrustedCertificate, (saml.idp_entity_id, fingerprint))
    if found is None or found.distrusted_at is not None:
        return False
    found.distrusted_at = now()
    db.session.commit()
    detail = {"fingerprint": fingerprint}
    audit.record("authn_idp_changed", method="saml", reason="certificate_distrusted", detail=detail)
    return True
