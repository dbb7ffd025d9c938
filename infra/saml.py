"""SAML: what the stack's settings tell the app, and what the app calls for it."""

from __future__ import annotations

from urllib.parse import urlsplit

from infra import values
from infra.database import secret_file
from infra.model import EVERYWHERE, FILES, Egress, File
from infra.release import file_name, public_file
from infra.secrets import Pair, Pairs, configured
from infra.settings import ConfiguredSecret, Saml


def environment(saml: Saml, pairs: Pairs | None) -> dict[str, str]:
    """Return what the app is told; without an identity provider it is told nothing of SAML."""
    if not saml.idp_entity_id:
        return {}
    told = {"SAML_IDP_ENTITY_ID": saml.idp_entity_id, "SAML_IDP_METADATA_URL": saml.metadata_url, **saml.texts}
    kept = {f"{name}_FILE": f"{FILES}/{file_name(name)}" for name in names_of_files(saml, pairs)}
    return {name: value for name, value in told.items() if value} | kept


def files(saml: Saml, pairs: Pairs | None) -> tuple[File, ...]:
    """Return what is too long for the environment, and what is secret; a generated pair comes as a configured one."""
    if not saml.idp_entity_id:
        return ()
    public = [public_file(file_name(name), text) for name, text in sorted(saml.documents.items()) if text]
    secret = [secret_file(file_name(name), configured(key)) for name, key in own_keys(saml).items()]
    return (*public, *secret, *(files_of(pairs) if pairs else ()))


def files_of(pairs: Pairs) -> tuple[File, ...]:
    """Return the pair in use, the next certificate, and the key that was before and still decrypts."""
    certificates, keys = of_pairs(pairs)
    return (
        *(File(file_name(name), each.certificate, each.fingerprint) for name, each in certificates.items()),
        *(secret_file(file_name(name), each.key) for name, each in keys.items()),
    )


def of_pairs(pairs: Pairs) -> tuple[dict[str, Pair], dict[str, Pair]]:
    """Return whose certificate is which of the app's settings, and whose key."""
    certificates = {"SAML_SP_X509_CERT": pairs.current, "SAML_SP_X509_CERT_NEW": pairs.next}
    keys = {"SAML_SP_PRIVATE_KEY": pairs.current, "SAML_SP_PRIVATE_KEY_OLD": pairs.former}
    return certificates, {name: each for name, each in keys.items() if each}


def names_of_files(saml: Saml, pairs: Pairs | None) -> list[str]:
    """Return the app's settings that are files."""
    generated = [name for each in of_pairs(pairs) for name in each] if pairs else []
    return [*(name for name, text in saml.documents.items() if text), *own_keys(saml), *generated]


def own_keys(saml: Saml) -> dict[str, ConfiguredSecret]:
    """Return the configured private keys by the names of the app's settings."""
    found = {"SAML_SP_PRIVATE_KEY": saml.private_key, "SAML_SP_PRIVATE_KEY_OLD": saml.private_key_old}
    return {name: key for name, key in found.items() if key}


def egress(saml: Saml) -> tuple[Egress, ...]:
    """Return the way to the identity provider's metadata, which the app fetches; browsers do the rest."""
    if not saml.idp_entity_id or not saml.metadata_url:
        return ()
    place = urlsplit(saml.metadata_url)
    return (Egress(EVERYWHERE, values.port_or_none(place) or {"https": 443, "http": 80}[place.scheme]),)
