package lockspire

import (
	"net/http"
	"strings"
)

// cors opens an endpoint to scripts of any origin, without credentials, and
// answers preflights; it reports whether the request is answered. Tokens
// travel in headers and bodies here and cookies mean nothing, so "*" gives a
// script only what any other HTTP client has (Fetch §3.2; RFC 9700 §2.6).
// Pages that read a session never call this.
func (p *Provider) cors(w http.ResponseWriter, r *http.Request, methods ...string) (answered bool) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, DPoP-Nonce")
	if r.Method != http.MethodOptions {
		return false
	}
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	h.Set("Access-Control-Max-Age", "600")
	h.Set("Allow", strings.Join(append(methods[:len(methods):len(methods)], http.MethodOptions), ", "))
	w.WriteHeader(http.StatusNoContent)
	return true
}
