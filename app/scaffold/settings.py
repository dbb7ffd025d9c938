"""The app's settings: read once from the environment, checked together, and never changed after."""

from __future__ import annotations

import ipaddress
import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from .saml import settings as saml_settings
from .saml.settings import Saml

Environment = Literal["development", "production"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

DRIVER = "postgresql+psycopg"
SHORTEST_KEY = 32
PRIVATE_NETWORKS = "127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,::1/128,fc00::/7"
EVERYWHERE = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
NO_RELEASE = "unreleased"
# What is told about a release is shown to whoever reads the ledger: short words, and nothing that may hold a password.
WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:/@+-]{0,127}")
DIGEST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:/@+-]{0,255}")
NAME = re.compile(r"\S.{0,127}")
WANTED_WORD = "at most 128 letters, digits and . _ : / @ + -, without :// in it"
WANTED_DIGEST = WANTED_WORD.replace("128", "256")
MAKE_A_KEY = "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"

# The engine options that may be set, and what each one takes. Anything that would name a Python object is left out.
ENGINE_OPTIONS: dict[str, tuple[type, ...]] = {
    "pool_size": (int,),
    "max_overflow": (int,),
    "pool_timeout": (int, float),
    "pool_recycle": (int,),
    "pool_pre_ping": (bool,),
    "pool_use_lifo": (bool,),
    "pool_reset_on_return": (str, type(None)),
    "isolation_level": (str,),
    "connect_args": (dict,),
    "echo": (bool,),
    "query_cache_size": (int,),
}


class SettingsError(ValueError):
    """One or more settings cannot be used; `problems` holds a line for each, and none shows a secret."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Contact:
    """Whom a visitor can ask: an address, and how to show it."""

    email: str | None = None
    label: str | None = None
    link: str | None = None

    @property
    def href(self) -> str | None:
        """The link to follow: the configured one, else a mail to the address."""
        return self.link or (f"mailto:{self.email}" if self.email else None)

    @property
    def text(self) -> str | None:
        """The words to show for the link."""
        return self.label or self.email or self.link


@dataclass(frozen=True)
class Settings:
    """Everything that decides how the app behaves; secrets are left out of its `repr`."""

    environment: Environment
    site_url: str
    release: str
    database_url: URL = field(repr=False)
    secret_key: str = field(repr=False)
    release_digest: str | None = None
    release_revision: str | None = None
    release_by: str | None = None
    release_bundle: str | None = None
    secret_key_fallbacks: tuple[str, ...] = field(default=(), repr=False)
    engine_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    debug: bool = False
    password_login_enabled: bool = False
    password_login_networks: tuple[Network, ...] = EVERYWHERE
    factor_keys: tuple[str, ...] = field(default=(), repr=False)
    metrics_token: str | None = field(default=None, repr=False)
    log_level: str = "INFO"
    web_workers: int = 2
    web_threads: int = 8
    drain_seconds: int = 25
    site_name: str = "Scaffold"
    contact: Contact = Contact()
    maintenance_page_file: Path = Path("/run/files/maintenance.html")
    maintenance_retry_after: int = 30
    gateway_networks: tuple[Network, ...] = tuple(ipaddress.ip_network(n) for n in PRIVATE_NETWORKS.split(","))
    migration_database_wait: float = 60
    migration_lock_wait: float = 600
    migration_lock_timeout: float = 5
    migration_lock_attempts: int = 5
    migration_statement_timeout: float = 900
    saml: Saml | None = None

    @property
    def production(self) -> bool:
        """Whether real people use this instance."""
        return self.environment == "production"

    @property
    def https(self) -> bool:
        """Whether people reach the site over TLS."""
        return self.site_url.startswith("https://")


class _Reader:
    """Reads settings and gathers what is wrong with them, so that all of it can be said at once."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[str] = []

    def reject(self, name: str, got: str, wanted: str) -> None:
        self.problems.append(f"{name}: got {got}; wanted {wanted}")

    def text(self, name: str, default: str | None = None) -> str | None:
        """Return the setting, or the content of the file that its twin names; empty counts as not set."""
        value, twin = self.environ.get(name) or None, f"{name}_FILE"
        path = self.environ.get(twin) or None
        if value is not None and path is not None:
            self.reject(name, f"both {name} and {twin}", f"one of them: unset {name} to use the file {path}")
            return default
        if path is None:
            return default if value is None else value
        try:
            content = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            self.reject(twin, f"{path}, which cannot be read ({reason})", "a file that the app's user can read")
            return default
        if not content:
            self.reject(twin, f"{path}, which is empty", f"a file that holds the value of {name}")
            return default
        return content

    def told(self, name: str, pattern: re.Pattern[str], wanted: str, default: str | None = None) -> str | None:
        """Return words about the release, which everybody may see."""
        value = self.text(name, default)
        if value is None or (pattern.fullmatch(value) and value.isprintable() and "://" not in value):
            return value
        # Not quoted: what does not look like such words may be anything.
        self.reject(name, f"{len(value)} characters that are not such words", wanted)
        return default

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.text(name, default) or default
        if value not in allowed:
            self.reject(name, repr(value), f"one of {', '.join(allowed)}")
            return default
        return value

    def boolean(self, name: str, *, default: bool = False) -> bool:
        known = str(default).lower()
        value = (self.text(name, known) or known).lower()
        if value not in ("true", "false", "1", "0"):
            self.reject(name, repr(value), "true or false")
        return value in ("true", "1")

    def number(self, name: str, default: float, lowest: float, highest: float, unit: str) -> float:
        value = self.text(name)
        if value is None:
            return default
        wanted = f"a number of {unit} from {lowest:g} to {highest:g}"
        try:
            number = float(value)
        except ValueError:
            self.reject(name, repr(value), wanted)
            return default
        if not lowest <= number <= highest:
            self.reject(name, value, wanted)
            return default
        return number

    def integer(self, name: str, default: int, lowest: int, highest: int, unit: str) -> int:
        number = self.number(name, default, lowest, highest, unit)
        if number != int(number):
            self.reject(name, f"{number:g}", f"a whole number of {unit} from {lowest} to {highest}")
        return int(number)

    def parsed(self, name: str, value: str | None, parse: Callable[[str], Any], default: Any) -> Any:
        """Return `parse(value)`, which raises ValueError("got; wanted") for what it cannot use."""
        if value is None:
            return default
        try:
            return parse(value)
        except ValueError as error:
            self.problems.append(f"{name}: {error}")
            return default


def parse_site_url(value: str) -> str:
    """Return `scheme://host[:port]`; raise ValueError when the value is anything else."""
    parts = urlsplit(value)
    try:
        port = parts.port
    except ValueError:
        port = -1
    plain = not (parts.path.rstrip("/") or parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == -1 or not plain:
        raise ValueError(f"got {value!r}; wanted scheme and host alone, such as https://www.example.org")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def parse_database_url(value: str) -> URL:
    """Return the URL; raise ValueError, which never shows the password, for what the app cannot use."""
    wanted = f"{DRIVER}://user:password@host:port/database"
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):
        raise ValueError(f"got something that is not a database URL; wanted {wanted}") from None
    if url.drivername == "sqlite":
        return url
    if url.drivername != DRIVER:
        raise ValueError(f"got a URL that starts with {url.drivername}://; wanted {wanted}")
    missing = [part for part in ("username", "host", "database") if not getattr(url, part)]
    if missing:
        raise ValueError(f"got a URL without {' and '.join(missing)}; wanted {wanted}")
    return url


def parse_engine_options(value: str) -> dict[str, Any]:
    """Return the options for SQLAlchemy's engine; raise ValueError for one that is unknown or of the wrong type."""
    example = '{"pool_size": 10, "max_overflow": 5}'
    try:
        options = json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError(f"got JSON that ends in an error ({error.msg} at {error.pos}); wanted {example}") from None
    if not isinstance(options, dict):
        raise ValueError(f"got a JSON {type(options).__name__}; wanted an object, such as {example}")  # noqa: TRY004
    for name, option in options.items():
        if name not in ENGINE_OPTIONS:
            raise ValueError(f"got the option {name!r}; wanted some of {', '.join(ENGINE_OPTIONS)}")
        types = ENGINE_OPTIONS[name]
        if not isinstance(option, types) or (isinstance(option, bool) and bool not in types):
            kinds = " or ".join(kind.__name__ for kind in types)
            raise ValueError(f"got {name} as {type(option).__name__}; wanted {kinds}")
    return options


def parse_networks(value: str) -> tuple[Network, ...]:
    """Return the networks of a comma-separated list; raise ValueError for the first that is none."""
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in value.split(",") if part.strip())
    except ValueError as error:
        raise ValueError(f"got {value!r} ({error}); wanted networks, such as 172.20.0.0/16,10.0.0.7/32") from None


def parse_keys(value: str) -> tuple[str, ...]:
    """Return the keys of a JSON list, or one a line; raise ValueError when the list is not one of strings."""
    if not value.lstrip().startswith("["):
        return tuple(line.strip() for line in value.splitlines() if line.strip())
    try:
        keys = json.loads(value)
    except json.JSONDecodeError:
        keys = None
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError("got JSON that is not a list of strings; wanted a list, or one key a line")
    return tuple(keys)


def weakness(key: str) -> str | None:
    """Say why a secret key must not be used, or None when it may be."""
    if len(key) < SHORTEST_KEY:
        return f"a key of {len(key)} characters"
    if len(set(key)) < 10:
        return f"a key made of only {len(set(key))} different characters"
    if any(word in key.lower() for word in ("changeme", "change-me", "change_me", "insecure", "development")):
        return "a key that looks like an example"
    return None


def load(environ: Mapping[str, str], *, serving: bool = True) -> Settings:
    """Return the settings found in the environment; raise `SettingsError` naming every one that cannot be used.

    A command such as a migration does not serve pages (`serving=False`): it needs neither SITE_URL nor SECRET_KEY.
    """
    read = _Reader(environ)
    environment: Environment = (
        "development"
        if read.choice("ENVIRONMENT", ("development", "production"), "production") == "development"
        else "production"
    )
    production = environment == "production"

    raw_url = read.text("SQLALCHEMY_DATABASE_URI")
    complained = bool(read.problems)
    database_url: URL | None = read.parsed("SQLALCHEMY_DATABASE_URI", raw_url, parse_database_url, None)
    if raw_url is None and not complained:
        read.reject("SQLALCHEMY_DATABASE_URI", "nothing", f"{DRIVER}://user:password@host:port/database, or its _FILE")
    if production and database_url is not None and database_url.drivername == "sqlite":
        read.reject("SQLALCHEMY_DATABASE_URI", "sqlite in production", f"{DRIVER}://… (sqlite is for development)")

    site_url = read.parsed("SITE_URL", read.text("SITE_URL"), parse_site_url, None)
    insecure_allowed = read.boolean("INSECURE_SITE_URL_ALLOWED")
    if site_url is None:
        if serving and production and not environ.get("SITE_URL") and not environ.get("SITE_URL_FILE"):
            read.reject("SITE_URL", "nothing", "the address people use, such as https://www.example.org")
        site_url = "http://localhost:8000"
    elif production and serving and site_url.startswith("http://") and not insecure_allowed:
        read.reject(
            "SITE_URL",
            f"{site_url} in production",
            "an https address (for a trial without TLS, set INSECURE_SITE_URL_ALLOWED=true)",
        )

    secret_key = read.text("SECRET_KEY")
    fallbacks = read.parsed("SECRET_KEY_FALLBACKS", read.text("SECRET_KEY_FALLBACKS"), parse_keys, ())
    factor_key, metrics_token = read.text("FACTOR_KEY"), read.text("METRICS_TOKEN")
    factor_fallbacks = read.parsed("FACTOR_KEY_FALLBACKS", read.text("FACTOR_KEY_FALLBACKS"), parse_keys, ())
    given = secret_key is not None
    if secret_key is None:
        if serving and production and not environ.get("SECRET_KEY_FILE"):
            read.reject("SECRET_KEY", "nothing", f"at least {SHORTEST_KEY} random characters; {MAKE_A_KEY}")
        # Made before the workers are forked, so that they agree on it until the next start.
        secret_key = secrets.token_urlsafe(48)
    keys: list[tuple[str, str]] = [
        *([("FACTOR_KEY", factor_key)] if factor_key else []),
        *(("FACTOR_KEY_FALLBACKS", old) for old in factor_fallbacks),
        *([("SECRET_KEY", secret_key)] if given or serving else []),
        *(("SECRET_KEY_FALLBACKS", old) for old in fallbacks),
    ]
    for name, key in (*keys, *([("METRICS_TOKEN", metrics_token)] if metrics_token else [])):
        if production and (weak := weakness(key)):
            read.reject(name, weak, f"at least {SHORTEST_KEY} random characters; {MAKE_A_KEY}")

    debug, password_login = read.boolean("DEBUG"), read.boolean("PASSWORD_LOGIN_ENABLED")
    if production and debug:
        read.reject("DEBUG", "true in production", "false: debug pages show code and values to anybody")
    if production and password_login:
        read.reject(
            "PASSWORD_LOGIN_ENABLED",
            "true in production",
            "false: people sign in with SAML, and break-glass access is opened for a time by a command",
        )

    settings: dict[str, Any] = {
        "environment": environment,
        "site_url": site_url,
        "release": read.told("RELEASE", WORD, WANTED_WORD, NO_RELEASE),
        "release_digest": read.told("RELEASE_DIGEST", DIGEST, WANTED_DIGEST),
        "release_revision": read.told("RELEASE_REVISION", WORD, WANTED_WORD),
        "release_by": read.told("RELEASE_BY", NAME, "a person's or a program's name of at most 128 characters"),
        "release_bundle": read.told("RELEASE_BUNDLE", WORD, WANTED_WORD),
        "database_url": database_url,
        "secret_key": secret_key,
        "secret_key_fallbacks": fallbacks,
        "engine_options": read.parsed(
            "SQLALCHEMY_ENGINE_OPTIONS", read.text("SQLALCHEMY_ENGINE_OPTIONS"), parse_engine_options, {}
        ),
        "debug": debug,
        "password_login_enabled": password_login,
        "password_login_networks": read.parsed(
            "PASSWORD_LOGIN_NETWORKS", read.text("PASSWORD_LOGIN_NETWORKS"), parse_networks, EVERYWHERE
        ),
        # The first one encrypts. Without a key of their own, seeds are kept with the site's.
        "factor_keys": tuple(key for _, key in keys),
        "metrics_token": metrics_token,
        "log_level": read.choice("LOG_LEVEL", LOG_LEVELS, "INFO"),
        "web_workers": read.integer("WEB_WORKERS", 2, 1, 64, "processes"),
        "web_threads": read.integer("WEB_THREADS", 8, 1, 256, "threads"),
        "drain_seconds": read.integer("DRAIN_SECONDS", 25, 1, 3600, "seconds"),
        "site_name": read.text("SITE_NAME", "Scaffold"),
        "contact": Contact(
            email=read.text("MAINTENANCE_CONTACT_EMAIL"),
            label=read.text("MAINTENANCE_CONTACT_LABEL"),
            link=read.text("MAINTENANCE_CONTACT_LINK"),
        ),
        "maintenance_page_file": Path(environ.get("MAINTENANCE_PAGE_FILE") or "/run/files/maintenance.html"),
        "maintenance_retry_after": read.integer("MAINTENANCE_RETRY_AFTER", 30, 1, 3600, "seconds"),
        "gateway_networks": read.parsed(
            "GATEWAY_NETWORKS", read.text("GATEWAY_NETWORKS", PRIVATE_NETWORKS), parse_networks, ()
        ),
        "migration_database_wait": read.number("MIGRATION_DATABASE_WAIT", 60, 0, 3600, "seconds"),
        "migration_lock_wait": read.number("MIGRATION_LOCK_WAIT", 600, 0, 86400, "seconds"),
        "migration_lock_timeout": read.number("MIGRATION_LOCK_TIMEOUT", 5, 0.1, 3600, "seconds"),
        "migration_lock_attempts": read.integer("MIGRATION_LOCK_ATTEMPTS", 5, 1, 100, "attempts"),
        "migration_statement_timeout": read.number("MIGRATION_STATEMENT_TIMEOUT", 900, 1, 86400, "seconds"),
        # A migration needs none of it, and must not stop for it.
        "saml": saml_settings.read(read, site_url) if serving else None,
    }
    if read.problems:
        raise SettingsError(read.problems)
    return Settings(**settings)
