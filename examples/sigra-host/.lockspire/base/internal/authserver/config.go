// Package authserver makes this application an OAuth 2.1 and OpenID Connect provider for
// third-party clients of its API, with Lockspire. The line between the two: the application
// owns people (accounts, sessions, sign-in, the words on the consent page), Lockspire owns the
// protocol (clients, codes, tokens, keys).
//
// Yours to edit: this file, account_resolver.go, pages.go and pages/, operator.go,
// authserver_test.go. Lockspire's: the files named lockspire_gen*.go, which `lockspire
// upgrade` rewrites.
package authserver

import (
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// Host is what the application hands to Mount. It is yours: add what the account resolver
// needs, a session store or a func that finds the signed-in user, and pass it in the call to
// Mount. A type declared in package main or in the package of the router cannot be named here
// without an import cycle; a func field can carry it all the same.
type Host struct {
	// DB is the pool that holds the lockspire_* tables. Lockspire never closes it.
	DB *sql.DB

	// Browser wraps the pages that a person sees (authorize, interactions, apps): pass the
	// middleware that loads your session. Leave it nil where the router already runs it. The
	// machine endpoints (token, userinfo, jwks, …) are never wrapped: they read no cookie, so CSRF
	// and login middleware would only break them.
	Browser func(next http.Handler) http.Handler
}

const (
	// loginPath is your sign-in page. The account resolver sends signed-out people there.
	loginPath = "/sign-in"

	// defaultIssuer serves development, where LOCKSPIRE_ISSUER is not set. Change the port to
	// yours. In production set LOCKSPIRE_ISSUER to the https URL that clients see, for example
	// https://app.example/lockspire: they compare it byte for byte, and its path is the mount
	// path.
	defaultIssuer = "http://localhost:8080/lockspire"
)

// newConfig is the provider's configuration. Fields that are not set here have safe defaults,
// listed in the documentation of lockspire.Config. Mount adds the database.
func newConfig(host Host) (lockspire.Config, error) {
	issuer := os.Getenv("LOCKSPIRE_ISSUER")
	if issuer == "" {
		issuer = defaultIssuer
	}
	secrets, err := secretsFor(issuer)
	if err != nil {
		return lockspire.Config{}, err
	}
	return lockspire.Config{
		Issuer:   issuer,
		Accounts: newAccountResolver(host),
		Pages:    newPages(),
		Secrets:  secrets,
		// What clients may ask for, in the words your users read. "openid" and "offline_access" need
		// no entry.
		Scopes: []lockspire.Scope{
			{Name: "profile", Title: "See your name", Description: "Your name and the like, not your e-mail address."},
			{Name: "email", Title: "See your e-mail address"},
			// An API of your own, which people may untick:
			// {Name: "orders:read", Title: "Read your orders", Optional: true},
		},
		// Resources are the APIs that tokens are for, the first being the default. Without any it is
		// the origin of the issuer:
		// Resources: []lockspire.Resource{
		// 	{Identifier: "https://app.example/api", Name: "Example API"},
		// },
	}, nil
}

// secretsFor reads LOCKSPIRE_SECRETS: base64 of at least 32 random bytes each (openssl rand
// -base64 32), the newest first, separated by commas or blanks. They seal the signing keys and
// derive tokens. To rotate, put a new one in front and keep the old ones until nothing is
// sealed with them. Without the variable a loopback issuer gets a random secret of this
// checkout; any other issuer does not start.
func secretsFor(issuer string) ([][]byte, error) {
	var secrets [][]byte
	separator := func(r rune) bool { return r == ',' || unicode.IsSpace(r) }
	for i, text := range strings.FieldsFunc(os.Getenv("LOCKSPIRE_SECRETS"), separator) {
		secret, err := decodeSecret(text)
		if err != nil {
			return nil, fmt.Errorf("LOCKSPIRE_SECRETS: entry %d %w", i+1, err)
		}
		secrets = append(secrets, secret)
	}
	if len(secrets) > 0 {
		return secrets, nil
	}
	if !loopback(issuer) {
		return nil, fmt.Errorf("LOCKSPIRE_SECRETS is not set, and %s is not a loopback address: "+
			"set it to the output of: openssl rand -base64 32", issuer)
	}
	secret, err := developmentSecret()
	if err != nil {
		return nil, fmt.Errorf("LOCKSPIRE_SECRETS is not set, and %w", err)
	}
	return [][]byte{secret}, nil
}

func decodeSecret(text string) ([]byte, error) {
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	secret, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || len(secret) < 32 {
		return nil, errors.New("is not base64 of at least 32 bytes")
	}
	return secret, nil
}

// loopback reports whether issuer can only be reached from this computer.
func loopback(issuer string) bool {
	u, err := url.Parse(issuer)
	if err != nil {
		return false
	}
	return u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback()
}

// developmentSecret returns the random secret in .lockspire/dev-secret, which it makes at the
// first start and git ignores. It lies beside the manifest, so it is found from any directory
// of the checkout and never in a deployment that has only the binary.
func developmentSecret() ([]byte, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, ".lockspire", "manifest.json")); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil, errors.New("there is no .lockspire directory at or above the working directory " +
				"for one of development: set it to the output of: openssl rand -base64 32")
		}
		dir = parent
	}
	name := filepath.Join(dir, ".lockspire", "dev-secret")
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		if err := writeSecret(name); err != nil {
			return nil, err
		}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	secret, err := decodeSecret(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s %w", name, err)
	}
	return secret, nil
}

func writeSecret(name string) error {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(name), "dev-secret-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.WriteString(base64.StdEncoding.EncodeToString(secret) + "\n")
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	// A link appears whole or not at all: two processes that start at once agree on one secret.
	if err := os.Link(file.Name(), name); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
