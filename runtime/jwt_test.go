package lockspire

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/lockspire/lockspire/runtime/internal/jwt"
)

// memoryKeyring is a keyring whose rows were read just now, without a store.
func memoryKeyring(t testing.TB) *keyring {
	t.Helper()
	k := &keyring{secrets: testSecrets(t, 7), now: time.Now, reload: make(chan struct{}, 1), loadedAt: time.Now().Add(time.Hour)}
	set := &keySet{byKID: map[string]*signingKey{}, active: map[string]*signingKey{}}
	for _, alg := range []string{algES256, algRS256} {
		row, err := newKeyRow(k.secrets, k.secrets.id(), alg, KeyActive)
		if err != nil {
			t.Fatal(err)
		}
		key, err := k.open(row, nil)
		if err != nil {
			t.Fatal(err)
		}
		set.byKID[key.kid], set.active[alg] = key, key
	}
	k.set.Store(set)
	return k
}

// verifyAlone is verifyInMemory for callers that do not care which key it was.
func (k *keyring) verifyAlone(ctx context.Context, token, alg, typ string) (map[string]json.RawMessage, error) {
	_, claims, err := k.verifyInMemory(ctx, token, alg, typ)
	return claims, err
}

func mustSign(t testing.TB, k *keyring, alg, typ string, claims any) string {
	t.Helper()
	token, err := k.sign(alg, typ, claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestSignedTokensVerifyAsWhatTheyAre(t *testing.T) {
	k := memoryKeyring(t)
	claims := map[string]any{"sub": "alice", "n": 1}
	for _, alg := range []string{algES256, algRS256} {
		for _, typ := range []string{typAccessToken, typIDToken} {
			token := mustSign(t, k, alg, typ, claims)
			got, err := k.verifyAlone(context.Background(), token, alg, typ)
			if err != nil || string(got["sub"]) != `"alice"` || string(got["n"]) != "1" {
				t.Errorf("%s %s: %v %v", alg, typ, got, err)
			}
			for _, otherAlg := range []string{algES256, algRS256} {
				for _, otherTyp := range []string{typAccessToken, typIDToken} {
					if otherAlg == alg && otherTyp == typ {
						continue
					}
					if _, err := k.verifyAlone(context.Background(), token, otherAlg, otherTyp); !errors.Is(err, errBadJWT) {
						t.Errorf("A79: %s %s verifies as %s %s: %v", alg, typ, otherAlg, otherTyp, err)
					}
				}
			}
		}
	}
	if _, err := k.sign("HS256", typIDToken, claims); err == nil {
		t.Error("signed with an algorithm that has no key")
	}
	if _, err := k.sign(algES256, "logout+jwt", claims); err == nil {
		t.Error("signed a kind of JWT that is not issued")
	}
}

func TestA80SplitJWTTakesOneSpelling(t *testing.T) {
	b64 := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	header, payload, signature := b64(`{"alg":"ES256","kid":"k","typ":"at+jwt"}`), b64(`{"a":{"b":[1,{"c":null}]}}`), b64("sig")
	if _, claims, err := jwt.Split(header + "." + payload + "." + signature); err != nil || len(claims) != 1 {
		t.Fatalf("the plain token: %v %v", claims, err)
	}
	nested := func(depth int) string {
		return b64(`{"a":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}`)
	}
	for name, token := range map[string]string{
		"empty":                   "",
		"dots":                    "..",
		"no signature":            header + "." + payload + ".",
		"two parts":               header + "." + payload,
		"four parts":              header + "." + payload + "." + signature + ".",
		"five parts":              header + "." + payload + "." + signature + ".a.a",
		"padding":                 header + "=." + payload + "." + signature,
		"standard alphabet":       header + "." + payload + ".ab+/",
		"line feed":               header + "\n." + payload + "." + signature,
		"carriage return":         header + "." + payload + ".\r" + signature,
		"space":                   " " + header + "." + payload + "." + signature,
		"trailing bits":           header + "." + payload + ".AB",
		"header is an array":      b64(`["ES256"]`) + "." + payload + "." + signature,
		"header is null":          b64(`null`) + "." + payload + "." + signature,
		"header twice":            b64(`{"alg":"ES256"}{}`) + "." + payload + "." + signature,
		"duplicate alg":           b64(`{"alg":"none","alg":"ES256"}`) + "." + payload + "." + signature,
		"alg in another case":     b64(`{"Alg":"ES256"}`) + "." + payload + "." + signature,
		"alg is a number":         b64(`{"alg":1}`) + "." + payload + "." + signature,
		"alg is null":             b64(`{"alg":null}`) + "." + payload + "." + signature,
		"jwk":                     b64(`{"alg":"ES256","jwk":{}}`) + "." + payload + "." + signature,
		"crit":                    b64(`{"alg":"ES256","crit":["b64"],"b64":false}`) + "." + payload + "." + signature,
		"zip":                     b64(`{"alg":"ES256","zip":"DEF"}`) + "." + payload + "." + signature,
		"claims are a string":     header + "." + b64(`"a"`) + "." + signature,
		"duplicate claim":         header + "." + b64(`{"a":1,"a":1}`) + "." + signature,
		"duplicate, escaped":      header + "." + b64(`{"a":1,"\u0061":1}`) + "." + signature,
		"duplicate deep inside":   header + "." + b64(`{"a":[{"b":{"c":1,"c":2}}]}`) + "." + signature,
		"invalid UTF-8":           header + "." + b64("{\"a\":\"\xff\"}") + "." + signature,
		"claims cut short":        header + "." + b64(`{"a":1`) + "." + signature,
		"nested too deeply":       header + "." + nested(jwt.MaxDepth) + "." + signature,
		"longer than the limit":   header + "." + b64(`{"a":"`+strings.Repeat("a", jwt.MaxBytes)+`"}`) + "." + signature,
		"JSON, not three strings": `{"protected":"` + header + `.","payload":"` + payload + `.","signature":"` + signature + `"}`,
	} {
		if _, _, err := jwt.Split(token); !errors.Is(err, errBadJWT) {
			t.Errorf("%s: accepted (%v)", name, err)
		}
	}
	if _, _, err := jwt.Split(header + "." + nested(jwt.MaxDepth-1) + "." + signature); err != nil {
		t.Errorf("nested as deeply as allowed: %v", err)
	}
}

func TestA83ZeroSignatureAndOtherPeoplesKeys(t *testing.T) {
	k := memoryKeyring(t)
	parts := strings.Split(mustSign(t, k, algES256, typAccessToken, map[string]any{"sub": "alice"}), ".")
	order := elliptic.P256().Params().N
	raw := func(r, s *big.Int) string {
		return base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
	}
	zero, one := big.NewInt(0), big.NewInt(1)
	for name, signature := range map[string]string{
		"r=s=0": raw(zero, zero), "r=s=1": raw(one, one), "r=s=n": raw(order, order),
		"63 bytes": base64.RawURLEncoding.EncodeToString(make([]byte, 63)), "DER": base64.RawURLEncoding.EncodeToString([]byte{0x30, 6, 2, 1, 0, 2, 1, 0}),
	} {
		if _, err := k.verifyAlone(context.Background(), parts[0]+"."+parts[1]+"."+signature, algES256, typAccessToken); !errors.Is(err, errBadJWT) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The right header, signed with a key of somebody else's.
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: stranger, KeyID: k.set.Load().active[algES256].kid}},
		(&jose.SignerOptions{}).WithType(typAccessToken))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(`{"sub":"alice"}`))
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.verifyAlone(context.Background(), token, algES256, typAccessToken); !errors.Is(err, errBadJWT) {
		t.Errorf("another key under our kid: %v", err)
	}
}

// RFC 7638 §3.1: the kid is the published thumbprint.
func TestThumbprintVector(t *testing.T) {
	var key jose.JSONWebKey
	if err := json.Unmarshal([]byte(`{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB"}`), &key); err != nil {
		t.Fatal(err)
	}
	got, err := thumbprint(key.Key)
	if want := "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"; err != nil || got != want {
		t.Errorf("thumbprint %s %v, want %s", got, err, want)
	}
}

func TestA80AccessClaimsAreReadByExactName(t *testing.T) {
	good := map[string]any{"iss": "i", "sub": "s", "client_id": "c", "jti": "j", "fid": "f", "aud": "a", "iat": 1, "exp": 2, "scope": "openid"}
	read := func(change func(map[string]any)) error {
		claims := map[string]any{}
		for k, v := range good {
			claims[k] = v
		}
		change(claims)
		encoded, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		members, err := jwt.Object(encoded)
		if err != nil {
			t.Fatal(err)
		}
		_, err = jwt.DecodeAccess(members)
		return err
	}
	if err := read(func(c map[string]any) { c["extra"] = 1 }); err != nil {
		t.Errorf("an unknown claim: %v", err)
	}
	if read(func(c map[string]any) { c["cnf"] = map[string]any{"jkt": "x"} }) == nil {
		t.Error("a token that is bound to a key was accepted without the key")
	}
	for _, name := range []string{"iss", "sub", "client_id", "jti", "fid", "aud", "iat", "exp"} {
		if read(func(c map[string]any) { delete(c, name) }) == nil {
			t.Errorf("accepted without %s", name)
		}
		if read(func(c map[string]any) { c[strings.ToUpper(name)] = c[name] }) == nil {
			t.Errorf("accepted with %s in another case too", name)
		}
		for _, value := range []any{nil, "", map[string]any{}, []any{}, []any{1}, -1, 1.5, true} {
			if read(func(c map[string]any) { c[name] = value }) == nil {
				t.Errorf("accepted with %s: %v", name, value)
			}
		}
	}
}

func TestMembersAreReadAsTheStandardLibraryReadsThem(t *testing.T) {
	for _, text := range []string{
		`{}`, `{"a":1}`, " {\t\"a\" \r\n:\n 1 ,\"b\": \": x\" } \n", `{"a":{"b":[1,{"c":null}]},"d":[ ],"\u0065":"\ud83d\ude00","":-0.5e3}`,
		`{"a":true,"b":false,"c":null,"d":12345678901234567890}`,
	} {
		var want map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		got, err := jwt.Object([]byte(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %q, want %q: %v", text, got, want, err)
		}
	}
	for _, text := range []string{``, `[]`, `null`, `{"a":1,}`, `{"a" 1}`, `{"a":1]`, `{"a":1}{}`, `{"a":01}`, `{"a":1,"a":1}`, `{"a":1,"\u0061":1}`, `{"a":{"b":1,"b":1}}`} {
		if got, err := jwt.Object([]byte(text)); err == nil {
			t.Errorf("%s is %q", text, got)
		}
	}
}

func FuzzSplitJWT(f *testing.F) {
	k := memoryKeyring(f)
	first := mustSign(f, k, algES256, typAccessToken, map[string]any{"sub": "alice", "aud": []string{"a", "b"}})
	f.Add(first)
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("..")
	signed := mustSign(f, k, algES256, typAccessToken, map[string]any{"sub": "alice"})
	f.Add(signed)
	f.Fuzz(func(t *testing.T, token string) {
		// ES256 signatures differ each time, so a token that verifies is one of
		// those that were signed here.
		if _, err := k.verifyAlone(context.Background(), token, algES256, typAccessToken); err == nil && token != signed && token != first {
			t.Fatalf("%q verifies", token)
		}
		header, claims, err := jwt.Split(token)
		if err != nil {
			if !errors.Is(err, errBadJWT) {
				t.Fatalf("%v is not errBadJWT", err)
			}
			return
		}
		// What is accepted has one spelling.
		for _, part := range strings.Split(token, ".") {
			raw, err := base64.RawURLEncoding.DecodeString(part)
			if err != nil || base64.RawURLEncoding.EncodeToString(raw) != part {
				t.Fatalf("part %q has another spelling", part)
			}
		}
		for name, raw := range claims {
			if !json.Valid(raw) {
				t.Fatalf("claim %q is %q", name, raw)
			}
		}
		_ = header
	})
}

func FuzzA83AChangedByteNeverVerifies(f *testing.F) {
	k := memoryKeyring(f)
	token := mustSign(f, k, algES256, typAccessToken, map[string]any{"sub": "alice", "aud": []string{"a", "b"}})
	f.Add(0, byte('x'))
	f.Add(len(token)-1, byte('A'))
	f.Add(strings.IndexByte(token, '.'), byte('\n'))
	f.Fuzz(func(t *testing.T, at int, to byte) {
		if at < 0 || at >= len(token) || token[at] == to {
			return
		}
		changed := token[:at] + string([]byte{to}) + token[at+1:]
		if _, err := k.verifyAlone(context.Background(), changed, algES256, typAccessToken); !errors.Is(err, errBadJWT) {
			t.Fatalf("byte %d as %q verifies: %v", at, to, err)
		}
		inserted := token[:at] + string([]byte{to}) + token[at:]
		if _, err := k.verifyAlone(context.Background(), inserted, algES256, typAccessToken); !errors.Is(err, errBadJWT) {
			t.Fatalf("%q inserted at %d verifies: %v", to, at, err)
		}
	})
}

// Every single byte, not only those the fuzzer tries.
func TestAChangedByteNeverVerifies(t *testing.T) {
	k := memoryKeyring(t)
	token := mustSign(t, k, algES256, typAccessToken, map[string]any{"sub": "alice"})
	for at := range token {
		for _, to := range []byte{'A', 'B', '-', '.', '=', '\n', 0} {
			if token[at] == to {
				continue
			}
			changed := token[:at] + string([]byte{to}) + token[at+1:]
			if _, err := k.verifyAlone(context.Background(), changed, algES256, typAccessToken); !errors.Is(err, errBadJWT) {
				t.Fatalf("byte %d as %q verifies: %v", at, to, err)
			}
		}
	}
}
