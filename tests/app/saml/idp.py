"""An identity provider for tests: it signs what it is told to, however wrong, by a signer of its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib
import secrets
import zlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from xml.sax.saxutils import escape, quoteattr

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from lxml import etree

# Its stubs do not know what it is made of.
xmlsec: Any = importlib.import_module("xmlsec")

TENANT = "0f0e0d0c-1111-2222-3333-444455556666"
PERSON = "a1b2c3d4-aaaa-bbbb-cccc-ddddeeeeffff"
NAME_ID = "Q0xJQ0tfcGVyc2lzdGVudF9uYW1l"
ISSUER = f"https://sts.windows.net/{TENANT}/"
SSO_URL = f"https://login.example.net/{TENANT}/saml2"
SITE = "https://www.example.org"
ENTITY_ID = f"{SITE}/auth/login/saml/metadata"
ACS_URL = f"{SITE}/auth/login/saml/acs"
SLS_URL = f"{SITE}/auth/login/saml/sls"

SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
SAMLP = "urn:oasis:names:tc:SAML:2.0:protocol"
DS = "http://www.w3.org/2000/09/xmldsig#"
XENC = "http://www.w3.org/2001/04/xmlenc#"
NS = {"saml": SAML, "samlp": SAMLP, "ds": DS, "xenc": XENC}

EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
ENVELOPED = f"{DS}enveloped-signature"
RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
RSA_SHA1 = f"{DS}rsa-sha1"
RSA_MD5 = "http://www.w3.org/2001/04/xmldsig-more#rsa-md5"
HMAC_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"
SHA256 = f"{XENC}sha256"
SHA1 = f"{DS}sha1"
MD5 = "http://www.w3.org/2001/04/xmldsig-more#md5"

HASHES: dict[str, hashes.HashAlgorithm] = {
    RSA_SHA256: hashes.SHA256(),
    RSA_SHA1: hashes.SHA1(),  # noqa: S303
    RSA_MD5: hashes.MD5(),  # noqa: S303
}
DIGESTS = {SHA256: hashlib.sha256, SHA1: hashlib.sha1, MD5: hashlib.md5}

CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
MICROSOFT = "http://schemas.microsoft.com/identity/claims/"
ROLE = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"
GROUPS = "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups"
METHODS = "http://schemas.microsoft.com/claims/authnmethodsreferences"
MULTIPLE = "http://schemas.microsoft.com/claims/multipleauthn"
PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"


def written(moment: datetime) -> str:
    """Return a time as Entra writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def after(seconds: float) -> str:
    """Return a time from now, written."""
    return written(datetime.now(UTC) + timedelta(seconds=seconds))


@dataclass(frozen=True)
class Pair:
    """A key and its certificate."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def body(self) -> str:
        """The certificate's base64 alone."""
        return "".join(self.pem.splitlines()[1:-1])

    @property
    def key_pem(self) -> str:
        """The private key."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()


@cache
def pair(name: str, size: int = 2048, days: int = 365) -> Pair:
    """Return a key pair by name, the same one every time."""
    key = rsa.generate_private_key(65537, size)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    begins = now - timedelta(days=1) if days > 0 else now + timedelta(days=days - 2)
    built = builder.not_valid_before(begins).not_valid_after(now + timedelta(days=days)).sign(key, hashes.SHA256())
    return Pair(key, built)


@dataclass(frozen=True)
class Asked:
    """A request of the site, as it came in a redirect."""

    id: str
    relay_state: str = ""
    url: str = ""
    root: Any = None

    @classmethod
    def of(cls, url: str) -> Asked:
        """Read the redirect's address."""
        values = parse_qs(urlsplit(url).query)
        document = zlib.decompress(base64.b64decode(values["SAMLRequest"][0]), -15)
        root = etree.fromstring(document)
        return cls(root.get("ID"), values["RelayState"][0], url, root)


def entras(**more: str | tuple[str, ...] | None) -> dict[str, tuple[str, ...]]:
    """Return the attributes that Entra sends, with some changed by their last word, or left out as None."""
    known: dict[str, tuple[str, ...]] = {
        f"{MICROSOFT}tenantid": (TENANT,),
        f"{MICROSOFT}objectidentifier": (PERSON,),
        f"{MICROSOFT}displayname": ("Ada Lovelace",),
        f"{MICROSOFT}identityprovider": (ISSUER,),
        METHODS: ("http://schemas.microsoft.com/ws/2008/06/identity/authenticationmethod/password", MULTIPLE),
        f"{CLAIMS}givenname": ("Ada",),
        f"{CLAIMS}surname": ("Lovelace",),
        f"{CLAIMS}emailaddress": ("ada@example.org",),
        f"{CLAIMS}name": ("ada@example.onmicrosoft.com",),
    }
    for name, value in more.items():
        (full,) = [key for key in (*known, ROLE, GROUPS) if key.rpartition("/")[2] == name]
        known.pop(full, None)
        if value is not None:
            known[full] = (value,) if isinstance(value, str) else value
    return known


@dataclass(frozen=True)
class Said:
    """What a response says; None leaves a thing out."""

    in_response_to: str | None
    response_in_response_to: str | None = "same"
    issuer: str | None = ISSUER
    response_issuer: str | None = "same"
    destination: str | None = ACS_URL
    recipient: str | None = ACS_URL
    audience: tuple[str, ...] | None = (ENTITY_ID,)
    status: str = SUCCESS
    version: str = "2.0"
    method: str = BEARER
    name_id: str | None = NAME_ID
    name_id_format: str | None = PERSISTENT
    issued: str | None = field(default_factory=lambda: after(0))
    not_before: str | None = field(default_factory=lambda: after(-300))
    not_on_or_after: str | None = field(default_factory=lambda: after(3900))
    bearer_ends: str | None = field(default_factory=lambda: after(300))
    authenticated: str | None = field(default_factory=lambda: after(-30))
    session_index: str | None = field(default_factory=lambda: f"_{secrets.token_hex(16)}")
    session_ends: str | None = None
    assertion_id: str | None = field(default_factory=lambda: f"_{secrets.token_hex(16)}")
    response_id: str | None = field(default_factory=lambda: f"_{secrets.token_hex(16)}")
    attributes: dict[str, tuple[str, ...]] = field(default_factory=entras)
    conditions: bool = True
    statement: bool = True
    repeated: str | None = None
    prefixed: bool = False


def attribute(name: str, value: str | None) -> str:
    """Return an attribute of a start tag."""
    return "" if value is None else f" {name}={quoteattr(value)}"


def assertion(said: Said) -> str:
    """Return an assertion: without a prefix, as Entra writes it, or with one."""
    p, xmlns = ("saml:", f'xmlns:saml="{SAML}"') if said.prefixed else ("", f'xmlns="{SAML}"')
    audiences = "".join(f"<{p}Audience>{escape(one)}</{p}Audience>" for one in said.audience or ())
    restriction = f"<{p}AudienceRestriction>{audiences}</{p}AudienceRestriction>" if said.audience is not None else ""
    rows = list(said.attributes.items())
    rows += [(name, values) for name, values in rows if name == said.repeated]
    attributes = "".join(
        f"<{p}Attribute Name={quoteattr(name)}>"
        + "".join(f"<{p}AttributeValue>{escape(value)}</{p}AttributeValue>" for value in values)
        + f"</{p}Attribute>"
        for name, values in rows
    )
    name_id = f"<{p}NameID{attribute('Format', said.name_id_format)}>{escape(said.name_id or '')}</{p}NameID>"
    parts = [
        f"<{p}Assertion {xmlns}{attribute('ID', said.assertion_id)}{attribute('IssueInstant', said.issued)}"
        f" Version={quoteattr(said.version)}>",
        f"<{p}Issuer>{escape(said.issuer)}</{p}Issuer>" if said.issuer is not None else "",
        f"<{p}Subject>{name_id if said.name_id is not None else ''}"
        f"<{p}SubjectConfirmation Method={quoteattr(said.method)}><{p}SubjectConfirmationData"
        f"{attribute('InResponseTo', said.in_response_to)}{attribute('NotOnOrAfter', said.bearer_ends)}"
        f"{attribute('Recipient', said.recipient)}/></{p}SubjectConfirmation></{p}Subject>",
    ]
    if said.conditions:
        limits = f"{attribute('NotBefore', said.not_before)}{attribute('NotOnOrAfter', said.not_on_or_after)}"
        parts.append(f"<{p}Conditions{limits}>{restriction}</{p}Conditions>")
    if attributes:
        parts.append(f"<{p}AttributeStatement>{attributes}</{p}AttributeStatement>")
    if said.statement:
        parts.append(
            f"<{p}AuthnStatement{attribute('AuthnInstant', said.authenticated)}"
            f"{attribute('SessionIndex', said.session_index)}{attribute('SessionNotOnOrAfter', said.session_ends)}>"
            f"<{p}AuthnContext><{p}AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password"
            f"</{p}AuthnContextClassRef></{p}AuthnContext></{p}AuthnStatement>"
        )
    return "".join(parts) + f"</{p}Assertion>"


def response(said: Said) -> Any:
    """Return a response as a tree, unsigned."""
    issuer = said.issuer if said.response_issuer == "same" else said.response_issuer
    asked = said.in_response_to if said.response_in_response_to == "same" else said.response_in_response_to
    outer = "" if issuer is None else f'<Issuer xmlns="{SAML}">{escape(issuer)}</Issuer>'
    document = (
        f'<samlp:Response xmlns:samlp="{SAMLP}"{attribute("ID", said.response_id)} Version={quoteattr(said.version)}'
        f"{attribute('IssueInstant', said.issued)}{attribute('Destination', said.destination)}"
        f"{attribute('InResponseTo', asked)}>{outer}"
        f"<samlp:Status><samlp:StatusCode Value={quoteattr(said.status)}/></samlp:Status>{assertion(said)}"
        "</samlp:Response>"
    )
    return etree.fromstring(document)


@dataclass(frozen=True)
class How:
    """How something is signed."""

    signer: Pair = field(default_factory=lambda: pair("idp"))
    method: str = RSA_SHA256
    digest: str = SHA256
    canonical: str = EXCLUSIVE
    transforms: tuple[str, ...] = (ENVELOPED, EXCLUSIVE)
    uri: str | None = None
    references: int = 1
    transform_content: str = ""
    secret: bytes | None = None


def canonical(element: Any, algorithm: str = EXCLUSIVE) -> bytes:
    """Return an element's canonical form by an algorithm."""
    bare = algorithm.partition("#WithComments")[0].rstrip("#")
    data: bytes = etree.tostring(
        element, method="c14n", exclusive=bare == EXCLUSIVE.rstrip("#"), with_comments="WithComments" in algorithm,
        with_tail=False,
    )  # fmt: skip
    return data


def sign(element: Any, how: How | None = None) -> Any:
    """Sign an element in its document: its signature follows its issuer."""
    how = how or How()
    last = next((a for a in reversed(how.transforms) if "c14n" in a), INCLUSIVE)
    about = element.getroottree().getroot() if how.uri == "" else element
    digest = base64.b64encode(DIGESTS[how.digest](canonical(about, last)).digest()).decode()
    uri = f"#{element.get('ID')}" if how.uri is None else how.uri
    transforms = "".join(f'<Transform Algorithm="{a}">{how.transform_content}</Transform>' for a in how.transforms)
    reference = (
        f"<Reference URI={quoteattr(uri)}><Transforms>{transforms}</Transforms>"
        f'<DigestMethod Algorithm="{how.digest}"/><DigestValue>{digest}</DigestValue></Reference>'
    )
    signature = etree.fromstring(
        f'<Signature xmlns="{DS}"><SignedInfo><CanonicalizationMethod Algorithm="{how.canonical}"/>'
        f'<SignatureMethod Algorithm="{how.method}"/>{reference * how.references}</SignedInfo><SignatureValue/>'
        f"<KeyInfo><X509Data><X509Certificate>{how.signer.body}</X509Certificate></X509Data></KeyInfo></Signature>"
    )
    issuer = element.find("saml:Issuer", NS)
    if issuer is None:
        element.insert(0, signature)
    else:
        issuer.addnext(signature)
    sign_info(signature, how)
    return element


def sign_info(signature: Any, how: How, *, detached: bool = False) -> None:
    """Put the value of a signature over what it says now; `detached` from a document that has no canonical form."""
    info = signature.find("ds:SignedInfo", NS)
    data = canonical(etree.fromstring(etree.tostring(info)) if detached else info, how.canonical)
    if how.secret is not None:
        value = hmac.digest(how.secret, data, "sha256")
    else:
        value = how.signer.key.sign(data, padding.PKCS1v15(), HASHES[how.method])
    signature.find("ds:SignatureValue", NS).text = base64.b64encode(value).decode()


def sign_with_xmlsec(element: Any, signer: Pair) -> Any:
    """Sign an element with the library that many identity providers use."""
    signature = xmlsec.template.create(element, xmlsec.Transform.EXCL_C14N, xmlsec.Transform.RSA_SHA256, ns="ds")
    element.find("saml:Issuer", NS).addnext(signature)
    xmlsec.tree.add_ids(element, ["ID"])
    reference = xmlsec.template.add_reference(signature, xmlsec.Transform.SHA256, uri=f"#{element.get('ID')}")
    xmlsec.template.add_transform(reference, xmlsec.Transform.ENVELOPED)
    xmlsec.template.add_transform(reference, xmlsec.Transform.EXCL_C14N)
    xmlsec.template.add_x509_data(xmlsec.template.ensure_key_info(signature))
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(signer.key_pem, xmlsec.KeyFormat.PEM)
    context.key.load_cert_from_memory(signer.pem, xmlsec.KeyFormat.PEM)
    context.sign(signature)
    return element


def signed(said: Said, how: How | None = None, *, whole: bool = False, part: bool = True) -> Any:
    """Return a response of which the assertion, the `whole`, or both are signed."""
    root = response(said)
    if part:
        sign(root.find("saml:Assertion", NS), how)
    if whole:
        sign(root, how)
    return root


def encrypt(root: Any, to: Pair, *, content: str = "aes256-cbc", key: str = "rsa-oaep-mgf1p") -> Any:
    """Encrypt the assertion of a response to a certificate."""
    known = {
        "aes256-cbc": xmlsec.Transform.AES256,
        "aes256-gcm": xmlsec.Transform.AES256_GCM,
        "tripledes-cbc": xmlsec.Transform.DES3,
        "rsa-oaep-mgf1p": xmlsec.Transform.RSA_OAEP,
        "rsa-1_5": xmlsec.Transform.RSA_PKCS1,
    }
    assertion_in = root.find("saml:Assertion", NS)
    manager = xmlsec.KeysManager()
    manager.add_key(xmlsec.Key.from_memory(to.pem, xmlsec.KeyFormat.CERT_PEM, None))
    template = xmlsec.template.encrypted_data_create(
        root, known[content], type=xmlsec.EncryptionType.ELEMENT, ns="xenc"
    )
    xmlsec.template.encrypted_data_ensure_cipher_value(template)
    info = xmlsec.template.encrypted_data_ensure_key_info(template, ns="ds")
    encrypted_key = xmlsec.template.add_encrypted_key(info, known[key])
    xmlsec.template.encrypted_data_ensure_cipher_value(encrypted_key)
    context = xmlsec.EncryptionContext(manager)
    kind, bits = (xmlsec.KeyData.DES, 192) if "des" in content else (xmlsec.KeyData.AES, 256)
    context.key = xmlsec.Key.generate(kind, bits, xmlsec.KeyDataType.SESSION)
    data = context.encrypt_xml(template, assertion_in)
    holder = etree.Element(f"{{{SAML}}}EncryptedAssertion", nsmap={"saml": SAML})
    parent = data.getparent()
    parent.replace(data, holder)
    holder.append(data)
    return root


def encoded(root: Any) -> str:
    """Return a message as a form carries it."""
    data = root if isinstance(root, bytes) else etree.tostring(root)
    return base64.b64encode(data).decode()


@dataclass(frozen=True)
class LogoutSaid:
    """What a logout request says."""

    name_id: str = NAME_ID
    session_indexes: tuple[str, ...] = ()
    issuer: str = ISSUER
    destination: str | None = SLS_URL
    id: str = field(default_factory=lambda: f"_{secrets.token_hex(16)}")
    issued: str = field(default_factory=lambda: after(0))
    not_on_or_after: str | None = None
    relay_state: str | None = None


def logout_request(said: LogoutSaid) -> bytes:
    """Return a logout request."""
    indexes = "".join(f"<samlp:SessionIndex>{escape(index)}</samlp:SessionIndex>" for index in said.session_indexes)
    return (
        f'<samlp:LogoutRequest xmlns:samlp="{SAMLP}"{attribute("ID", said.id)} Version="2.0"'
        f"{attribute('IssueInstant', said.issued)}{attribute('Destination', said.destination)}"
        f"{attribute('NotOnOrAfter', said.not_on_or_after)}>"
        f'<Issuer xmlns="{SAML}">{escape(said.issuer)}</Issuer><NameID xmlns="{SAML}">{escape(said.name_id)}</NameID>'
        f"{indexes}</samlp:LogoutRequest>"
    ).encode()


def logout_response(asked: str, *, status: str = SUCCESS, issuer: str = ISSUER) -> bytes:
    """Return the answer to a logout request of the site."""
    return (
        f'<samlp:LogoutResponse xmlns:samlp="{SAMLP}" ID="_{secrets.token_hex(16)}" Version="2.0" '
        f'IssueInstant="{after(0)}" Destination="{SLS_URL}"{attribute("InResponseTo", asked)}>'
        f'<Issuer xmlns="{SAML}">{escape(issuer)}</Issuer>'
        f'<samlp:Status><samlp:StatusCode Value="{status}"/></samlp:Status></samlp:LogoutResponse>'
    ).encode()


def deflated(document: bytes) -> str:
    """Return a message as a redirect carries it."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.b64encode(deflater.compress(document) + deflater.flush()).decode()


def query(
    document: bytes, name: str = "SAMLRequest", relay_state: str | None = None, *, signer: Pair | None = None,
    lower: bool = False, method: str | None = RSA_SHA256,
) -> str:  # fmt: skip
    """Return a redirect's query, signed by the identity provider unless by another; Entra escapes in lower case."""

    def written_as(value: str) -> str:
        escaped = quote(value, safe="")
        if not lower:
            return escaped
        pieces = escaped.split("%")
        return pieces[0] + "".join(f"%{piece[:2].lower()}{piece[2:]}" for piece in pieces[1:])

    parts = [f"{name}={written_as(deflated(document))}"]
    if relay_state is not None:
        parts.append(f"RelayState={written_as(relay_state)}")
    if method is not None:
        parts.append(f"SigAlg={written_as(method)}")
    key = (signer or pair("idp")).key
    value = key.sign("&".join(parts).encode(), padding.PKCS1v15(), HASHES[method or RSA_SHA1])
    return "&".join([*parts, f"Signature={written_as(base64.b64encode(value).decode())}"])


def said_to(asked: Asked, **more: Any) -> Said:
    """Return a right answer to a request, with some things changed."""
    return replace(Said(asked.id), **more)
