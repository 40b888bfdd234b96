package lockspire

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"testing"
)

var scopeVectors = []struct {
	name, scope string
	want        []string
	ok          bool
}{
	{"one", "openid", []string{"openid"}, true},
	{"order is kept, repetition is not", "b a b", []string{"b", "a"}, true},
	{"empty", "", nil, true},
	{"doubled and trailing spaces", " a  b ", []string{"a", "b"}, true},
	{"the whole character range", "!#[]~", []string{"!#[]~"}, true},
	{"A22 quote", `a"b`, nil, false},
	{"A22 backslash", `a\b`, nil, false},
	{"A22 tab as separator", "a\tb", nil, false},
	{"A22 not ASCII", "é", nil, false},
	{"A22 DEL", "a\x7f", nil, false},
	{"A22 51 tokens", strings.Join(numbered(51), " "), nil, false},
	{"50 tokens", strings.Join(numbered(50), " "), numbered(50), true},
	{"A22 longer than 2 KiB", strings.Repeat("a", 2049), nil, false},
}

func TestScopeSyntax(t *testing.T) {
	for _, v := range scopeVectors {
		got, err := parseScope(v.scope)
		if (err == nil) != v.ok || (v.ok && !slices.Equal(got, v.want)) {
			t.Errorf("%s: %v, %v", v.name, got, err)
		}
	}
}

func numbered(n int) []string {
	var all []string
	for i := range n {
		all = append(all, "s"+strings.Repeat("i", i))
	}
	return all
}

// What is parsed and printed again is the same list.
func FuzzParseScope(f *testing.F) {
	for _, v := range scopeVectors {
		f.Add(v.scope)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tokens, err := parseScope(s)
		if err != nil {
			return
		}
		again, err := parseScope(strings.Join(tokens, " "))
		if err != nil || !slices.Equal(tokens, again) {
			t.Fatalf("%q became %q and then %q, %v", s, tokens, again, err)
		}
		for _, token := range tokens {
			if !strings.Contains(s, token) {
				t.Fatalf("%q is not in %q", token, s)
			}
		}
	})
}

func basicHeader(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }

var basicVectors = []struct {
	name, header, id, secret string
	ok                       bool
}{
	{"plain", basicHeader("client:secret"), "client", "secret", true},
	{"scheme in lower case", "basic " + base64.StdEncoding.EncodeToString([]byte("a:b")), "a", "b", true},
	{"form-encoded", basicHeader("a%3Ab:c%2Bd+e"), "a:b", "c+d e", true},
	{"colon in the secret", basicHeader("a:b:c"), "a", "b:c", true},
	{"A69 no colon", basicHeader("client"), "", "", false},
	{"A69 empty id", basicHeader(":secret"), "", "", false},
	{"A69 empty secret", basicHeader("client:"), "", "", false},
	{"A69 bad escape", basicHeader("a:%zz"), "", "", false},
	{"A69 NUL", basicHeader("a:b%00"), "", "", false},
	{"A69 no padding", strings.TrimRight(basicHeader("a:bb"), "="), "", "", false},
	{"A69 stray padding", basicHeader("a:b") + "=", "", "", false},
	{"A69 trailing bits", "Basic YTpiYh==", "", "", false},
	{"A69 leading space", "Basic  " + base64.StdEncoding.EncodeToString([]byte("a:b")), "", "", false},
	{"A69 trailing space", basicHeader("a:b") + " ", "", "", false},
	{"A69 line break", "Basic YTpi\nYg==", "", "", false},
	{"A69 URL alphabet", "Basic " + base64.URLEncoding.EncodeToString([]byte("a:\xff\xfe?>")), "", "", false},
	{"another scheme", "Bearer abc", "", "", false},
	{"scheme alone", "Basic", "", "", false},
	{"nothing", "", "", "", false},
}

func TestBasicHeader(t *testing.T) {
	for _, v := range basicVectors {
		id, secret, ok := parseBasic(v.header)
		if ok != v.ok || id != v.id || secret != v.secret {
			t.Errorf("%s: %q, %q, %v", v.name, id, secret, ok)
		}
	}
}

// A header that is accepted is the one spelling of what it says, but for the
// case of the scheme and of what form-encoding leaves open.
func FuzzParseBasic(f *testing.F) {
	for _, v := range basicVectors {
		f.Add(v.header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		id, secret, ok := parseBasic(header)
		if !ok {
			return
		}
		again := "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
		if id2, secret2, ok := parseBasic(again); !ok || id2 != id || secret2 != secret {
			t.Fatalf("%q became %q:%q and then %q:%q, %v", header, id, secret, id2, secret2, ok)
		}
		_, encoded, _ := strings.Cut(header, " ")
		decoded, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || base64.StdEncoding.EncodeToString(decoded) != encoded {
			t.Fatalf("%q is not the one spelling", header)
		}
	})
}

// RFC 7636 appendix B.
func TestPKCEVector(t *testing.T) {
	const verifier, challenge = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	if !verifierMatches(verifier, challenge) {
		t.Error("the vector of RFC 7636 does not match")
	}
	for name, bad := range map[string]string{
		"changed": "eBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "42 characters": verifier[:42], "129 characters": strings.Repeat("a", 129),
		"bad character": verifier[:42] + "+", "empty": "", "the challenge itself": challenge,
	} {
		if verifierMatches(bad, challenge) {
			t.Errorf("A90 %s was accepted", name)
		}
	}
	if verifierMatches(verifier, "") {
		t.Error("A91 a verifier without a challenge was accepted")
	}
	for name, bad := range map[string]string{"42": challenge[:42], "44": challenge + "A", "padding": challenge[:42] + "=", "plain text": strings.Repeat("+", 43)} {
		if validChallenge(bad) {
			t.Errorf("A18 challenge %s was accepted", name)
		}
	}
}

func TestParamsKeepWhatIsWrongByName(t *testing.T) {
	p := parseParams("a=1&a=2&empty=&bad=%zz&nul=x%00&utf=%ff&%zz=1&plus=a+b&semi=a;b=c&noequals&scope[a]=b")
	if p.usable("a") || p.check("a") == nil {
		t.Error("A19 a repeated parameter passed")
	}
	for _, name := range []string{"bad", "nul", "utf"} {
		if p.usable(name) || p.get(name) != "" {
			t.Errorf("A21 %s is usable", name)
		}
	}
	if p.get("plus") != "a b" || p.get("semi") != "a;b=c" || p.get("empty") != "" || p.get("noequals") != "" || p.get("scope[a]") != "b" {
		t.Errorf("values %v", p.values)
	}
	if err := parseParams("a=1&unknown=1&unknown=2&resource=x&resource=y").check("a"); err != nil {
		t.Errorf("A20 unknown parameters are ignored, and resource may repeat: %v", err)
	}
	if parseParams("unknown=%00").check("a") == nil {
		t.Error("A21 a control byte passed in an unknown parameter")
	}
}

func TestResourceComparison(t *testing.T) {
	allowed := []string{"https://api.example", "https://api.example/notes?v=1", "urn:example:api"}
	for _, v := range []struct {
		requested, want string
	}{
		{"https://api.example", "https://api.example"},
		{"https://api.example/", "https://api.example"},
		{"HTTPS://API.Example/", "https://api.example"},
		{"https://api.example/notes?v=1", "https://api.example/notes?v=1"},
		{"urn:example:api", "urn:example:api"},
		{"https://api.example/Notes?v=1", ""},
		{"https://api.example/notes", ""},
		{"https://api.example/%6eotes?v=1", ""},
		{"https://api.example//", ""},
		{"https://api.example:443", ""},
		{"https://api.example#", ""},
		{"https://user@api.example", ""},
		{"//api.example", ""},
		{"/notes", ""},
		{"api.example", ""},
		{"https://api.example?v=1", ""},
	} {
		got, err := matchResources([]string{v.requested}, allowed)
		if v.want == "" {
			if err == nil {
				t.Errorf("A39 %q was taken for %q", v.requested, got)
			}
			continue
		}
		if err != nil || !slices.Equal(got, []string{v.want}) {
			t.Errorf("A39 %q: %q, %v", v.requested, got, err)
		}
	}
}

func TestMaxAgeAndPromptSyntax(t *testing.T) {
	for _, bad := range []string{"-1", "1.5", "1e3", "99999999999999999999", "4294967296", " 1", "+1", "x"} {
		if _, err := parseMaxAge(bad); err == nil {
			t.Errorf("A32 max_age=%q was accepted", bad)
		}
	}
	if age, err := parseMaxAge("0"); err != nil || age == nil || *age != 0 {
		t.Errorf("max_age=0: %v, %v", age, err)
	}
	if _, err := parsePrompt("none login"); err == nil {
		t.Error("A29 prompt=none with another value was accepted")
	}
	if values, err := parsePrompt("login unknown"); err != nil || len(values) != 2 {
		t.Errorf("A29 an unknown prompt value: %v, %v", values, err)
	}
}
