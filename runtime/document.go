package lockspire

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
)

// documentMaxAge is how long clients may keep metadata without asking. Key
// sets have TTLs.JWKSMaxAge.
const documentMaxAge = "public, max-age=300"

// document is a published JSON document, encoded once.
type document struct {
	body []byte
	etag string
	// cacheControl defaults to documentMaxAge.
	cacheControl string
}

func newDocument(v any) (document, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return document{}, err
	}
	sum := sha256.Sum256(body)
	return document{body: body, etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`}, nil
}

// serve writes d, or 304 when the client has it already (RFC 9110 §13.1.2).
func (d document) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", cmp.Or(d.cacheControl, documentMaxAge))
	h.Set("ETag", d.etag)
	h.Del("Pragma")
	if d.matches(r.Header.Values("If-None-Match")) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		w.Write(d.body)
	}
}

// matches compares weakly, as If-None-Match demands.
func (d document) matches(ifNoneMatch []string) bool {
	for _, candidate := range strings.Split(strings.Join(ifNoneMatch, ","), ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == d.etag {
			return true
		}
	}
	return false
}
