"""SAML: what the stack's settings tell the app, and what the app calls for it."""

from __future__ import annotations

from urllib.parse import urlsplit

from infra import values
from infra.database import secret_file
from infra.model import FILES, Egress, File
from infra.release import public_file
from infra.secrets import configured
from infra.settings import Saml

EVERYWHERE = "0.0.0.0/0"
"""An identity provider's addresses change behind its name."""


def environment(saml: Saml) -> dict[str, str]:
    """Return what the app is told; without an identity provider it is told nothing of SAML."""
    if not saml.idp_entity_id:
        return {}
    told = {"SAML_IDP_ENTITY_ID": saml.idp_entity_id, "SAML_IDP_METADATA_URL": saml.metadata_url, **saml.texts}
    kept = {f"{name}_FILE": f"{FILES}/{file_name(name)}" for name in names_of_files(saml)}
    return {name: value for name, value in told.items() if value} | kept


def files(saml: Saml) -> tuple[File, ...]:
    """Return what is too long for the environment, and what is secret."""
    if not saml.idp_entity_id:
        return ()
    public = [public_file(file_name(name), text) for name, text in sorted(saml.documents.items()) if text]
    keys = {"SAML_SP_PRIVATE_KEY": saml.private_key, "SAML_SP_PRIVATE_KEY_OLD": saml.private_key_old}
    secret = [secret_file(file_name(name), configured(key)) for name, key in keys.items() if key]
    return (*public, *secret)


def names_of_files(saml: Saml) -> list[str]:
    """Return the app's settings that are files."""
    keys = {"SAML_SP_PRIVATE_KEY": saml.private_key, "SAML_SP_PRIVATE_KEY_OLD": saml.private_key_old}
    return [name for name, value in {**saml.documents, **keys}.items() if value]


def file_name(name: str) -> str:
    """Return the name of the file that holds a setting."""
    return name.lower().replace("_", "-")


def egress(saml: Saml) -> tuple[Egress, ...]:
    """Return the way to the identity provider's metadata, which the app fetches; browsers do the rest."""
    if not saml.idp_entity_id or not saml.metadata_url:
        return ()
    place = urlsplit(saml.metadata_url)
    return (Egress(EVERYWHERE, values.port_or_none(place) or {"https": 443, "http": 80}[place.scheme]),)
