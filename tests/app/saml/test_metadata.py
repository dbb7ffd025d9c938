"""Metadata: this site's, which a provider imports, and a provider's, which is fetched and only ever adds."""

from __future__ import annotations

import base64
import http.server
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from flask import Flask
from lxml import etree
from onelogin.saml2.idp_metadata_parser import OneLogin_Saml2_IdPMetadataParser
from onelogin.saml2.xml_utils import OneLogin_Saml2_XML
from scaffold.database import db
from scaffold.moments import now
from scaffold.saml import fetch, idp_metadata, keys, sp_metadata, tables, trust, watch
from scaffold.saml.settings import Saml
from scaffold.settings import Settings
from sqlalchemy import update

from tests.app.conftest import running
from tests.app.saml import idp
from tests.app.saml.conftest import Browser, browser_of, reasons
from tests.app.saml.idp import How, encoded, pair, said_to, signed
from tests.conftest import until

MD = {"md": "urn:oasis:names:tc:SAML:2.0:metadata", **idp.NS}


def metadata(*names: str, entity_id: str = idp.ISSUER, sso_url: str = idp.SSO_URL) -> str:
    """Return a provider's metadata with the certificates of the pairs with these names."""
    listed = "".join(
        f'<KeyDescriptor use="signing"><KeyInfo xmlns="{idp.DS}"><X509Data><X509Certificate>{pair(n).body}'
        "</X509Certificate></X509Data></KeyInfo></KeyDescriptor>"
        for n in names
    )
    redirect = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
    return (
        f'<?xml version="1.0" encoding="utf-8"?><EntityDescriptor ID="_m" entityID="{entity_id}" '
        f'xmlns="{MD["md"]}"><RoleDescriptor xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'protocolSupportEnumeration="http://docs.oasis-open.org/wsfed/federation/200706"/>'
        f'<IDPSSODescriptor protocolSupportEnumeration="{idp.SAMLP}">{listed}'
        f'<SingleLogoutService Binding="{redirect}" Location="https://login.example.net/out"/>'
        f'<SingleSignOnService Binding="{redirect}" Location="{sso_url}"/>'
        "</IDPSSODescriptor></EntityDescriptor>"
    )


def test_this_sites_metadata_is_as_the_standard_wants_it(browser: Browser) -> None:
    """M19: ready to import into Entra."""
    answer = browser.get("/auth/login/saml/metadata")
    assert answer.mimetype == "application/samlmetadata+xml"
    root = etree.fromstring(answer.data)
    assert not isinstance(OneLogin_Saml2_XML.validate_xml(root, "saml-schema-metadata-2.0.xsd"), str)
    assert root.get("entityID") == idp.ENTITY_ID
    role = root.find("md:SPSSODescriptor", MD)
    assert (role.get("AuthnRequestsSigned"), role.get("WantAssertionsSigned")) == ("false", "true")
    assert role.find("md:AssertionConsumerService", MD).get("Location") == idp.ACS_URL
    assert role.find("md:SingleLogoutService", MD).get("Location") == idp.SLS_URL
    assert [key.get("use") for key in role.iterfind("md:KeyDescriptor", MD)] == ["signing"]
    assert role.findtext(".//ds:X509Certificate", None, MD) == pair("sp").body
    assert "PRIVATE" not in answer.text


def test_the_next_certificate_is_told_of_to_check_by_and_not_to_encrypt_to(saml: Saml) -> None:
    new = keys.certificate(pair("the next sp").pem)
    shown = sp_metadata.document(replace(saml, certificate_new=new, want_assertion_encrypted=True), now())
    found = [
        (key.get("use"), key.findtext(".//ds:X509Certificate", None, MD))
        for key in etree.fromstring(shown).iterfind(".//md:KeyDescriptor", MD)
    ]
    today, tomorrow = pair("sp").body, pair("the next sp").body
    assert found == [("signing", today), ("signing", tomorrow), ("encryption", today)]


def test_a_providers_metadata_is_read_as_the_toolkit_reads_it() -> None:
    found = idp_metadata.read(metadata("idp", "idp's next"), idp.ISSUER)
    theirs = OneLogin_Saml2_IdPMetadataParser.parse(metadata("idp", "idp's next"))["idp"]
    assert found.sso_url == theirs["singleSignOnService"]["url"]
    assert found.slo_url == theirs["singleLogoutService"]["url"]
    assert [one.body for one in found.certificates] == theirs["x509certMulti"]["signing"]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("", "got something that is not XML"),
        ("<html/>", "got metadata of none; wanted that of https://sts.windows.net/"),
        (metadata("idp", entity_id="https://evil.example/"), "got metadata of https://evil.example/; wanted that of"),
        (metadata(), "got 0 certificates for signing; wanted 1 to 10"),
        (metadata(*[f"number {n % 11}" for n in range(11)]), "got 11 certificates for signing"),
        (
            metadata("idp", sso_url="http://plain.example/"),
            "got SingleSignOnService at 'http://plain.example/'; wanted",
        ),
        (metadata("idp").replace("HTTP-Redirect", "HTTP-POST"), "without a SingleSignOnService for HTTP-Redirect"),
        (metadata("idp").replace("IDPSSODescriptor", "SPSSODescriptor"), "with 0 IDPSSODescriptor elements"),
        ("<!DOCTYPE x>" + metadata("idp"), "got a document type declaration"),
        (metadata("idp").replace("MII", "!!!", 1), "got something that is no certificate"),
        ("<a>" + "x" * (2 * 1024 * 1024) + "</a>", "wanted the metadata of one provider"),
    ],
)
def test_metadata_that_is_not_the_providers_is_refused(document: str, words: str) -> None:
    with pytest.raises(ValueError, match="got") as caught:
        idp_metadata.read(document, idp.ISSUER)
    assert words in str(caught.value)


@dataclass
class Host:
    """A server for metadata over TLS, whose answers a test chooses."""

    url: str
    authority: Path
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A server with a certificate that this process trusts."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now() - timedelta(hours=1))
        .not_valid_after(now() + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (tmp_path / "host.crt").write_bytes(made.public_bytes(pem))
    (tmp_path / "host.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            serving.asked.append(self.path)
            status, headers, body = serving.answers[self.path]
            self.send_response(status)
            for header, value in headers.items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "host.crt", tmp_path / "host.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    serving = Host(f"https://localhost:{server.server_port}", tmp_path / "host.crt")
    monkeypatch.setenv("SSL_CERT_FILE", str(serving.authority))
    for proxy in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    monkeypatch.setenv("no_proxy", "localhost")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield serving
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def fetching(settings: Settings, saml: Saml, app: Flask, host: Host) -> Iterator[Flask]:
    """The app as it is when nothing is known of the provider but where its metadata is."""
    del app
    host.answers["/metadata?appid=1"] = (200, {}, metadata("idp").encode())
    url = f"{host.url}/metadata?appid=1"
    blank = replace(saml, idp_certificates=(), sso_url=None, slo_url=None, metadata_url=url)
    with running(replace(settings, saml=blank)) as site:
        yield site


def saml_of(app: Flask) -> Saml:
    """Return an app's settings of SAML."""
    found: Saml = app.extensions["saml"]
    return found


def refresh(app: Flask) -> int:
    """Fetch the metadata and return how many certificates are new."""
    with app.app_context():
        return len(trust.refresh(saml_of(app)))


def enters(app: Flask, signer: str) -> bool:
    """Tell whether somebody gets in by a signature of the pair with a name."""
    browser = browser_of(app)
    asked = browser.begin()
    return browser.post(encoded(signed(said_to(asked), How(signer=pair(signer))))).status_code == 303


def test_29_a_new_certificate_is_trusted_and_one_that_is_gone_from_the_list_is_until_somebody_ends_that(
    fetching: Flask, host: Host
) -> None:
    assert refresh(fetching) == 1
    assert enters(fetching, "idp")
    assert not enters(fetching, "idp's next")
    host.answers["/metadata?appid=1"] = (200, {}, metadata("idp", "idp's next").encode())
    assert refresh(fetching) == 1
    assert enters(fetching, "idp")
    assert enters(fetching, "idp's next")
    host.answers["/metadata?appid=1"] = (200, {}, metadata("idp's next").encode())
    assert refresh(fetching) == 0
    assert enters(fetching, "idp"), "metadata only adds"
    with fetching.app_context():
        assert trust.distrust(saml_of(fetching), keys.certificate(pair("idp").pem).fingerprint)
    assert not enters(fetching, "idp")
    host.answers["/metadata?appid=1"] = (200, {}, metadata("idp", "idp's next").encode())
    assert refresh(fetching) == 0
    assert not enters(fetching, "idp"), "what somebody has ended by hand, metadata does not begin again"
    assert ("authn_idp_changed", "certificate_added") in reasons(fetching)
    assert ("authn_idp_changed", "certificate_distrusted") in reasons(fetching)


def test_a_certificate_that_metadata_brought_is_trusted_until_it_ends(fetching: Flask) -> None:
    refresh(fetching)
    with fetching.app_context():
        db.session.execute(update(tables.TrustedCertificate).values(ends_at=now()))
        db.session.commit()
    assert browser_of(fetching).get("/auth/login/saml").status_code == 503


def test_the_last_good_copy_serves_while_the_metadata_cannot_be_fetched(
    fetching: Flask, host: Host, settings: Settings
) -> None:
    refresh(fetching)
    host.answers["/metadata?appid=1"] = (200, {}, metadata("attacker", entity_id="https://evil.example/").encode())
    with pytest.raises(ValueError, match=r"got metadata of https://evil\.example/"):
        refresh(fetching)
    with running(replace(settings, saml=saml_of(fetching))) as restarted:
        assert enters(restarted, "idp")
        assert not enters(restarted, "attacker")
    assert reasons(fetching).count(("authn_idp_unreachable", None)) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            (302, {"Location": "https://evil.example/metadata"}, b""),
            "it leads to https://evil.example/metadata: set that",
        ),
        ((404, {}, b""), "answered 404"),
        ((500, {}, b""), "answered 500"),
        ((200, {}, b"\xff\xfe"), "got bytes that are not UTF-8"),
        ((200, {}, b"x" * (2 * 1024 * 1024 + 10)), "has more than"),
    ],
)
def test_what_is_fetched_comes_from_that_address_in_good_order_or_not_at_all(
    host: Host, answer: tuple[int, dict[str, str], bytes], words: str
) -> None:
    host.answers["/metadata"] = answer
    with pytest.raises((OSError, ValueError), match=r"/metadata|got bytes") as caught:
        fetch.text(f"{host.url}/metadata")
    assert words in str(caught.value)


def test_a_host_that_nobody_vouches_for_is_not_believed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    host.answers["/metadata"] = (200, {}, metadata("idp").encode())
    with pytest.raises(OSError, match="certificate verify failed"):
        fetch.text(f"{host.url}/metadata")
    assert not host.asked


def test_of_all_who_look_one_fetches_and_only_when_it_is_time(fetching: Flask, host: Host) -> None:
    looks = [watch.Watch(fetching, saml_of(fetching), look=0.01) for _ in range(3)]
    for look in looks:
        look.once()
    assert len(host.asked) == 1
    with fetching.app_context():
        db.session.execute(update(tables.Provider).values(next_fetch_at=now()))
        db.session.commit()
    for look in looks:
        look.once()
    assert len(host.asked) == 2
    host.answers["/metadata?appid=1"] = (500, {}, b"")
    with fetching.app_context():
        db.session.execute(update(tables.Provider).values(next_fetch_at=now()))
        db.session.commit()
    looks[0].once()
    with fetching.app_context():
        stored = db.session.get_one(tables.Provider, idp.ISSUER)
        assert "answered 500" in (stored.problem or "")
        assert stored.next_fetch_at - now() < timedelta(minutes=6), "it is tried again soon"


def test_a_worker_looks_by_itself_until_it_ends(fetching: Flask, host: Host) -> None:
    look = watch.Watch(fetching, saml_of(fetching), look=0.01)
    look.start()
    until(lambda: host.asked, "the first fetch")
    until(lambda: ("authn_idp_changed", "certificate_added") in reasons(fetching), "what it brought")
    look.stop()
    until(lambda: not any(t.name == "saml metadata" for t in threading.enumerate()), "the end of the thread")


def test_nothing_is_fetched_where_settings_say_all(app: Flask) -> None:
    watch.Watch(app, saml_of(app)).start()
    assert not any(thread.name == "saml metadata" for thread in threading.enumerate())


def test_a_base64_of_metadata_is_not_taken_for_it() -> None:
    with pytest.raises(ValueError, match="not XML"):
        idp_metadata.read(base64.b64encode(metadata("idp").encode()).decode(), idp.ISSUER)
