package lockspire

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

var unknownKID = strings.Repeat("k", thumbprintLength)

func newFaultyKeyring(t *testing.T, queried func(ctx context.Context) error) *keyring {
	t.Helper()
	s, d := newFaultyStore(t, func(string) error { return nil })
	d.queried = queried
	k := &keyring{store: s, secrets: testSecrets(t, 7), now: time.Now, reload: make(chan struct{}, 1)}
	k.set.Store(&keySet{})
	return k
}

// Anybody can send a token with an unknown kid. While the database hangs, the
// requests that wait for its answer end with their clients.
func TestA148WaitingForKeysEndsWithTheRequest(t *testing.T) {
	k := newFaultyKeyring(t, func(context.Context) error { return nil })
	k.reload <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := k.find(ctx, unknownKID)
		done <- err
	}()
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, errUnavailable) {
			t.Errorf("error %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the request waits on")
	}
}

// The one reading in a cool-down is for all: a client that sets it off and
// hangs up must not keep another replica's new key unknown.
func TestA148HangingUpDoesNotUseUpTheCooldown(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	queries := 0
	k := newFaultyKeyring(t, func(query context.Context) error {
		queries++
		cancel()
		return query.Err()
	})
	if _, err := k.find(ctx, unknownKID); err != nil {
		t.Errorf("the reading ended with its client: %v", err)
	}
	if _, err := k.find(t.Context(), unknownKID); err != nil || queries != 1 {
		t.Errorf("%d readings, %v", queries, err)
	}
}
