package dbtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"net/http"
	"net/url"
	"strings"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// rowTokenPost sends form to an endpoint over the host's own server.
func (h *host) rowTokenPost(path string, form url.Values, headers ...string) page {
	return h.newBrowser().do("POST", h.issuer+path, form, headers...)
}

// rowTokenCredentials counts what authentication or a token would have written.
func (h *host) rowTokenCredentials() string {
	return fmt.Sprint(h.issued(), count(h.t, h.db, "SELECT COUNT(*) FROM lockspire_client_secrets"),
		count(h.t, h.db, "SELECT COUNT(*) FROM lockspire_revoked_tokens"), count(h.t, h.db, "SELECT COUNT(*) FROM lockspire_audit"))
}

func TestA70SecretsAreStrongHashedAndComparedWhole(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		seen := map[string]bool{}
		partner, other := h.newApp(), h.newApp(func(n *lockspire.NewClient) { n.AuthMethod = lockspire.AuthClientSecretPost })
		for range 8 {
			rotated, err := h.provider.Clients().RotateSecret(t.Context(), partner.ID, 0)
			if err != nil {
				t.Fatal(err)
			}
			partner.secret = rotated
			a := h.newApp()
			for _, secret := range []string{rotated, a.secret} {
				if raw, err := base64.RawURLEncoding.DecodeString(secret); err != nil || len(raw) != 32 || seen[secret] {
					t.Errorf("the secret is no new 256 bits: %d bytes, %v", len(raw), err)
				}
				seen[secret] = true
			}
		}
		rowTokenDump(t, h, seen)
		wantToken(t, "the secret", partner.attempt(basic(partner.ID, partner.secret)), 400, "invalid_grant")
		sum := sha256.Sum256([]byte(partner.secret))
		before, bodies := h.rowTokenCredentials(), map[string]bool{}
		guesses := map[string]string{
			"its prefix": partner.secret[:len(partner.secret)-1], "its first byte": partner.secret[:1], "its suffix": partner.secret[1:],
			"and more": partner.secret + "A", "padded": partner.secret + "=", "other case": rowTokenSwapCase(partner.secret),
			"last bits": lastBitFlipped(partner.secret), "twice": partner.secret + partner.secret, "spaces": " " + partner.secret + " ",
			"hash in hex": hex.EncodeToString(sum[:]), "hash": base64.RawURLEncoding.EncodeToString(sum[:]), "another client's": other.secret, "client id": partner.ID,
			"zeros": strings.Repeat("A", 43), "a wildcard": "%25", "password": "password", "SQL": "' OR '1'='1",
		}
		for i := range 43 {
			changed := []byte(partner.secret)
			if changed[i]++; i == 42 {
				continue
			}
			guesses[fmt.Sprintf("character %d", i)] = string(changed)
		}
		for name, guess := range guesses {
			got := partner.attempt(basic(url.QueryEscape(partner.ID), url.QueryEscape(guess)))
			wantToken(t, name, got, 401, "invalid_client")
			bodies[got.raw] = true
			inBody := other.attempt(nil, "client_id", other.ID, "client_secret", strings.Replace(guess, other.secret, other.secret[1:], 1))
			wantToken(t, name+", in the body", inBody, 401, "invalid_client")
			bodies[inBody.raw] = true
			if strings.Contains(got.raw+inBody.raw+h.logs.String(), guess) && len(guess) > 20 && guess != partner.ID {
				t.Errorf("%s: the guess is repeated", name)
			}
		}
		if len(bodies) != 1 {
			t.Errorf("the answers tell guesses apart: %v", bodies)
		}
		if after := h.rowTokenCredentials(); after != before {
			t.Errorf("rows %s, %s before", after, before)
		}
		rowTokenNoChoice(t, h)
	})
	rowTokenConstantTime(t)
}

// rowTokenDump demands that a dump of the database shows no secret, and for each
// live one its SHA-256.
func rowTokenDump(t *testing.T, h *host, secrets map[string]bool) {
	rows, err := h.db.QueryContext(t.Context(), "SELECT hash FROM lockspire_client_secrets")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	hashes := map[string]bool{}
	for rows.Next() {
		var hash []byte
		if err := rows.Scan(&hash); err != nil {
			t.Fatal(err)
		}
		hashes[string(hash)] = true
	}
	found, dumped := 0, dump(t, h)
	for secret := range secrets {
		sum := sha256.Sum256([]byte(secret))
		if hashes[string(sum[:])] {
			found++
		}
		if raw, _ := base64.RawURLEncoding.DecodeString(secret); strings.Contains(dumped, secret) || strings.Contains(dumped, string(raw)) || strings.Contains(dumped, hex.EncodeToString(raw)) {
			t.Error("a secret is in the database")
		}
	}
	// Rotated without overlap, the older ones may be gone.
	if found < 9 {
		t.Errorf("%d of the secrets are stored as their SHA-256", found)
	}
}

// rowTokenNoChoice: an operator cannot choose a short secret, as there is nowhere
// to say one, and the provider's own are refused when they are short.
func rowTokenNoChoice(t *testing.T, h *host) {
	for field := range fieldsOf(lockspire.NewClient{}) {
		if strings.Contains(field, "Secret") {
			t.Errorf("NewClient has %s; then this row is about its length", field)
		}
	}
	for _, length := range []int{0, 1, 16, 31} {
		config := h.config
		config.Secrets = [][]byte{bytes.Repeat([]byte("x"), length)}
		_, err := lockspire.New(t.Context(), config)
		wantError(t, err, "Secrets", "32")
	}
}

// rowTokenConstantTime reads the comparison: how long it takes tells nothing in a
// test on a shared machine, and what it calls does.
func rowTokenConstantTime(t *testing.T) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "../clientauth.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || function.Name.Name != "secretMatches" {
			continue
		}
		var source strings.Builder
		if err := printer.Fprint(&source, files, function.Body); err != nil {
			t.Fatal(err)
		}
		_, loop, _ := strings.Cut(source.String(), "range hashes {")
		loop, _, _ = strings.Cut(loop, "}")
		if !strings.Contains(loop, "match |= subtle.ConstantTimeCompare(presented, hash)") || strings.Contains(loop, "return") || strings.Contains(loop, "break") ||
			strings.Contains(source.String(), "bytes.") || strings.Contains(source.String(), "== secret") {
			t.Errorf("secrets are not compared in constant time, every one of them:\n%s", source.String())
		}
		return
	}
	t.Error("secretMatches is gone; then say here what compares secrets")
}

func rowTokenSwapCase(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' {
			return c - 32
		}
		if c >= 'A' && c <= 'Z' {
			return c + 32
		}
		return c
	}, s)
}

func TestA85TokenAnswersAreNeitherKeptNorReadWithCredentials(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		open, partner, b := h.newApp(public), h.newApp(), h.newBrowser()
		got := open.redeem(open.code("scope", "openid notes:read offline_access"))
		form := func(pairs ...string) url.Values {
			values := url.Values{"client_id": {open.ID}}
			for i := 0; i < len(pairs); i += 2 {
				values.Set(pairs[i], pairs[i+1])
			}
			return values
		}
		grant := func() []string {
			return []string{"grant_type", "authorization_code", "code", open.code(), "code_verifier", testVerifier, "redirect_uri", open.redirectURI}
		}
		const asJSON = "application/json"
		for _, v := range []struct {
			name    string
			path    string
			form    url.Values
			headers []string
			status  int
			code    string
			kind    string
		}{
			{"tokens for a code", "/token", form(grant()...), nil, 200, "", asJSON},
			{"tokens for a refresh", "/token", form("grant_type", "refresh_token", "refresh_token", got.Refresh), nil, 200, "", asJSON},
			{"bad code", "/token", form("grant_type", "authorization_code", "code", "x", "code_verifier", testVerifier), nil, 400, "invalid_grant", asJSON},
			{"bad grant", "/token", form("grant_type", "password"), nil, 400, "unsupported_grant_type", asJSON},
			{"no grant", "/token", form(), nil, 400, "invalid_request", asJSON},
			{"nobody", "/token", url.Values{}, nil, 401, "invalid_client", asJSON},
			{"wrong secret", "/token", url.Values{}, []string{"Authorization", basic(partner.ID, "x").Get("Authorization")}, 401, "invalid_client", asJSON},
			{"in the URL", "/token?client_secret=x", form(), nil, 400, "invalid_request", asJSON},
			{"JSON", "/token", form(), []string{"Content-Type", asJSON}, 400, "invalid_request", asJSON},
			{"gzip", "/token", form(), []string{"Content-Encoding", "gzip"}, 415, "invalid_request", asJSON},
			{"long", "/token", url.Values{"x": {strings.Repeat("x", 65<<10)}}, nil, 413, "invalid_request", asJSON},
			{"long query", "/token?x=" + strings.Repeat("x", 17<<10), form(), nil, 414, "invalid_request", asJSON},
			{"revoked", "/revoke", form("token", "x"), nil, 200, "", ""},
			{"not revoked", "/revoke", url.Values{"token": {"x"}}, nil, 401, "invalid_client", asJSON},
		} {
			for _, origin := range []string{"https://spa.example", "https://evil.example", "null", h.server.URL} {
				if v.status == 200 && origin != "https://spa.example" {
					continue // what is taken once
				}
				p := b.do("POST", h.issuer+v.path, v.form, append(v.headers, "Origin", origin, "Cookie", "session=x")...)
				if p.status != v.status || p.header.Get("Content-Type") != v.kind || (v.code != "" && !strings.Contains(p.body, `"error":"`+v.code+`"`)) {
					t.Errorf("%s: %d %v %s", v.name, p.status, p.header, p.body)
				}
				rowTokenUncached(t, v.name+" from "+origin, p)
			}
		}
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE"} {
			p := b.do(method, h.issuer+"/token", nil, "Origin", "https://spa.example")
			if p.status != http.StatusMethodNotAllowed {
				t.Errorf("%s: %d", method, p.status)
			}
			rowTokenUncached(t, method, p)
		}
		p := b.do("OPTIONS", h.issuer+"/token", nil, "Origin", "https://spa.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "cookie")
		if p.status != http.StatusNoContent || p.header.Get("Access-Control-Allow-Origin") != "*" || p.header.Get("Access-Control-Allow-Credentials") != "" ||
			p.header.Get("Access-Control-Allow-Methods") != "POST" || p.header.Get("Access-Control-Allow-Headers") != "Authorization, Content-Type" {
			t.Errorf("preflight: %d %v", p.status, p.header)
		}
		// What only servers call, and what is not built, no script may read.
		for path, status := range map[string]int{"/introspect": 401, "/par": 404, "/device_authorization": 404, "/register": 404} {
			p := b.do("POST", h.issuer+path, url.Values{"token": {got.Access}}, "Origin", "https://spa.example")
			if p.status != status || p.header.Get("Access-Control-Allow-Origin")+p.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s: %d %v", path, p.status, p.header)
			}
		}
		introspected := partner.introspect(got.Access, ":Origin", "https://spa.example")
		if hd := introspected.Header(); introspected.Code != 200 || hd.Get("Cache-Control") != "no-store" || hd.Get("Pragma") != "no-cache" || hd.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("introspection: %d %v", introspected.Code, hd)
		}
	})
}

// rowTokenUncached demands the headers of every answer of the token endpoint
// (RFC 6749 §5.1), and that no browser hands it to a script with its cookies.
func rowTokenUncached(t *testing.T, name string, p page) {
	t.Helper()
	for header, want := range map[string]string{
		"Cache-Control": "no-store", "Pragma": "no-cache", "Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff",
	} {
		if got := p.header.Values(header); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %s %q, want %q", name, header, got, want)
		}
	}
	for _, header := range []string{"Access-Control-Allow-Credentials", "Set-Cookie", "ETag", "Expires", "Last-Modified"} {
		if p.header.Get(header) != "" {
			t.Errorf("%s: %s %q", name, header, p.header.Get(header))
		}
	}
}
