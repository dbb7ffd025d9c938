"""Checks of single values: each returns the value in its one spelling, or raises ValueError saying what it wanted."""

from __future__ import annotations

import ipaddress
import json
import re
import zoneinfo
from urllib.parse import SplitResult, unquote, urlsplit

DEVELOPMENT_SECRETS = frozenset({"changeme", "dev", "development", "password", "secret", "test"})
SECRET_KEY_LENGTH = 32


def url_of_a_site(value: str) -> str:
    """Check scheme, host and port and nothing else; lower case, without a slash at the end."""
    place = urlsplit(value)
    wanted = "scheme and host, such as https://app.example.com, without path, user or query"
    port = port_or_none(place)
    host = place.hostname or ""
    if port == 0 or place.scheme not in ("http", "https") or not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", host):
        raise ValueError(wanted)
    if place.path not in ("", "/") or place.query or place.fragment or place.username is not None:
        raise ValueError(wanted)
    default = {"http": 80, "https": 443}[place.scheme]
    return f"{place.scheme}://{host}" + (f":{port}" if port and port != default else "")


def port_or_none(place: SplitResult) -> int | None:
    """Return the port of a URL, None where it names none, 0 where it is none."""
    try:
        return place.port
    except ValueError:
        return 0


def one_line(value: str) -> str:
    """Check that there is text and that it is one line."""
    if not value.strip() or not value.isprintable():
        raise ValueError("one line of text")
    return value.strip()


def address(value: str) -> str:
    """Check an IP address of this machine."""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("an IP address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them") from None


def network(value: str) -> str:
    """Check a CIDR range."""
    wanted = "a CIDR range with no host bits set that does not hold everybody, such as 10.0.0.0/8 or 192.0.2.7/32"
    try:
        found = ipaddress.ip_network(value)
    except ValueError:
        raise ValueError(wanted) from None
    if found.prefixlen == 0 or value == "255.255.255.255/32":
        raise ValueError(wanted)
    return str(found)


def processors(value: str) -> str:
    """Check a number of processors in the one spelling that the docker provider settles on."""
    if not re.fullmatch(r"(0|[1-9][0-9]{0,2})\.[0-9]", value) or value == "0.0":
        raise ValueError("a number with one decimal, such as 0.5 or 2.0")
    return value


def url_path(value: str) -> str:
    """Check an absolute path of the site."""
    if not re.fullmatch(r"/[A-Za-z0-9/._~-]*", value) or value.startswith("//"):
        raise ValueError("a path that starts with one /, without query")
    return value


def json_object(value: str) -> str:
    """Check a JSON object, or nothing; return it in one spelling."""
    if not value:
        return ""
    try:
        options = json.loads(value)
    except ValueError:
        options = None
    if not isinstance(options, dict):
        raise ValueError(  # noqa: TRY004 - a wrong value, not a wrong call
            'a JSON object, such as {"pool_size":5}'
        )
    return json.dumps(options, sort_keys=True, separators=(",", ":"))


def database_url(value: str) -> str:
    """Check the URL of a PostgreSQL database as SQLAlchemy takes it."""
    place = urlsplit(value)
    complete = bool(place.hostname and place.username and place.password and port_or_none(place) != 0)
    if place.scheme != "postgresql+psycopg" or not complete or not place.path.strip("/"):
        raise ValueError(
            "postgresql+psycopg://user:password@host:port/database, with @:/% in the password percent-encoded"
        )
    if any(character.isspace() for character in unquote(value)):
        raise ValueError("a URL without white space")
    return value


def long_secret(value: str) -> str:
    """Check a key that nobody guesses."""
    if len(value) < SECRET_KEY_LENGTH or value.lower() in DEVELOPMENT_SECRETS or len(set(value)) < 8:
        raise ValueError(f"{SECRET_KEY_LENGTH} random characters or more; leave it out and one is generated")
    return value


def long_secrets(value: str) -> str:
    """Check a list of such keys in JSON."""
    try:
        keys = json.loads(value)
    except ValueError:
        keys = None
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
        raise ValueError('a JSON list of keys, such as ["…","…"]')
    for key in keys:
        long_secret(key)
    return json.dumps(keys, separators=(",", ":"))


def https_url_or_nothing(value: str) -> str:
    """Check an address of an identity provider, or nothing; in the clear only on this machine."""
    place = urlsplit(value)
    local = place.scheme == "http" and place.hostname in ("localhost", "127.0.0.1")
    shaped = (place.scheme == "https" or local) and place.hostname and place.username is None and not place.fragment
    if value and (not shaped or port_or_none(place) == 0 or any(character.isspace() for character in value)):
        raise ValueError("an https:// address without user or fragment, or nothing")
    return value


def entity_id_or_nothing(value: str) -> str:
    """Check the id of a party of SAML, which is a URI, or nothing."""
    if not value:
        return value
    if not urlsplit(value).scheme or len(value) > 255 or not value.isprintable() or " " in value:
        raise ValueError("a URI of at most 255 characters, such as https://sts.windows.net/TENANT/, or nothing")
    if re.fullmatch(r"https://sts\.windows\.net/[0-9a-fA-F-]{36}", value):
        raise ValueError(f"it with Entra's last slash: {value}/")
    return value


CLAIMS = ("tenant", "object_id", "email", "given_name", "surname", "name", "display_name", "roles", "groups")


def attribute_names(value: str) -> str:
    """Check a JSON object of what an identity provider calls which claim, or nothing."""
    names = json.loads(json_object(value) or "{}")
    if not all(claim in CLAIMS and isinstance(name, str) and name.strip() for claim, name in names.items()):
        raise ValueError(f"a JSON object of names by claim, of {', '.join(CLAIMS)}")
    return json_object(value)


def release_or_nothing(value: str) -> str:
    """Check the id of a release, or nothing."""
    if value and not re.fullmatch(r"[0-9a-f]{10}", value):
        raise ValueError("the id of a release that is kept, 10 hex digits (`make releases` shows them), or nothing")
    return value


def mail_address(value: str) -> str:
    """Check a mail address, or nothing."""
    if value and not re.fullmatch(r"[^@\s<>\"']+@[^@\s<>\"']+", value):
        raise ValueError("a mail address, or nothing")
    return value


def contact_link(value: str) -> str:
    """Check an https or mailto link, or nothing; a javascript: link on the page would be an attack."""
    if value and not re.fullmatch(r"(https?://|mailto:)[^\s<>\"']+", value):
        raise ValueError("an https:// or mailto: link, or nothing")
    return value


def docker_host(value: str) -> str:
    """Check a Docker daemon's address, or nothing."""
    if value and not re.fullmatch(r"(unix:///|tcp://|ssh://)\S+", value):
        raise ValueError("unix:///path, tcp://host:port or ssh://user@host, or nothing")
    return value


def image_reference(value: str) -> str:
    """Check the name of an image."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._/:-]*(@sha256:[0-9a-f]{64})?", value):
        raise ValueError("an image reference, such as debian:trixie-slim")
    return value


def package_record(value: str) -> str:
    """Check the record of the images' packages, a day and a hash, or nothing."""
    if value and not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}-[0-9a-f]{8}", value):
        raise ValueError("what `make upgrade-images` sets (2026-11-25-3fa2c1d0), or nothing")
    return value


def registry(value: str) -> str:
    """Check where images are pushed to, or nothing: the host is told from a folder by a dot, a port or localhost."""
    host = value.partition("/")[0]
    shaped = re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*", value)
    if value and (not shaped or not ("." in host or ":" in host or host == "localhost")):
        raise ValueError("a registry's host[:port][/path], such as registry.example.com/me or 127.0.0.1:5050")
    return value


def annotations_of_an_object(value: str) -> dict[str, str]:
    """Check annotations of an object of the cluster, a JSON object of strings or nothing; return them by name."""
    wanted = "a JSON object of strings with names such as example.com/limit, none of them below pulumi.com"
    try:
        found: dict[str, str] = json.loads(value or "{}")
    except ValueError:
        raise ValueError(wanted) from None
    if not isinstance(found, dict) or not all(is_annotation(*pair) for pair in found.items()):
        raise ValueError(wanted)
    return found


def is_annotation(name: str, value: object) -> bool:
    """Say whether that can be an annotation, and is none that the provider would follow."""
    domain, _, own = name.rpartition("/")
    shaped = re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", own) and (not domain or is_name(domain))
    return bool(shaped) and isinstance(value, str) and domain != "pulumi.com"


def name_or_nothing(value: str) -> str:
    """Check the name of an object of the cluster, or nothing."""
    if value and not is_name(value):
        raise ValueError("the name of an object in the cluster (a-z, 0-9, - and .), or nothing")
    return value


def is_name(value: str) -> bool:
    """Say whether an object of the cluster can have that name."""
    return len(value) <= 253 and bool(re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", value))


def gateway_parent(value: str) -> str:
    """Check a Gateway's namespace and name, and a listener of it if one is named, or nothing."""
    parts = value.split("/")
    if value and (len(parts) not in (2, 3) or not all(is_name(part) for part in parts)):
        raise ValueError("NAMESPACE/NAME or NAMESPACE/NAME/LISTENER of a Gateway, or nothing")
    return value


def schedule(value: str) -> str:
    """Check a cron schedule: five fields of numbers, names, ranges, lists and steps."""
    part = r"(\*|[0-9a-z]+(-[0-9a-z]+)?)(/[0-9]+)?"
    if not re.fullmatch(rf"{part}(,{part})*( {part}(,{part})*){{4}}", value.strip().lower()):
        raise ValueError("minute, hour, day, month and day of the week as cron has them, such as 30 3 * * *")
    return value.strip()


def schedule_or_never(value: str) -> str:
    """Check a cron schedule, or the word for none."""
    if value.strip() == "never":
        return "never"
    try:
        return schedule(value)
    except ValueError as error:
        raise ValueError(f"{error}; or never") from None


def timezone(value: str) -> str:
    """Check the name of a time zone, as far as this machine knows them."""
    known = zoneinfo.available_timezones()
    shaped = re.fullmatch(r"[A-Za-z][A-Za-z0-9+_-]*(/[A-Za-z0-9+_-]+)*", value)
    if not shaped or (known and value not in known):
        raise ValueError("the name of a time zone, such as Europe/Berlin or UTC")
    return value


def recipient(value: str) -> str:
    """Check a public key of age."""
    if not re.fullmatch(r"age1[0-9a-z]{20,}", value):
        raise ValueError("a public key of age, age1…; age-keygen -y KEYFILE shows it")
    return value


def identity(value: str) -> str:
    """Check a private key of age, in a file as age-keygen makes it."""
    if not re.search(r"^AGE-SECRET-KEY-(PQ-)?1[0-9A-Z]{20,}$", value, re.MULTILINE):
        raise ValueError("what is in the file that age-keygen made, with the line AGE-SECRET-KEY-1…")
    return value


def database_volume(value: str) -> str:
    """Check the name of a volume that the database can be on."""
    if not re.fullmatch(r"database(-([2-9]|[1-9][0-9]{1,3}))?", value):
        raise ValueError("database, or the name that a restore gave a volume, such as database-2")
    return value


def database_volumes(value: str) -> str:
    """Check names of volumes that can be kept without being used, with blanks between them."""
    for name in value.split():
        if name != "archive":
            database_volume(name)
    return " ".join(dict.fromkeys(value.split()))


def database_restore_or_nothing(value: str) -> str:
    """Check which volume is filled, and with what, or nothing."""
    volume, _, moment = value.partition("@")
    if not value:
        return value
    try:
        database_volume(volume)
    except ValueError:
        moment = ""
    if moment != "latest" and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", moment, re.ASCII):
        raise ValueError("a volume and a moment in UTC or latest, such as database-2@2026-11-22T14:05:00Z")
    return value


def container_name(value: str) -> str:
    """Check the name of a container, or of one of the stack's services."""
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}", value):
        raise ValueError("the name of a container, or web for whatever release runs")
    return value


def extension(value: str) -> str:
    """Check the name of an extension of PostgreSQL."""
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", value):
        raise ValueError("the name of an extension of PostgreSQL, such as pg_trgm")
    return value


def folder_or_nothing(value: str) -> str:
    """Check a folder of the machine, or nothing."""
    if value and (not re.fullmatch(r"(/[A-Za-z0-9._@+-]+)+", value) or "/.." in value or "/./" in value):
        raise ValueError("the whole path of a folder on the machine, such as /srv/backups, or nothing")
    return value


def bucket_or_nothing(value: str) -> str:
    """Check the name of a bucket, or nothing."""
    if value and not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", value):
        raise ValueError("the name of a bucket (a-z, 0-9, - and .), or nothing")
    return value


def prefix_or_nothing(value: str) -> str:
    """Check what the names of everything in a bucket begin with, or nothing; without slashes at either end."""
    if value and not re.fullmatch(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", value.strip("/")):
        raise ValueError("names between slashes, such as site/backups, or nothing")
    return value.strip("/")


def word_or_nothing(value: str) -> str:
    """Check a word, or nothing."""
    if value and not re.fullmatch(r"[A-Za-z0-9-]+", value):
        raise ValueError("a word such as eu-central-1, or nothing")
    return value


def https_host_or_nothing(value: str) -> str:
    """Check the address of a server, or nothing."""
    place = urlsplit(value)
    bare = place.path in ("", "/") and not place.query and not place.fragment and place.username is None
    if value and (place.scheme != "https" or not place.hostname or port_or_none(place) == 0 or not bare):
        raise ValueError("https:// with a host, such as https://s3.example.com, or nothing")
    return value.rstrip("/")


def web_address(value: str) -> str:
    """Check an address that is called, which may hold a secret."""
    place = urlsplit(value)
    if place.scheme not in ("http", "https") or not place.hostname or port_or_none(place) == 0 or " " in value:
        raise ValueError("an address that begins with https:// or http://")
    return value


def smtp_address(value: str) -> str:
    """Check the address of a mail server."""
    place = urlsplit(value)
    if place.scheme not in ("smtp", "smtps") or not place.hostname or port_or_none(place) == 0:
        raise ValueError("smtp://user:password@host:587 or smtps://user:password@host:465")
    return value


def certificate(value: str) -> str:
    """Check a chain of certificates in PEM, or nothing."""
    if value and not ("-----BEGIN CERTIFICATE-----" in value and "-----END CERTIFICATE-----" in value):
        raise ValueError("a certificate with its chain in PEM (-----BEGIN CERTIFICATE-----), or nothing")
    return value


def private_key(value: str) -> str:
    """Check a private key in PEM, or nothing."""
    if value and not re.search(r"-----BEGIN ([A-Z]+ )?PRIVATE KEY-----", value):
        raise ValueError("the certificate's private key in PEM (-----BEGIN PRIVATE KEY-----), or nothing")
    return value
