// Command samlidp serves crewjam's identity provider with one person.
//
// The site's metadata is put to /services/site, as anybody could: it listens on this machine alone.
package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"flag"
	"fmt"
	"html/template"
	"log"
	"math/big"
	"net/http"
	"net/url"
	"time"

	"github.com/crewjam/saml/samlidp"
	dsig "github.com/russellhaering/goxmldsig"
	"golang.org/x/crypto/bcrypt"
)

// The form of its own leads to a page that shows the session, and not back to whoever asked.
var form = template.Must(template.New("form").Parse(`<!doctype html><html lang="en"><title>samlidp</title>
<p>{{.Toast}}</p>
<form method="post" action="/sso">
<label>User <input name="user"></label>
<label>Password <input type="password" name="password"></label>
<input type="hidden" name="SAMLRequest" value="{{.SAMLRequest}}">
<input type="hidden" name="RelayState" value="{{.RelayState}}">
<button>Log in</button>
</form></html>`))

func main() {
	origin := flag.String("origin", "", "where browsers find it")
	listen := flag.String("listen", "", "address and port to listen on")
	flag.Parse()
	server, err := provider(*origin)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(*listen, server))
}

func provider(origin string) (*samlidp.Server, error) {
	place, err := url.Parse(origin)
	if err != nil {
		return nil, fmt.Errorf("-origin: %w", err)
	}
	key, certificate, err := pair()
	if err != nil {
		return nil, err
	}
	server, err := samlidp.New(samlidp.Options{
		URL: *place, Key: key, Certificate: certificate, Store: &samlidp.MemoryStore{}, LoginFormTemplate: form,
	})
	if err != nil {
		return nil, err
	}
	// It would sign by SHA-1, which the site does not take.
	server.IDP.SignatureMethod = dsig.RSASHA256SignatureMethod
	hashed, err := bcrypt.GenerateFromPassword([]byte("of a test"), bcrypt.MinCost)
	if err != nil {
		return nil, err
	}
	return server, server.Store.Put("/users/grace", samlidp.User{
		Name: "grace", HashedPassword: hashed, Email: "grace@example.org", CommonName: "Grace Hopper",
		GivenName: "Grace", Surname: "Hopper", ScopedAffiliation: "navy",
	})
}

func pair() (*rsa.PrivateKey, *x509.Certificate, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, err
	}
	about := x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "samlidp"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, &about, &about, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return key, certificate, err
}
