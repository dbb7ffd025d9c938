// An identity provider with one person in it, made of samlp, which signs with xml-crypto.
//
// node provider.js SETTINGS: a JSON file that says where it is, its own pair, whom it knows, and what it is told of the
// site. It takes requests and logout messages by redirect, and only such as the site has signed.
"use strict";

const { randomUUID } = require("node:crypto");
const { readFileSync } = require("node:fs");

const express = require("express");
const samlp = require("samlp");
const SessionParticipants = require("samlp/lib/sessionParticipants");

const settings = JSON.parse(readFileSync(process.argv[2], "utf8"));
const own = { issuer: settings.issuer, key: settings.key, cert: settings.certificate };
const REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect";
const PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
const COOKIE = "provider";
const SECONDS = 300;

const FORM = `<!doctype html><html lang="en"><title>Sign in</title><form method="post">
<label>User <input name="user"></label>
<label>Password <input name="password" type="password"></label>
<button>Log in</button></form></html>`;

// Who is signed in here, by what their browser keeps, and which sites know of it.
const sessions = new Map();
// What is waited for while a logout goes from site to site.
const waiting = new Map();

const store = {
  save(_request, state, done) {
    const handle = randomUUID();
    waiting.set(handle, state);
    done(null, handle);
  },
  load(_request, handle, _options, done) {
    const state = waiting.get(handle);
    waiting.delete(handle);
    done(null, state);
  },
};

function sessionOf(request) {
  const found = (request.headers.cookie || "").split("; ").find((each) => each.startsWith(`${COOKIE}=`));
  return found && sessions.get(found.slice(COOKIE.length + 1));
}

function person() {
  return {
    getClaims: () => settings.person.claims,
    getNameIdentifier: () => ({ nameIdentifier: settings.person.name, nameIdentifierFormat: PERSISTENT }),
  };
}

const app = express();
app.use(express.urlencoded({ extended: false }));

app.get(
  "/metadata",
  samlp.metadata({ ...own, redirectEndpointPath: "/sso", postEndpointPath: "/sso", logoutEndpointPaths: { redirect: "/logout" } }),
);

app.post("/sso", (request, response) => {
  if (request.body.user !== settings.person.user || request.body.password !== settings.person.password) {
    response.status(403).send(FORM);
    return;
  }
  const id = randomUUID();
  sessions.set(id, { index: `_${randomUUID()}`, participants: [] });
  response.cookie(COOKIE, id, { secure: true, httpOnly: true, sameSite: "lax" });
  // The request is in the address, and signed as it is there.
  response.redirect(303, request.originalUrl);
});

app.get("/sso", (request, response, next) => {
  const session = sessionOf(request);
  if (!session) {
    response.send(FORM);
    return;
  }
  session.participants.splice(0, session.participants.length, {
    serviceProviderId: settings.site.entityId,
    serviceProviderLogoutURL: settings.site.slsUrl,
    sessionIndex: session.index,
    nameId: settings.person.name,
    nameIdFormat: PERSISTENT,
    binding: REDIRECT,
    cert: settings.site.certificate,
  });
  samlp.auth({
    ...own,
    signingCert: settings.site.certificate,
    destination: settings.site.acsUrl,
    recipient: settings.site.acsUrl,
    getPostURL: (_audience, _document, _request, done) => done(null, settings.site.acsUrl),
    getUserFromRequest: () => settings.person,
    profileMapper: person,
    lifetimeInSeconds: SECONDS,
    sessionIndex: session.index,
  })(request, response, next);
});

app.get("/logout", (request, response, next) => {
  const session = sessionOf(request);
  samlp.logout({
    ...own,
    deflate: true,
    protocolBinding: REDIRECT,
    store,
    sessionParticipants: new SessionParticipants(session ? session.participants : []),
    clearIdPSession(done) {
      for (const [id, each] of sessions) if (each === session) sessions.delete(id);
      done();
    },
  })(request, response, next);
});

app.listen(settings.port, "127.0.0.1");
