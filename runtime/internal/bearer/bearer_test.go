package bearer

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestA149ChallengeValuesCannotBreakOut(t *testing.T) {
	for _, c := range []struct {
		pairs []string
		want  string
	}{
		{nil, `Bearer`},
		{[]string{"error", "", "scope", ""}, `Bearer`},
		{[]string{"error", "invalid_token", "scope", "a b"}, `Bearer error="invalid_token", scope="a b"`},
		{[]string{"scope", `a"b\c`}, `Bearer scope="a\"b\\c"`},
		{[]string{"scope", "a\r\nSet-Cookie: x=y\x00\x7fé"}, `Bearer scope="aSet-Cookie: x=y"`},
	} {
		if got := challengeValue(c.pairs...); got != c.want {
			t.Errorf("challengeValue(%q) = %s, want %s", c.pairs, got, c.want)
		}
	}
}

func FuzzA149ChallengeIsOneHeaderLine(f *testing.F) {
	f.Add("a\r\nb", `"`)
	f.Fuzz(func(t *testing.T, a, b string) {
		value := challengeValue("scope", a, "error_description", b)
		if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Fatalf("%q", value)
		}
		// Without escapes, quotes come in pairs around each value.
		bare := strings.NewReplacer(`\\`, "", `\"`, "").Replace(value)
		if n := strings.Count(bare, `"`); n%2 != 0 || n > 4 {
			t.Fatalf("%q has %d quotes", value, n)
		}
	})
}

func TestBearerTokenIsReadFromTheHeaderOnly(t *testing.T) {
	for _, c := range []struct{ header, token, problem string }{
		{"Bearer abc.def-_~+/==", "abc.def-_~+/==", ""},
		{"bearer abc", "abc", ""},
		{"BEARER  abc ", "abc", ""},
		{"", "", "no access token"},
		{"Basic abc", "", "no access token"},
		{"DPoP abc", "", "no access token"},
		{"Bearerabc", "", "no access token"},
		{"Bearer", "", "malformed"},
		{"Bearer a b", "", "malformed"},
		{"Bearer a,b", "", "malformed"},
		{"Bearer \"a\"", "", "malformed"},
		{"Bearer é", "", "malformed"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if c.header != "" {
			r.Header.Set("Authorization", c.header)
		}
		token, err := Token(r)
		if token != c.token || (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("Authorization: %s gives %q, %v", c.header, token, err)
		}
	}
}
