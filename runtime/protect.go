package lockspire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/lockspire/lockspire/runtime/internal/bearer"
)

// protection is what one use of Protect demands.
type protection struct {
	bearer.Demands
	resource string
	// userinfo is true for that endpoint alone, which is no resource: a token
	// for it names the issuer, and a user stands behind it.
	userinfo bool
	// checkAccount asks the host about the user on each request.
	checkAccount bool
}

// protect resolves the options once, when the host builds its routes.
func (p *Provider) protect(options ...ProtectOption) func(http.Handler) http.Handler {
	demands := protection{resource: p.config.Resources[0].Identifier}
	for _, option := range options {
		option(&demands)
	}
	known := p.knownScopes()
	for _, scope := range demands.Scopes {
		if !known[scope] {
			panic(fmt.Sprintf("lockspire: RequireScope(%q): Config.Scopes does not declare that scope", scope))
		}
	}
	if !p.declaresResource(demands.resource) {
		panic(fmt.Sprintf("lockspire: ForResource(%q): Config.Resources does not declare that resource", demands.resource))
	}
	demands.MetadataURL = resourceMetadataURL(p.config.Issuer, demands.resource)

	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// A preflight carries no token and reaches no data (Fetch §3.3).
			if r.Method == http.MethodOptions {
				next.ServeHTTP(w, r)
				return
			}
			token, ok := p.authorizeBearer(w, r, demands)
			if !ok {
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tokenKey{}, token)))
		})
	}
}

func (p *Provider) knownScopes() map[string]bool {
	known := map[string]bool{"openid": true, "offline_access": true}
	for _, scope := range p.config.Scopes {
		known[scope.Name] = true
	}
	return known
}

func (p *Provider) declaresResource(identifier string) bool {
	for _, resource := range p.config.Resources {
		if resource.Identifier == identifier {
			return true
		}
	}
	return false
}

// authorizeBearer returns the request's verified token, or answers the request
// itself.
func (p *Provider) authorizeBearer(w http.ResponseWriter, r *http.Request, demands protection) (*AccessToken, bool) {
	raw, err := bearer.Token(r)
	if err != nil {
		p.challenge(w, r, demands, err)
		return nil, false
	}
	ctx, cancel := p.bounded(r.Context())
	defer cancel()
	token, err := p.admit(ctx, raw, demands)
	if err != nil {
		p.challenge(w, r, demands, err)
		return nil, false
	}
	if demands.checkAccount && !token.ClientOnly {
		if _, err := p.accountBySubject(ctx, token.Subject); err != nil {
			p.challenge(w, r, demands, err)
			return nil, false
		}
	}
	return token, true
}

// challenge answers a request that is not admitted.
func (p *Provider) challenge(w http.ResponseWriter, r *http.Request, demands protection, reason error) {
	refusal, ok := demands.Refuse(reason)
	if errors.Is(reason, ErrAccountGone) {
		refusal, ok = demands.Refuse(bearer.ErrGone)
	}
	if !ok {
		p.writeJSONError(w, r, reason)
		return
	}
	p.config.Logger.LogAttrs(r.Context(), slog.LevelInfo, "lockspire: request not admitted",
		slog.String("request_id", infoOf(r).id), slog.Int("status", refusal.Status),
		slog.String("error", refusal.Code), slog.String("reason", oneLine(reason.Error())))
	refusal.Write(w, r.Method)
}
