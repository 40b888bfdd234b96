package lockspire

import (
	"net/url"
	"slices"
	"strings"
)

var errInvalidTarget = &oauthError{code: "invalid_target", description: "The resource is unknown, or not allowed here."}

// resourceKey is how two resource identifiers are compared: scheme and host
// without case, an empty path as "/", all else byte for byte (RFC 3986 §6.2.2,
// and no further, since what follows the path is the resource's own). It
// reports false for what is no absolute URL without fragment (RFC 8707 §2).
func resourceKey(identifier string) (string, bool) {
	if strings.Contains(identifier, "#") || len(identifier) > maxRedirectURI {
		return "", false
	}
	u, err := url.Parse(identifier)
	if err != nil || u.Scheme == "" || u.User != nil {
		return "", false
	}
	if u.Opaque != "" {
		return identifier, true
	}
	if u.Host == "" {
		return "", false
	}
	// What url.Parse took as scheme and host is cut off by bytes, so that
	// nothing in the rest is decoded or rewritten.
	_, afterScheme, _ := strings.Cut(identifier, "://")
	rest := afterScheme
	if end := strings.IndexAny(afterScheme, "/?"); end >= 0 {
		rest = afterScheme[end:]
	} else {
		rest = ""
	}
	if rest == "" || rest[0] == '?' {
		rest = "/" + rest
	}
	return strings.ToLower(u.Scheme) + "://" + strings.ToLower(u.Host) + rest, true
}

// sameResource reports whether two identifiers name one resource.
func sameResource(a, b string) bool {
	keyA, okA := resourceKey(a)
	keyB, okB := resourceKey(b)
	return okA && okB && keyA == keyB
}

// clientResources are the configured identifiers that client may ask for, in
// the order of Config.Resources.
func (p *Provider) clientResources(client Client) []string {
	var identifiers []string
	for _, resource := range p.config.Resources {
		if len(client.Resources) == 0 || slices.Contains(client.Resources, resource.Identifier) {
			identifiers = append(identifiers, resource.Identifier)
		}
	}
	return identifiers
}

// matchResources turns resource parameters into the spelling of allowed, or
// refuses with invalid_target.
func matchResources(requested, allowed []string) ([]string, error) {
	var matched []string
	for _, raw := range requested {
		key, ok := resourceKey(raw)
		if !ok {
			return nil, errInvalidTarget
		}
		i := slices.IndexFunc(allowed, func(identifier string) bool {
			have, _ := resourceKey(identifier)
			return have == key
		})
		if i < 0 {
			return nil, errInvalidTarget
		}
		if !slices.Contains(matched, allowed[i]) {
			matched = append(matched, allowed[i])
		}
	}
	return matched, nil
}

// requestedResources turns the resource parameters of an authorization request
// into the resources to ask the user for. None named means the default one.
func (p *Provider) requestedResources(client Client, requested []string) (resources []string, named bool, err error) {
	allowed := p.clientResources(client)
	if len(requested) > 0 {
		resources, err = matchResources(requested, allowed)
		return resources, true, err
	}
	if len(allowed) == 0 {
		return nil, false, errInvalidTarget
	}
	return allowed[:1], false, nil
}

// audience is the aud claim of an access token under a family. A resource
// named at the token endpoint, or one of them named at authorization, is the
// only audience; where the client named none, its token for the default
// resource is also good for the issuer's own userinfo endpoint. A client that
// named one gets a token for userinfo by naming the issuer: openid stands for
// that access (OIDC Core §5.3), and one token is for one resource (RFC 8707
// §2.2).
func (p *Provider) audience(f family, requested []string, scopes []string) ([]string, error) {
	if len(requested) > 0 {
		allowed := f.resources
		if slices.Contains(scopes, scopeOpenID) {
			allowed = union(allowed, []string{p.config.Issuer})
		}
		matched, err := matchResources(requested, allowed)
		if err != nil {
			return nil, err
		}
		if len(matched) > 1 {
			return nil, &oauthError{code: "invalid_target", description: "An access token is for one resource; name one."}
		}
		return matched, nil
	}
	if len(f.resources) > 1 {
		return nil, &oauthError{code: "invalid_target", description: "Several resources were approved; name one."}
	}
	if f.resourceNamed || !slices.Contains(scopes, scopeOpenID) {
		return f.resources, nil
	}
	return union(f.resources, []string{p.config.Issuer}), nil
}
