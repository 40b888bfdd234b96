package lockspire

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func storedForm(t testing.TB, q *authRequest) string {
	t.Helper()
	encoded, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

func TestStoredRequestThatIsNoneIsAnError(t *testing.T) {
	for _, stored := range []string{"", "null", "{}", "[]", "0", `{"redirect_uri":"https://a.example/"}`, `{"client_id":"c"}`, `{"client_id":1,"redirect_uri":"x"}`} {
		if q, err := parseAuthRequest(stored); err == nil {
			t.Errorf("%q is taken for %+v", stored, q)
		}
	}
}

// Every request that can be stored is read as it was.
func FuzzStoredRequest(f *testing.F) {
	f.Add("c", "https://a.example/cb", "st", "n", "openid profile", "login", "en de", int64(3600), byte(0xff))
	f.Add("c", "x:/", "<>&\u2028\"\\", "\ufffd", "", "", "", int64(-1), byte(0))
	f.Fuzz(func(t *testing.T, clientID, redirectURI, state, nonce, scopes, prompt, locales string, number int64, flags byte) {
		for _, text := range []string{clientID, redirectURI, state, nonce, scopes, prompt, locales} {
			if !clean(text) {
				return // parseParams lets none of it in
			}
		}
		flag := func(bit int) bool { return flags&(1<<bit) != 0 }
		q := &authRequest{
			ClientID: clientID, RedirectURI: redirectURI, State: state, Nonce: nonce, CodeChallenge: nonce,
			Scopes: someFields(scopes), Resources: someFields(redirectURI), ResourceNamed: flag(0),
			Prompt: someFields(prompt), HintSubject: state, LoginHint: nonce, ACRValues: someFields(scopes), UILocales: someFields(locales),
			Claims: namedClaims{Userinfo: someFields(scopes), IDToken: someFields(locales)}, EssentialACR: someFields(prompt),
			ACRDemanded: flag(1), FormPost: flag(2), RequestedAt: number, Judged: flag(3), NeedFresh: flag(4), SeenAuthTime: number,
		}
		if flag(5) {
			q.MaxAge = &number
		}
		got, err := parseAuthRequest(storedForm(t, q))
		if clientID == "" || redirectURI == "" {
			if err == nil {
				t.Fatalf("%+v was read", q)
			}
			return
		}
		if err != nil || !reflect.DeepEqual(got, q) {
			t.Fatalf("%+v was read as %+v, %v", q, got, err)
		}
	})
}

// someFields is strings.Fields without the difference between none and nil,
// which JSON does not keep.
func someFields(s string) []string {
	if fields := strings.Fields(s); len(fields) > 0 {
		return fields
	}
	return nil
}

// Whatever is in a JSON column gives an error, or something that is stored and
// read as the same again.
func FuzzStoredJSON(f *testing.F) {
	for _, seed := range []string{
		`[{"scopes":["openid"],"resources":["https://a.example"],"claims":["name"]}]`, `{"userinfo":["name"],"id_token":["name"]}`,
		`["a","b"]`, `null`, `[null]`, `{}`, `"x"`, `{"client_id":"c","redirect_uri":"u","max_age":0,"claims":{}}`, `[{"scopes":null}]`, "\xff", `[`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, stored string) {
		again(t, stored, parseConsents, consents.encode)
		again(t, stored, decodeNamed, encodeNamed)
		again(t, stored, parseList, jsonList)
		again(t, stored, parseAuthRequest, func(q *authRequest) (string, error) { return storedForm(t, q), nil })
		all, err := parseConsents(stored)
		if err != nil {
			return
		}
		for _, allowed := range all {
			if !all.cover(allowed) || !all.with(allowed).cover(allowed) {
				t.Fatalf("%q does not cover %+v", stored, allowed)
			}
		}
	})
}

func again[T any](t *testing.T, stored string, decode func(string) (T, error), encode func(T) (string, error)) {
	t.Helper()
	first, err := decode(stored)
	if err != nil {
		return
	}
	printed, err := encode(first)
	if err != nil {
		t.Fatalf("%q was read as %+v and cannot be stored: %v", stored, first, err)
	}
	second, err := decode(printed)
	if err != nil {
		t.Fatalf("%q was stored as %q and cannot be read: %v", stored, printed, err)
	}
	if last, err := encode(second); err != nil || last != printed {
		t.Fatalf("%q was stored as %q and then as %q, %v", stored, printed, last, err)
	}
}

// A list means what encoding/json says it means, whichever way it is read.
func FuzzStoredList(f *testing.F) {
	for _, stored := range []string{`[]`, `["a"]`, `["a","b c",""]`, `["a",]`, `[,"a"]`, `["a""b"]`, `["a" ,"b"]`, `["\\u0061"]`, `["a]`, `[`, `[a]`, "[\"\xff\"]", `null`, `[null]`, `["a"],["b"]`} {
		f.Add(stored)
	}
	f.Fuzz(func(t *testing.T, stored string) {
		var want []string
		wantErr := json.Unmarshal([]byte(stored), &want)
		got, err := parseList(stored)
		if (err == nil) != (wantErr == nil) || err == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q was read as %q, %v; want %q, %v", stored, got, err, want, wantErr)
		}
	})
}
