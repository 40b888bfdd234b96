package resource

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// cooldown is how long after a reading an unknown kid makes nobody read the
	// key set again: whoever sends made-up kids must not make this service a
	// burden to the issuer (A148).
	cooldown = 30 * time.Second
	// retryAfter is the same after a reading that failed.
	retryAfter = 3 * time.Second
	// fetchTimeout bounds one reading, for which requests wait.
	fetchTimeout = 5 * time.Second
	// defaultMaxAge is how long a key set counts as current when its
	// Cache-Control says nothing; what it says is held within the bounds.
	defaultMaxAge, leastMaxAge, greatestMaxAge = 5 * time.Minute, cooldown, time.Hour
	// staleFor is how long an old key set is used while the issuer cannot be
	// read: a key that was revoked meanwhile would be honoured.
	staleFor = time.Hour

	maxMetadataBytes = 64 << 10
	maxKeys          = 32
	maxKIDBytes      = 256
	minRSABits       = 2048
)

// errNoKeys: what the issuer publishes could not be read.
var errNoKeys = errors.New("the issuer's keys could not be read")

// keySet is the issuer's published keys, read when they are needed: by one
// request at a time, for all that wait.
type keySet struct {
	config Config
	issuer *url.URL
	client *http.Client
	algs   []string

	mu      sync.Mutex
	jwksURI string
	keys    map[string]*jose.JSONWebKey
	// readAt and maxAge are of the last reading that succeeded, triedAt and
	// failure of the last one.
	readAt, triedAt time.Time
	maxAge          time.Duration
	failure         error
	// reading ends with the reading that is under way, if there is one.
	reading chan struct{}
}

func newKeySet(config Config, issuer *url.URL) *keySet {
	client := http.Client{}
	if config.HTTPClient != nil {
		client = *config.HTTPClient
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Jar = nil
	return &keySet{config: config, issuer: issuer, client: &client, algs: config.Algorithms}
}

// find returns the key with exactly that kid, or nil when the issuer has none.
func (k *keySet) find(ctx context.Context, kid string) (*jose.JSONWebKey, error) {
	if kid == "" || len(kid) > maxKIDBytes {
		return nil, nil
	}
	// One reading is enough; another may have begun meanwhile, for another kid.
	for range 3 {
		key, wait, err := k.look(ctx, kid)
		if wait == nil {
			return key, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", errNoKeys, ctx.Err())
		}
	}
	return nil, fmt.Errorf("%w: they are over as soon as they are read; is the clock right?", errNoKeys)
}

// look answers from what is known, or returns what to wait for before looking
// again.
func (k *keySet) look(ctx context.Context, kid string) (key *jose.JSONWebKey, wait <-chan struct{}, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.config.Now()
	key = k.keys[kid]
	age := now.Sub(k.readAt)
	current := k.keys != nil && age < k.maxAge
	if key != nil && current {
		return key, nil, nil
	}
	if k.reading == nil && k.mayRead(now, current) {
		k.begin(ctx)
	}
	switch {
	case key != nil && k.failure != nil && age < k.maxAge+staleFor:
		// The issuer is away; nobody waits for it to come back.
		return key, nil, nil
	case k.reading != nil:
		return nil, k.reading, nil
	case k.failure != nil:
		return nil, nil, fmt.Errorf("%w: %w", errNoKeys, k.failure)
	}
	return nil, nil, nil
}

// mayRead reports whether the issuer may be asked now.
func (k *keySet) mayRead(now time.Time, current bool) bool {
	since := now.Sub(k.triedAt)
	switch {
	case k.triedAt.IsZero():
		return true
	case k.failure != nil:
		return since >= retryAfter
	case !current:
		return true
	}
	return since >= cooldown
}

// begin reads the key set for everybody. The request that asks for it may hang
// up; the others, and the cool-down, have the reading all the same.
func (k *keySet) begin(ctx context.Context) {
	done := make(chan struct{})
	k.reading, k.triedAt = done, k.config.Now()
	jwksURI := k.jwksURI
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		keys, jwksURI, maxAge, err := k.read(ctx, jwksURI)
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.failure = err; err == nil {
			k.keys, k.jwksURI, k.maxAge, k.readAt = keys, jwksURI, maxAge, k.triedAt
		} else {
			k.config.Logger.LogAttrs(ctx, slog.LevelWarn, "resource: reading the issuer's keys failed",
				slog.String("issuer", k.config.Issuer), slog.String("cause", err.Error()))
		}
		k.reading = nil
		close(done)
	}()
}

// read fetches the metadata, once, and the key set.
func (k *keySet) read(ctx context.Context, jwksURI string) (map[string]*jose.JSONWebKey, string, time.Duration, error) {
	if jwksURI == "" {
		var err error
		if jwksURI, err = k.discover(ctx); err != nil {
			return nil, "", 0, err
		}
	}
	body, header, err := k.fetch(ctx, jwksURI)
	if err != nil {
		return nil, "", 0, err
	}
	keys, err := k.parse(body)
	return keys, jwksURI, maxAgeOf(header), err
}

var errNotFound = errors.New("404")

// discover finds jwks_uri in the issuer's metadata: by RFC 8414 §3, and where
// that is not served by OpenID Connect Discovery §4.
func (k *keySet) discover(ctx context.Context) (string, error) {
	path := strings.TrimSuffix(k.issuer.EscapedPath(), "/")
	origin := k.issuer.Scheme + "://" + k.issuer.Host
	body, _, err := k.fetch(ctx, origin+"/.well-known/oauth-authorization-server"+path)
	if errors.Is(err, errNotFound) {
		body, _, err = k.fetch(ctx, origin+path+"/.well-known/openid-configuration")
	}
	if err != nil {
		return "", err
	}
	var metadata struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &metadata); err != nil {
		return "", fmt.Errorf("metadata: %w", err)
	}
	if metadata.Issuer != k.config.Issuer {
		return "", fmt.Errorf("metadata of another issuer: %.200q", metadata.Issuer)
	}
	jwksURI, err := absoluteURL("jwks_uri", metadata.JWKSURI)
	if err != nil || !secure(jwksURI) || jwksURI.Scheme == "http" && k.issuer.Scheme == "https" {
		return "", fmt.Errorf("metadata: jwks_uri %.200q", metadata.JWKSURI)
	}
	return metadata.JWKSURI, nil
}

func (k *keySet) fetch(ctx context.Context, target string) ([]byte, http.Header, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Accept", "application/json")
	response, err := k.client.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotFound {
		return nil, nil, fmt.Errorf("%s answers %w", target, errNotFound)
	}
	if response.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s answers %d", target, response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxMetadataBytes+1))
	if err == nil && len(body) > maxMetadataBytes {
		err = fmt.Errorf("%s answers more than %d bytes", target, maxMetadataBytes)
	}
	return body, response.Header, err
}

// parse keeps the keys that can be used. One of a kind that this service does not
// know is no reason to do without the others (RFC 7517 §5).
func (k *keySet) parse(body []byte) (map[string]*jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("key set: %d keys", len(set.Keys))
	}
	keys := map[string]*jose.JSONWebKey{}
	for _, raw := range set.Keys {
		key := new(jose.JSONWebKey)
		if key.UnmarshalJSON(raw) == nil && k.usable(key) {
			keys[key.KeyID] = key
		}
	}
	return keys, nil
}

func (k *keySet) usable(key *jose.JSONWebKey) bool {
	if public, ok := key.Key.(*rsa.PublicKey); ok && public.N.BitLen() < minRSABits {
		return false
	}
	return key.KeyID != "" && key.Valid() && key.IsPublic() && (key.Use == "" || key.Use == "sig") &&
		(key.Algorithm == "" || slices.Contains(k.algs, key.Algorithm))
}

// maxAgeOf reads how long a key set is current (RFC 9111 §5.2.2.1).
func maxAgeOf(header http.Header) time.Duration {
	for _, directive := range strings.Split(header.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if seconds, err := strconv.Atoi(value); strings.EqualFold(name, "max-age") && err == nil && seconds >= 0 && seconds <= 1<<30 {
			return min(max(time.Duration(seconds)*time.Second, leastMaxAge), greatestMaxAge)
		}
	}
	return defaultMaxAge
}
