package lockspire

import (
	"context"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// A signed introspection answer (RFC 9701 §5). Its typ keeps it from being
// taken for an access token, and so does that sub and exp are only in the object
// about the token (§8.1).
const (
	mediaIntrospection = "application/token-introspection+jwt"
	typIntrospection   = "token-introspection+jwt"
)

// wantsSigned reports whether the caller asks for a signed answer: Accept names
// its media type, and does not like JSON better (RFC 9110 §12.5.1).
func wantsSigned(r *http.Request) bool {
	var signed, plain float64
	for _, part := range strings.Split(strings.Join(r.Header.Values("Accept"), ","), ",") {
		mediaType, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		weight := 1.0
		if q, given := params["q"]; given {
			if weight, err = strconv.ParseFloat(q, 64); err != nil {
				continue
			}
		}
		switch mediaType {
		case mediaIntrospection:
			signed = max(signed, weight)
		case "application/json":
			plain = max(plain, weight)
		}
	}
	return signed > 0 && signed >= plain
}

// signIntrospection is answer as a JWT that only client should believe.
func (p *Provider) signIntrospection(ctx context.Context, client Client, answer introspection) (string, error) {
	if err := p.keys.settle(ctx); err != nil {
		return "", err
	}
	return p.keys.sign(client.IntrospectionAlg, typIntrospection, map[string]any{
		"iss":                 p.config.Issuer,
		"aud":                 client.ID,
		"iat":                 p.now().Unix(),
		"token_introspection": answer,
	})
}
