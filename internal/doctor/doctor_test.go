package doctor

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// nobody is a host that is never asked: doctor does not sign in.
type nobody struct{ lockspire.AccountResolver }

// issuer serves a real provider, behind what break does to it, and returns its issuer.
func issuer(t *testing.T, tamper func(http.Handler) http.Handler) string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "app.db")+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := lockspire.Migrate(t.Context(), db, lockspire.SQLite, ""); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(nil)
	at := "http://localhost:" + fmt.Sprint(server.Listener.Addr().(*net.TCPAddr).Port) + "/lockspire"
	provider, err := lockspire.New(t.Context(), lockspire.Config{
		Issuer: at, DB: db, Dialect: lockspire.SQLite, Accounts: nobody{}, Secrets: [][]byte{bytes.Repeat([]byte("s"), 32)},
		Logger: slog.New(slog.DiscardHandler),
		Pages: lockspire.Pages{
			Consent:        func(http.ResponseWriter, *http.Request, lockspire.ConsentPage) {},
			AuthorizedApps: func(http.ResponseWriter, *http.Request, lockspire.AuthorizedAppsPage) {},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = tamper(provider)
	server.Start()
	t.Cleanup(server.Close)
	return at
}

// on tampers with the answers of one path.
func on(path string, do func(w http.ResponseWriter, r *http.Request, next http.Handler)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == path {
				do(w, r, next)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// edited changes the text of an answer.
func edited(path, from, to string) func(http.Handler) http.Handler {
	return on(path, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		for name, values := range rec.Header() {
			if name != "Content-Length" {
				w.Header()[name] = values
			}
		}
		w.WriteHeader(rec.Code)
		_, _ = io.WriteString(w, strings.ReplaceAll(rec.Body.String(), from, to))
	})
}

// with sets headers of an answer after the provider did.
func with(path string, pairs ...string) func(http.Handler) http.Handler {
	return on(path, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		for name, values := range rec.Header() {
			w.Header()[name] = values
		}
		for i := 0; i < len(pairs); i += 2 {
			w.Header().Del(pairs[i])
			if pairs[i+1] != "" {
				w.Header().Set(pairs[i], pairs[i+1])
			}
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
}

func answers(path string, status int, body string, pairs ...string) func(http.Handler) http.Handler {
	return on(path, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		for i := 0; i < len(pairs); i += 2 {
			w.Header().Set(pairs[i], pairs[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

const (
	oidcPath  = "/lockspire/.well-known/openid-configuration"
	oauthPath = "/.well-known/oauth-authorization-server/lockspire"
)

// Each fault is one that hosts have made; doctor finds that one and no other.
func TestDoctorFindsExactlyWhatIsWrong(t *testing.T) {
	csrf := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
			http.Error(w, "cross-origin request", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	}
	for name, c := range map[string]struct {
		tamper func(http.Handler) http.Handler
		want   []string // "LS610 error"
	}{
		"nothing":                     {func(h http.Handler) http.Handler { return h }, nil},
		"issuer of another host":      {edited(oidcPath, `"issuer":"http://localhost`, `"issuer":"http://LOCALHOST`), []string{"LS603 error"}},
		"metadata as text":            {with(oidcPath, "Content-Type", "text/plain"), []string{"LS602 warning"}},
		"no metadata at the root":     {answers(oauthPath, 404, "not found"), []string{"LS604 warning"}},
		"a page at the root":          {answers(oauthPath, 200, "<!doctype html>", "Content-Type", "text/html"), []string{"LS604 warning"}},
		"no OpenID metadata":          {answers(oidcPath, 404, "not found"), []string{"LS602 warning"}},
		"no token endpoint":           {edited(oidcPath, `"token_endpoint"`, `"token"`), []string{"LS605 error"}},
		"alg none":                    {edited(oidcPath, `"id_token_signing_alg_values_supported":[`, `"id_token_signing_alg_values_supported":["none",`), []string{"LS605 error"}},
		"no S256":                     {edited(oidcPath, `"code_challenge_methods_supported"`, `"methods"`), []string{"LS605 warning"}},
		"endpoint without TLS":        {edited(oidcPath, `"introspection_endpoint":"http://localhost`, `"introspection_endpoint":"http://app.invalid`), []string{"LS605 error"}},
		"empty key set":               {answers("/lockspire/jwks", 200, `{"keys":[]}`, "Cache-Control", "max-age=60"), []string{"LS606 error"}},
		"key set is a page":           {answers("/lockspire/jwks", 200, `<!doctype html>`, "Cache-Control", "max-age=60"), []string{"LS606 error"}},
		"private key":                 {edited("/lockspire/jwks", `"kty":"EC"`, `"kty":"EC","d":"AAAA"`), []string{"LS606 error", "LS606 warning"}},
		"keys of one kid":             {on("/lockspire/jwks", oneKid), []string{"LS606 error"}},
		"keys for a week":             {with("/lockspire/jwks", "Cache-Control", "public, max-age=604800"), []string{"LS607 warning"}},
		"metadata without a lifetime": {with(oidcPath, "Cache-Control", ""), []string{"LS607 info"}},
		"no CORS on metadata":         {with(oidcPath, "Access-Control-Allow-Origin", ""), []string{"LS608 info"}},
		"CORS on authorize":           {with("/lockspire/authorize", "Access-Control-Allow-Origin", "*"), []string{"LS608 error"}},
		"clock an hour behind":        {with(oidcPath, "Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)), []string{"LS609 error"}},
		"clock twenty seconds ahead":  {with(oidcPath, "Date", time.Now().Add(20*time.Second).UTC().Format(http.TimeFormat)), []string{"LS609 warning"}},
		"CSRF on token":               {answers("/lockspire/token", 403, "Forbidden - CSRF token invalid\n"), []string{"LS610 error"}},
		"CSRF for browsers":           {on("/lockspire/token", csrf), []string{"LS610 warning"}},
		"login on token":              {answers("/lockspire/token", 302, "", "Location", "/login"), []string{"LS610 error"}},
		"page for token":              {answers("/lockspire/token", 200, "<!doctype html>", "Content-Type", "text/html"), []string{"LS610 error"}},
		"no route for token":          {answers("/lockspire/token", 405, ""), []string{"LS610 error"}},
		"cached token answers":        {with("/lockspire/token", "Cache-Control", "private"), []string{"LS610 warning"}},
		"authorize sent elsewhere":    {answers("/lockspire/authorize", 302, "", "Location", "https://evil.example/"), []string{"LS611 error"}},
		"authorize fails":             {answers("/lockspire/authorize", 500, ""), []string{"LS611 error"}},
		"authorize in frames":         {with("/lockspire/authorize", "Content-Security-Policy", "", "X-Frame-Options", ""), []string{"LS611 warning"}},
		"open redirect":               {on("/lockspire/authorize", redirector), []string{"LS612 error"}},
		"userinfo behind login":       {answers("/lockspire/userinfo", 302, "", "Location", "/login"), []string{"LS613 warning"}},
		"userinfo for everybody":      {answers("/lockspire/userinfo", 200, `{"sub":"1"}`), []string{"LS613 error"}},
		"introspection for everybody": {answers("/lockspire/introspect", 200, `{"active":false}`), []string{"LS614 error"}},
		"no resource metadata":        {answers("/.well-known/oauth-protected-resource", 404, ""), []string{"LS615 info"}},
		"resource of another issuer":  {answers("/.well-known/oauth-protected-resource", 200, `{"authorization_servers":["https://other.example"]}`), []string{"LS615 warning"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, err := Run(t.Context(), Options{Issuer: issuer(t, c.tamper)})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range report.Findings {
				got = append(got, f.Check.ID+" "+string(f.Severity))
			}
			if !slices.Equal(got, c.want) {
				var text bytes.Buffer
				_ = report.Text(&text)
				t.Errorf("found %q, want %q:\n%s", got, c.want, &text)
			}
			if fails := slices.ContainsFunc(c.want, func(s string) bool { return strings.HasSuffix(s, " error") }); (report.ExitCode() == 1) != fails {
				t.Errorf("exit code %d", report.ExitCode())
			}
		})
	}
}

// oneKid gives every key the kid of the first.
func oneKid(w http.ResponseWriter, r *http.Request, next http.Handler) {
	rec := httptest.NewRecorder()
	next.ServeHTTP(rec, r)
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	_ = json.Unmarshal(rec.Body.Bytes(), &set)
	for _, key := range set.Keys {
		key["kid"] = set.Keys[0]["kid"]
	}
	w.Header().Set("Cache-Control", "max-age=60")
	_ = json.NewEncoder(w).Encode(set)
}

// redirector believes every redirect_uri.
func redirector(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if to := r.URL.Query().Get("redirect_uri"); to != "" {
		http.Redirect(w, r, to+"?error=unauthorized_client", http.StatusFound)
		return
	}
	next.ServeHTTP(w, r)
}

func TestDoctorAsksOverTLSOnlyWithACertificateThatHolds(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	report, err := Run(t.Context(), Options{Issuer: server.URL})
	if err != nil || len(report.Findings) != 1 || report.Findings[0].Check.ID != "LS601" || report.ExitCode() != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	// With the server's own roots the certificate holds, and what is missing is found.
	report, err = Run(t.Context(), Options{Issuer: server.URL, Client: server.Client().Transport})
	if err != nil || len(report.Findings) != 1 || report.Findings[0].Check.ID != "LS602" {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestDoctorRefusesWhatIsNoIssuer(t *testing.T) {
	for _, text := range []string{"", "app.example", "ftp://app.example", "https://ada:secret@app.example", "https://app.example/?x=1", "https://app.example/#x", "https:///x"} {
		if _, err := Run(t.Context(), Options{Issuer: text}); !errors.Is(err, ErrNoURL) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for text, want := range map[string]string{
		"https://app.example/oauth/.well-known/openid-configuration":        "https://app.example/oauth",
		"https://app.example/.well-known/oauth-authorization-server/oauth/": "https://app.example/oauth/",
		"https://app.example/": "https://app.example/",
	} {
		if u, err := parseIssuer(text); err != nil || u.String() != want {
			t.Errorf("%s: %v, %v", text, u, err)
		}
	}
}

func TestDoctorSaysThatNothingAnswers(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	var unreachable *UnreachableError
	if _, err := Run(t.Context(), Options{Issuer: server.URL}); !errors.As(err, &unreachable) {
		t.Errorf("%v", err)
	}
}

func TestReportIsJSONWithoutAFinding(t *testing.T) {
	var b bytes.Buffer
	if err := (Report{Issuer: "https://app.example"}).JSON(&b); err != nil || !json.Valid(b.Bytes()) || !strings.Contains(b.String(), `"findings": []`) {
		t.Errorf("%s, %v", &b, err)
	}
	for _, c := range Checks {
		if text, ok := Explain(strings.ToLower(c.ID)); !ok || !strings.Contains(text, c.Why) {
			t.Errorf("%s is not explained", c.ID)
		}
	}
}
