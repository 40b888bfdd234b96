package doctor

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// document is the metadata that doctor reads (RFC 8414 §2, OpenID Connect Discovery 1.0 §3).
type document struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	JWKSURI               string   `json:"jwks_uri"`
	UserinfoEndpoint      string   `json:"userinfo_endpoint"`
	IntrospectionEndpoint string   `json:"introspection_endpoint"`
	ResponseTypes         []string `json:"response_types_supported"`
	SubjectTypes          []string `json:"subject_types_supported"`
	IDTokenAlgs           []string `json:"id_token_signing_alg_values_supported"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported"`
}

// read parses the answer as metadata.
func (a *answer) read() (document, bool) {
	var d document
	ok := a.err == nil && a.status == http.StatusOK && json.Unmarshal(a.body, &d) == nil && d.Issuer != ""
	return d, ok
}

// choose takes the document that the other checks work with.
func (v *visit) choose() {
	for _, a := range []*answer{v.oidc, v.oauth} {
		if d, ok := a.read(); ok {
			v.doc, v.source = d, a
			return
		}
	}
}

var transport = &Check{
	ID: "LS601", Name: "transport", Severity: Error, Title: "The issuer is reached over TLS with a certificate that holds",
	Why: "Codes and tokens travel in these requests. An issuer is an https URL (RFC 8414 §2); only one on this machine may be http. A certificate that ends within two weeks is a warning, so is a version of TLS before 1.2.",
	run: func(v *visit) {
		a := v.oidc
		switch {
		case v.issuer.Scheme == "http" && !loopback(v.issuer.Hostname()):
			v.found(v.issuer.String(), "the issuer is http: everything can be read and changed on the way").fix("serve it over https and give clients the https URL")
		case a.err != nil:
			v.found(a.url, "the certificate does not hold: %v", a.err).fix("renew the certificate, with its intermediate certificates")
		}
		if a.tls == nil {
			return
		}
		if a.tls.Version < tls.VersionTLS12 {
			v.found(a.url, "%s is spoken; many clients refuse anything before TLS 1.2", tls.VersionName(a.tls.Version)).as(Warning)
		}
		if certs := a.tls.PeerCertificates; len(certs) > 0 {
			if left := time.Until(certs[0].NotAfter); left < 14*24*time.Hour {
				v.found(a.url, "the certificate ends on %s", certs[0].NotAfter.UTC().Format(time.DateOnly)).as(Warning).fix("renew it")
			}
		}
	},
}

var discovery = &Check{
	ID: "LS602", Name: "discovery", Severity: Error, Title: "<issuer>/.well-known/openid-configuration is JSON metadata",
	Why: "Client libraries are given the issuer and find everything else there (OpenID Connect Discovery 1.0 §4).",
	run: func(v *visit) {
		if _, ok := v.oidc.read(); ok {
			if !v.oidc.json() {
				v.found(v.oidc.url, "the metadata is sent as %q", v.oidc.header.Get("Content-Type")).as(Warning).fix("send Content-Type: application/json")
			}
			return
		}
		if v.oidc.err != nil {
			return // of the certificate, which is reported
		}
		f := v.found(v.oidc.url, "there is no metadata: %s", v.oidc.shape())
		f.fix("route this path to the provider, ahead of every catch-all")
		if v.source != nil {
			f.as(Warning).fix("an OAuth 2.0 server without OpenID Connect needs none; OpenID clients do")
		}
	},
}

var issuerMismatch = &Check{
	ID: "LS603", Name: "issuer-mismatch", Severity: Error, Title: "The metadata names the issuer exactly as it was asked for",
	Why: "Clients compare the issuer byte for byte, in the metadata and in every ID token; a slash or a port more makes them refuse (RFC 8414 §3.3).",
	run: func(v *visit) {
		for _, a := range []*answer{v.oidc, v.oauth} {
			if d, ok := a.read(); ok && d.Issuer != v.issuer.String() {
				v.found(a.url, "the metadata is of %s, and %s was asked for", d.Issuer, v.issuer).fix("give clients the issuer that the metadata names, or set that one")
			}
		}
	},
}

var rootMetadata = &Check{
	ID: "LS604", Name: "metadata-at-root", Severity: Warning, Title: "/.well-known/oauth-authorization-server is answered at the root of the host",
	Why: "OAuth clients, among them those of MCP, put the well-known path between host and issuer path (RFC 8414 §3.1). A provider below a path has to be routed there too.",
	run: func(v *visit) {
		if _, ok := v.oauth.read(); !ok && v.source != nil {
			v.found(v.oauth.url, "there is no metadata: %s", v.oauth.shape()).fix("route this path to the provider")
		}
	},
}

var metadata = &Check{
	ID: "LS605", Name: "metadata", Severity: Error, Title: "The metadata has what clients need and offers nothing unsafe",
	Why: "Required members are those of RFC 8414 §2 and OpenID Connect Discovery 1.0 §3. alg none lets anybody make ID tokens; plain challenges and the implicit grant are withdrawn by RFC 9700.",
	run: func(v *visit) {
		if v.source == nil {
			return
		}
		d, at := v.doc, v.source.url
		required := map[string]bool{"authorization_endpoint": d.AuthorizationEndpoint != "", "token_endpoint": d.TokenEndpoint != "", "response_types_supported": len(d.ResponseTypes) > 0}
		if v.source == v.oidc {
			required["jwks_uri"] = d.JWKSURI != ""
			required["subject_types_supported"] = len(d.SubjectTypes) > 0
			required["id_token_signing_alg_values_supported"] = len(d.IDTokenAlgs) > 0
		}
		for _, name := range slices.Sorted(maps.Keys(required)) {
			if !required[name] {
				v.found(at, "%s is missing", name)
			}
		}
		for _, e := range v.endpoints() {
			name, endpoint := e[0], e[1]
			u, err := url.Parse(endpoint)
			if err != nil || u.Host == "" || u.Fragment != "" || u.Scheme != "https" && !loopback(u.Hostname()) {
				v.found(at, "%s is %q, which is no https URL", name, endpoint)
			}
		}
		if slices.Contains(d.IDTokenAlgs, "none") {
			v.found(at, "ID tokens may be signed with none").fix("take none out of id_token_signing_alg_values_supported and refuse it")
		}
		if v.source == v.oidc && len(d.IDTokenAlgs) > 0 && !slices.Contains(d.IDTokenAlgs, "RS256") {
			v.found(at, "RS256 is not among the algorithms of ID tokens, and much client software takes nothing else").as(Info)
		}
		if !slices.Contains(d.ChallengeMethods, "S256") {
			v.found(at, "code_challenge_methods_supported does not list S256: clients that insist on PKCE go away").as(Warning).fix("support PKCE with S256 and say so (RFC 7636, RFC 8414 §2)")
		}
		if slices.Contains(d.ChallengeMethods, "plain") {
			v.found(at, "plain code challenges are taken: who reads the request can redeem the code").as(Warning)
		}
		for _, kind := range d.ResponseTypes {
			if slices.Contains(strings.Fields(kind), "token") {
				v.found(at, "response type %q hands access tokens out in URLs", kind).as(Warning)
			}
		}
	},
}

// endpoints are those of the metadata that are there, each behind its member.
func (v *visit) endpoints() [][2]string {
	all := [][2]string{
		{"authorization_endpoint", v.doc.AuthorizationEndpoint}, {"token_endpoint", v.doc.TokenEndpoint}, {"jwks_uri", v.doc.JWKSURI},
		{"userinfo_endpoint", v.doc.UserinfoEndpoint}, {"introspection_endpoint", v.doc.IntrospectionEndpoint},
	}
	return slices.DeleteFunc(all, func(e [2]string) bool { return e[1] == "" })
}

var keySet = &Check{
	ID: "LS606", Name: "key-set", Severity: Error, Title: "The key set is public, of sound keys, each with its own kid",
	Why: "Everybody who checks a token reads it (RFC 7517). A private member in it gives the issuer's signature away; two keys of one kid, or none for an algorithm that is offered, make checks fail by chance.",
	run: func(v *visit) {
		if v.doc.JWKSURI == "" {
			return
		}
		a := v.get(v.doc.JWKSURI)
		var set struct {
			Keys []json.RawMessage `json:"keys"`
		}
		if a.err != nil || a.status != http.StatusOK || json.Unmarshal(a.body, &set) != nil {
			v.found(a.url, "there is no key set: %s", a.shape())
			return
		}
		if len(set.Keys) == 0 {
			v.found(a.url, "the key set is empty")
		}
		kids, kinds := map[string]bool{}, map[string]bool{}
		for i, raw := range set.Keys {
			v.key(a.url, i, raw, kids, kinds)
		}
		for _, alg := range v.doc.IDTokenAlgs {
			if kind := keyKind(alg); len(set.Keys) > 0 && kind != "" && !kinds[kind] {
				v.found(a.url, "%s is offered for ID tokens, and there is no %s key", alg, kind).as(Warning)
			}
		}
	},
}

// key looks at one key of a set.
func (v *visit) key(at string, i int, raw json.RawMessage, kids, kinds map[string]bool) {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		v.found(at, "key %d is no object", i+1)
		return
	}
	if _, private := members["d"]; private || bytes.Equal(members["kty"], []byte(`"oct"`)) {
		v.found(at, "key %d is published with its secret", i+1).fix("revoke this key now, and publish public members only")
		return
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(raw); err != nil {
		v.found(at, "key %d cannot be read by this tool: %v", i+1, err).as(Info)
		return
	}
	switch {
	case key.KeyID == "":
		v.found(at, "key %d has no kid: after a rotation, clients have to guess", i+1).as(Warning)
	case kids[key.KeyID]:
		v.found(at, "key %d has the kid of another key", i+1)
	}
	kids[key.KeyID] = true
	if !key.Valid() {
		v.found(at, "key %d is not sound", i+1)
	}
	if rsa, ok := key.Key.(interface{ Size() int }); ok && rsa.Size() < 256 {
		v.found(at, "key %d is an RSA key of %d bits; 2048 are the least", i+1, rsa.Size()*8)
	}
	var kty string
	_ = json.Unmarshal(members["kty"], &kty)
	kinds[kty] = true
}

// keyKind is the kty of an algorithm's keys.
func keyKind(alg string) string {
	switch {
	case strings.HasPrefix(alg, "RS"), strings.HasPrefix(alg, "PS"):
		return "RSA"
	case strings.HasPrefix(alg, "ES"):
		return "EC"
	case alg == "EdDSA":
		return "OKP"
	}
	return ""
}
