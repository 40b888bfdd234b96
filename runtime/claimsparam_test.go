package lockspire

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

// What is taken from a claims parameter is declared, asks for nothing that the
// parameter does not hold, and is taken again from its own printing.
func FuzzA36ClaimsParameter(f *testing.F) {
	for _, seed := range []string{
		`{"userinfo":{"name":null,"email":{"essential":true}},"id_token":{"name":{"value":"x"},"acr":{"values":["1","2"],"essential":true}}}`,
		`{"id_token":{"sub":{"value":"alice"},"acr":{"essential":true}}}`, `{"userinfo":null}`, `{}`, `[]`, `null`, `{"userinfo":{"name":1}}`,
		`{"userinfo":{"name":null,"name":null}}`, `{"id_token":{"acr":{"values":[[[[1]]]]}}}`, `{"a":{"b":{"c":{"d":{"e":{}}}}}}`, `{"id_token":{"acr":{"values":null,"value":"\u0000"}}}`,
	} {
		f.Add(seed)
	}
	p := &Provider{config: Config{Claims: []string{"email", "name", "locale"}}}
	f.Fuzz(func(t *testing.T, parameter string) {
		var q authRequest
		if err := p.readClaims(&q, parameter); err != nil {
			var refusal *oauthError
			if !errors.As(err, &refusal) || refusal.code != "invalid_request" {
				t.Fatalf("%q is refused with %v", parameter, err)
			}
			return
		}
		if parameter == "" {
			return
		}
		var whole map[string]map[string]any
		if json.Unmarshal([]byte(parameter), &map[string]any{}) != nil || len(parameter) > maxClaimsBytes {
			t.Fatalf("%q was accepted", parameter)
		}
		// Members of other names may be anything.
		json.Unmarshal([]byte(parameter), &whole)
		for _, name := range q.Claims.Userinfo {
			if _, asked := whole["userinfo"][name]; !asked || !slices.Contains(p.config.Claims, name) {
				t.Fatalf("%q yields %s", parameter, name)
			}
		}
		for _, text := range append(append([]string{q.HintSubject}, q.ACRValues...), q.EssentialACR...) {
			if !clean(text) {
				t.Fatalf("%q yields %q", parameter, text)
			}
		}
		printed := printClaims(t, &q)
		var again authRequest
		if err := p.readClaims(&again, printed); err != nil || storedForm(t, &again) != storedForm(t, &q) {
			t.Fatalf("%q is taken as %s, which prints as %q and is taken as %s, %v", parameter, storedForm(t, &q), printed, storedForm(t, &again), err)
		}
	})
}

// printClaims is a claims parameter that asks for what q holds.
func printClaims(t *testing.T, q *authRequest) string {
	t.Helper()
	userinfo, idToken := map[string]any{}, map[string]any{}
	for _, name := range q.Claims.Userinfo {
		userinfo[name] = nil
	}
	for _, name := range q.Claims.IDToken {
		idToken[name] = nil
	}
	if q.ACRDemanded || len(q.ACRValues) > 0 {
		idToken["acr"] = map[string]any{"essential": q.ACRDemanded, "values": append([]string{}, q.ACRValues...)}
	}
	if q.HintSubject != "" {
		userinfo["sub"] = map[string]any{"value": q.HintSubject}
	}
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	// Escapes would take a parameter over its bound that was below.
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(map[string]any{"userinfo": userinfo, "id_token": idToken}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
