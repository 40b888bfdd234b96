package lockspire

import (
	"net/http"
	"sync"
	"time"
)

// Limits per address and client, in one minute and in this process. They slow
// guessing and flooding down; nothing that is correct rests on them.
const (
	limitWindow       = time.Minute
	maxInteractions   = 60
	maxAuthFailures   = 10
	maxTokenMisses    = 60
	maxLimiterEntries = 10000
)

var errTooMany = &oauthError{code: "temporarily_unavailable", status: http.StatusTooManyRequests, description: "Too many requests. Try again in a minute."}

// limiter counts what happened per key in the current window. The zero value
// is ready; it is safe for concurrent use.
type limiter struct {
	mu      sync.Mutex
	began   time.Time
	entries map[string]int
}

// count adds n to key's count in the window that now lies in, and returns the
// sum. A table that is full begins anew: a flood of keys costs the limit, never
// the memory.
func (l *limiter) count(key string, n int, now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.entries == nil || now.Sub(l.began) >= limitWindow || now.Before(l.began) || len(l.entries) >= maxLimiterEntries {
		l.began, l.entries = now, map[string]int{}
	}
	if n == 0 {
		return l.entries[key]
	}
	l.entries[key] += n
	return l.entries[key]
}

// limitKey is the key of this request for a client, or "" where the host does
// not say what address it comes from: then nothing is counted, since behind a
// proxy all users would share one address. It is a hash, since the client id
// is whatever the request says, at any length, and the table keeps it.
func (p *Provider) limitKey(r *http.Request, clientID string) string {
	if p.config.ClientIP == nil {
		return ""
	}
	address := p.config.ClientIP(r)
	if address == "" {
		return ""
	}
	return string(hashToken(address + " " + clientID))
}

// limitInteractions refuses an address that begins too many interactions with
// one client, before a row is written.
func (p *Provider) limitInteractions(r *http.Request, clientID string) error {
	key := p.limitKey(r, clientID)
	if key != "" && p.begun.count(key, 1, p.now()) > maxInteractions {
		return errTooMany
	}
	return nil
}
