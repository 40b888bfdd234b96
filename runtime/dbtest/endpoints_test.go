package dbtest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// What /token refuses of a request's form and of its client, the other two endpoints that clients sign in to refuse too.
func TestA63AndA64AndA66ToA69RevokeAndIntrospectRefuseLikeToken(t *testing.T) {
	onEngines(t, func(t *testing.T, h *host) {
		partner := h.newApp()
		inBody := h.newApp(func(n *lockspire.NewClient) { n.AuthMethod = lockspire.AuthClientSecretPost })
		open, disabled := h.newApp(public), h.newApp()
		if err := h.provider.Clients().Disable(t.Context(), disabled.ID); err != nil {
			t.Fatal(err)
		}
		held := partner.redeem(partner.code("scope", "openid offline_access"))
		for _, endpoint := range []string{"/revoke", "/introspect"} {
			post := func(query string, header http.Header, pairs ...string) tokens {
				form := url.Values{"token": {held.Refresh}}
				for i := 0; i < len(pairs); i += 2 {
					form.Add(pairs[i], pairs[i+1])
				}
				if header == nil {
					header = http.Header{}
				}
				if _, set := header["Content-Type"]; !set {
					header.Set("Content-Type", "application/x-www-form-urlencoded")
				}
				return h.postForm(endpoint+query, form.Encode(), header)
			}
			own := func(contentType ...string) http.Header {
				header := basic(partner.ID, partner.secret)
				header["Content-Type"] = contentType
				return header
			}
			for _, contentType := range []string{"application/json", "multipart/form-data; boundary=x", "text/plain"} {
				wantToken(t, endpoint+" A63 "+contentType, post("", own(contentType)), 400, "invalid_request")
			}
			wantToken(t, endpoint+" A63 no content type", post("", own()), 400, "invalid_request")
			packed := own("application/x-www-form-urlencoded")
			packed.Set("Content-Encoding", "gzip")
			wantToken(t, endpoint+" A63 gzip", post("", packed), 415, "invalid_request")
			for _, query := range []string{"?token=" + held.Refresh, "?client_secret=x", "?client_id=" + partner.ID, "?client_assertion=%zz"} {
				wantToken(t, endpoint+" A64 "+query, post(query, basic(partner.ID, partner.secret)), 400, "invalid_request")
			}

			bodies := map[string]bool{}
			for name, got := range map[string]tokens{
				"A66 unknown client":     post("", basic("client_nobody", "x")),
				"A66 wrong secret":       post("", basic(partner.ID, "x")),
				"A66 disabled client":    post("", basic(disabled.ID, disabled.secret)),
				"A68 sent in the body":   post("", nil, "client_id", partner.ID, "client_secret", partner.secret),
				"A68 sent in the header": post("", basic(inBody.ID, inBody.secret)),
				"A68 public, a secret":   post("", nil, "client_id", open.ID, "client_secret", "x"),
				"A68 no secret":          post("", nil, "client_id", partner.ID),
				"A69 bad escape":         post("", basic(partner.ID, "%zz")),
				"nobody":                 post("", nil),
			} {
				wantToken(t, endpoint+" "+name, got, 401, "invalid_client")
				bodies[got.raw] = true
			}
			if len(bodies) != 1 {
				t.Errorf("%s A66 the answers differ: %v", endpoint, bodies)
			}
			wantToken(t, endpoint+" A67 header and body", post("", basic(partner.ID, partner.secret), "client_secret", partner.secret), 400, "invalid_request")
			wantToken(t, endpoint+" A67 two client ids", post("", basic(partner.ID, partner.secret), "client_id", inBody.ID), 400, "invalid_request")
			if got := post("", basic(inBody.ID, "x")); strings.Contains(got.raw, "active") {
				t.Errorf("%s: a stranger reads %s", endpoint, got.raw)
			}
		}
		if got := partner.token("grant_type", "refresh_token", "refresh_token", held.Refresh); got.status != http.StatusOK {
			t.Errorf("a refused revocation ended the token: %s", got.raw)
		}
		if strings.Contains(h.logs.String(), held.Refresh) {
			t.Error("A64 the token is in the log")
		}
	})
}
