package lockspire

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func testSecrets(t testing.TB, fill ...byte) *secretSet {
	t.Helper()
	var secrets [][]byte
	for _, b := range fill {
		secrets = append(secrets, bytes.Repeat([]byte{b}, 32))
	}
	set, err := newSecretSet(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// The derivation is pinned: with another one, no row of an earlier version
// opens any more.
func TestSubkeysAreHKDFWithALabelEach(t *testing.T) {
	set := testSecrets(t, 7)
	// RFC 5869 §2 by hand, for one block of output and no salt.
	extract := hmac.New(sha256.New, make([]byte, 32))
	extract.Write(bytes.Repeat([]byte{7}, 32))
	expand := hmac.New(sha256.New, extract.Sum(nil))
	expand.Write([]byte("lockspire/v1/key/refresh\x01"))
	want := hex.EncodeToString(expand.Sum(nil))
	got, ok := set.subkey(set.id(), "refresh")
	if !ok || hex.EncodeToString(got) != want {
		t.Errorf("subkey is %x, want %s", got, want)
	}
	seen := map[string]string{}
	for _, label := range []string{labelRefresh, labelCode, labelDecision, labelSID, labelSigningKey} {
		key, _ := set.subkey(set.id(), label)
		if other, twice := seen[string(key)]; twice || len(key) != 32 {
			t.Errorf("labels %s and %s share a key", label, other)
		}
		seen[string(key)] = label
	}
	if _, ok := set.subkey("0000000000000000", labelCode); ok {
		t.Error("a secret that is not listed gave a key")
	}
}

func TestSecretSetNamesTheBadSecret(t *testing.T) {
	good := bytes.Repeat([]byte{1}, 32)
	for want, secrets := range map[string][][]byte{
		"Secrets:":    nil,
		"Secrets[0]:": {good[:31]},
		"Secrets[1]:": {good, {}},
	} {
		if _, err := newSecretSet(secrets); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("newSecretSet(%v): %v, want an error about %s", secrets, err, want)
		}
	}
	set := testSecrets(t, 1, 2)
	if set.id() != secretID(good) || len(set.id()) != 16 {
		t.Errorf("the current secret is %q", set.id())
	}
	// The caller's slice is not the set's.
	owned := bytes.Clone(good)
	set, err := newSecretSet([][]byte{owned})
	if err != nil {
		t.Fatal(err)
	}
	before, _ := set.subkey(set.id(), labelCode)
	clear(owned)
	if after, _ := set.subkey(set.id(), labelCode); !bytes.Equal(before, after) {
		t.Error("a change of the caller's slice changed the secret")
	}
}

// A vector made with another implementation of HKDF and AES-GCM (Python's
// cryptography): whoever holds the secret can open the rows, and later versions
// must.
func TestSealedVectorOpens(t *testing.T) {
	sealed, err := hex.DecodeString("000102030405060708090a0b74c691b5eff1eae9dee0a3242aafa220702a4a806aa723e26e")
	if err != nil {
		t.Fatal(err)
	}
	plain, err := testSecrets(t, 7).open("7e4ebe296c2619de", labelSigningKey, "row/1", sealed)
	if err != nil || string(plain) != "plaintext" {
		t.Errorf("open: %q %v", plain, err)
	}
}

func TestSealedBytesOpenOnlyWhereTheyBelong(t *testing.T) {
	set := testSecrets(t, 7, 8)
	id, sealed, err := set.seal(labelSigningKey, "row/1", []byte("plaintext"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := set.open(id, labelSigningKey, "row/1", sealed); err != nil || string(plain) != "plaintext" {
		t.Fatalf("in its own place: %q %v", plain, err)
	}
	for name, open := range map[string]func() ([]byte, error){
		"another row":   func() ([]byte, error) { return set.open(id, labelSigningKey, "row/2", sealed) },
		"another label": func() ([]byte, error) { return set.open(id, labelCode, "row/1", sealed) },
		"another secret": func() ([]byte, error) {
			return set.open(secretID(bytes.Repeat([]byte{8}, 32)), labelSigningKey, "row/1", sealed)
		},
		"cut short": func() ([]byte, error) { return set.open(id, labelSigningKey, "row/1", sealed[:11]) },
		"empty":     func() ([]byte, error) { return set.open(id, labelSigningKey, "row/1", nil) },
	} {
		if plain, err := open(); !errors.Is(err, errSealed) {
			t.Errorf("%s: opened as %q, %v", name, plain, err)
		}
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := set.open(id, labelSigningKey, "row/1", changed); !errors.Is(err, errSealed) {
			t.Fatalf("byte %d changed and it opens: %v", i, err)
		}
	}
	if _, err := set.open("feedfeedfeedfeed", labelSigningKey, "row/1", sealed); err == nil || !strings.Contains(err.Error(), "feedfeedfeedfeed") {
		t.Errorf("a secret that is not listed: %v", err)
	}
	_, again, err := set.seal(labelSigningKey, "row/1", []byte("plaintext"))
	if err != nil || bytes.Equal(again, sealed) {
		t.Error("two seals of the same text are equal")
	}
}
