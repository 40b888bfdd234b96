package resource

import (
	"encoding/json"
	"net/http"
	"net/url"
)

const wellKnown = "/.well-known/oauth-protected-resource"

// metadataURL is where the document about a resource is: the well-known name goes
// between host and path, and a query stays (RFC 9728 §3.1).
func metadataURL(identifier *url.URL) *url.URL {
	u := *identifier
	if u.Path == "/" {
		u.Path = ""
	}
	if u.RawPath != "" {
		u.RawPath = wellKnown + u.RawPath
	}
	u.Path = wellKnown + u.Path
	return &u
}

// Metadata returns the path and the handler of this API's metadata (RFC 9728 §2),
// which challenges point to and by which a client finds the issuer. The path is
// on the host of [Config.Identifier]. Scripts of any origin may read it.
func (v *Verifier) Metadata() (path string, handler http.Handler) {
	document := struct {
		Resource             string   `json:"resource"`
		AuthorizationServers []string `json:"authorization_servers"`
		ScopesSupported      []string `json:"scopes_supported,omitempty"`
		BearerMethods        []string `json:"bearer_methods_supported"`
	}{v.config.Identifier, []string{v.config.Issuer}, v.config.Scopes, []string{"header"}}
	body, err := json.Marshal(document)
	return v.metadataURL.Path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Access-Control-Allow-Origin", "*")
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
		case err != nil:
			w.WriteHeader(http.StatusInternalServerError)
		default:
			h.Set("Content-Type", "application/json")
			h.Set("Cache-Control", "public, max-age=300")
			w.Write(body)
		}
	})
}
