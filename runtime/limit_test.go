package lockspire

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The table of limits has 10,000 entries; with client ids as keys, 64 KiB each,
// anybody could fill memory with it.
func TestA189LimitKeysAreShortWhateverTheClientIDIs(t *testing.T) {
	p := &Provider{config: Config{ClientIP: func(*http.Request) string { return "192.0.2.1" }}}
	r := httptest.NewRequest("POST", "/token", nil)
	long := p.limitKey(r, strings.Repeat("x", maxBodyBytes))
	if len(long) > 64 {
		t.Errorf("a key of %d bytes", len(long))
	}
	if long == p.limitKey(r, strings.Repeat("x", maxBodyBytes-1)) {
		t.Error("two clients share a key")
	}
	if again := p.limitKey(r, strings.Repeat("x", maxBodyBytes)); again != long {
		t.Error("one client has two keys")
	}
}
