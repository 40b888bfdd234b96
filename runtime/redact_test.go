package lockspire

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// Whatever a driver says of a statement, its parameters are not in it.
func TestA187ErrorsOfTheDatabaseDoNotQuoteParameters(t *testing.T) {
	const secret = "se/cret+parameter"
	quoting := fmt.Errorf("driver: %s %q %x in %s: %w", secret, secret, secret, `{"list":["`+secret+`"]}`, context.DeadlineExceeded)
	s, d := newFaultyStore(t, func(string) error { return quoting })
	d.queried = func(context.Context) error { return quoting }
	var n int
	for name, statement := range map[string]func(args ...any) error{
		"exec":  func(args ...any) error { _, err := s.read().exec(t.Context(), "DELETE", args...); return err },
		"query": func(args ...any) error { _, err := s.read().query(t.Context(), "SELECT", args...); return err },
		"row":   func(args ...any) error { return s.read().queryRow(t.Context(), "SELECT", args...).Scan(&n) },
	} {
		for _, arg := range []any{secret, []byte(secret), sql.NullString{String: secret, Valid: true}, `{"a":{"b":["` + secret + `"]}}`, `["x","` + secret + `"]`} {
			err := statement("other", arg)
			if err == nil || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), fmt.Sprintf("%x", secret)) {
				t.Errorf("%s with a %T: %v", name, arg, err)
			}
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "driver: ") {
				t.Errorf("%s: the cause is lost: %v", name, err)
			}
		}
	}
}

func TestA187CauseInTheLogIsWithoutWhatTheRequestCarried(t *testing.T) {
	r := httptest.NewRequest("GET", "https://app.example/lockspire/interactions/"+strings.Repeat("k", 43)+"?state=my%2Fstate%2Fvalue&x=short", nil)
	r.Header.Set("Authorization", "Basic Y2xpZW50LWlkOmEtY2xpZW50LXNlY3JldA==")
	r.AddCookie(&http.Cookie{Name: "session", Value: "cookie-value"})
	info := &requestInfo{clientID: "client-id", form: parseParams("code=a%2Bcode%2Bvalue")}
	r = withInfo(r, info)
	for _, quoted := range []string{
		"my/state/value", "my%2Fstate%2Fvalue", "a+code+value", "a-client-secret", "Y2xpZW50LWlkOmEtY2xpZW50LXNlY3JldA", "cookie-value",
		strings.Repeat("k", 43), fmt.Sprintf("%x", "a+code+value"), url.QueryEscape("a+code+value"), r.URL.String(),
	} {
		if text := redactedCause(r, errors.New("host: "+quoted+" is odd")); text != "host: [redacted] is odd" && text != "host: https://app.example[redacted] is odd" {
			t.Errorf("%q is logged as %q", quoted, text)
		}
	}
	const kept = "no row for client-id: short read"
	if text := redactedCause(r, errors.New(kept)); text != kept {
		t.Errorf("logged as %q", text)
	}
	if text := redactedCause(r, errors.New(strings.Repeat("é", maxCause))); len(text) > maxCause+len("…") || !strings.HasSuffix(text, "é…") {
		t.Errorf("%d bytes, ending in %q", len(text), text[len(text)-8:])
	}
}
