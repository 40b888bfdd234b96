package lockspire

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

var schemaPattern = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// normalize returns config with its defaults filled in, or every problem in
// it at once.
func normalize(config Config) (Config, error) {
	var problems []error
	report := func(field, format string, args ...any) {
		problems = append(problems, fmt.Errorf("Config.%s: "+format, append([]any{field}, args...)...))
	}

	issuer, err := parseIssuer(config.Issuer)
	if err != nil {
		report("Issuer", "%w", err)
	}
	if config.MountPath == "" && issuer != nil {
		config.MountPath = issuer.Path
	}
	if config.MountPath == "/" {
		config.MountPath = ""
	}
	if config.MountPath != "" && !plainPath(config.MountPath) {
		report("MountPath", "%q must begin with a slash and have no trailing slash, dot segment or escape", config.MountPath)
	}
	if config.DB == nil {
		report("DB", "is required")
	}
	if config.Dialect != PostgreSQL && config.Dialect != SQLite {
		report("Dialect", "%q is not lockspire.PostgreSQL or lockspire.SQLite", config.Dialect)
	}
	if config.Schema != "" && (config.Dialect == SQLite || !schemaPattern.MatchString(config.Schema)) {
		report("Schema", "%q must match %s, and be empty on SQLite", config.Schema, schemaPattern)
	}
	if config.Accounts == nil {
		report("Accounts", "is required")
	}
	if config.Pages.Consent == nil {
		report("Pages.Consent", "is required")
	}
	if config.Pages.AuthorizedApps == nil {
		report("Pages.AuthorizedApps", "is required")
	}
	config.Scopes = normalizeScopes(config.Scopes, report)
	for i, name := range config.Claims {
		if name == "" || !clean(name) || reservedClaims[name] {
			report(fmt.Sprintf("Claims[%d]", i), "%q is empty or the protocol's own", name)
		}
		if slices.Contains(config.Claims[:i], name) {
			report(fmt.Sprintf("Claims[%d]", i), "%q is listed twice", name)
		}
	}
	config.Resources = normalizeResources(config, issuer, report)
	config.TTLs = normalizeTTLs(config.TTLs, report)
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return config, errors.Join(problems...)
}

// parseIssuer checks an issuer identifier (RFC 8414 §2). Clients compare it
// byte for byte, so a spelling that URLs built from it would not keep is
// refused.
func parseIssuer(issuer string) (*url.URL, error) {
	if issuer == "" {
		return nil, errors.New("is required")
	}
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return nil, fmt.Errorf("%q is not an absolute URL", issuer)
	}
	switch {
	case u.Scheme == "http" && !slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname()):
		return nil, fmt.Errorf("%q must be https; http is for localhost, 127.0.0.1 and [::1] only", issuer)
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("%q must be https", issuer)
	case strings.ContainsAny(issuer, "?#") || u.User != nil:
		return nil, fmt.Errorf("%q must have no query, fragment or user information", issuer)
	case u.Path != "" && !plainPath(u.Path):
		return nil, fmt.Errorf("%q must have no trailing slash, dot segment or escape in its path", issuer)
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
		return nil, fmt.Errorf("%q must leave out the default port: browsers do, and the origins would differ", issuer)
	case u.String() != issuer || u.Host != strings.ToLower(u.Host):
		return nil, fmt.Errorf("%q must be spelled as %q", issuer, strings.ToLower(u.Scheme+"://"+u.Host)+u.Path)
	}
	return u, nil
}

// plainPath reports whether s is an absolute path that no router or browser
// rewrites.
func plainPath(s string) bool {
	if len(s) < 2 || s[0] != '/' || path.Clean(s) != s {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != '/' && !unreserved(c) {
			return false
		}
	}
	return true
}

type reporter func(field, format string, args ...any)

func normalizeScopes(scopes []Scope, report reporter) []Scope {
	scopes = slices.Clone(scopes)
	seen := map[string]bool{}
	for i := range scopes {
		scope := &scopes[i]
		field := fmt.Sprintf("Scopes[%d].Name", i)
		if tokens, err := parseScope(scope.Name); err != nil || len(tokens) != 1 || tokens[0] != scope.Name {
			report(field, "%q is not one scope token (RFC 6749 §3.3)", scope.Name)
		}
		if seen[scope.Name] {
			report(field, "%q is listed twice", scope.Name)
		}
		seen[scope.Name] = true
		if scope.Title == "" {
			scope.Title = scope.Name
		}
		if scope.Name == scopeOpenID {
			// Without it there is no sign-in to consent to.
			scope.Optional = false
		}
	}
	checkHierarchy(scopes, report)
	return scopes
}

func normalizeResources(config Config, issuer *url.URL, report reporter) []Resource {
	resources := slices.Clone(config.Resources)
	if len(resources) == 0 && issuer != nil {
		resources = []Resource{{Identifier: issuer.Scheme + "://" + issuer.Host}}
	}
	seen := map[string]bool{}
	for i := range resources {
		resource := &resources[i]
		field := fmt.Sprintf("Resources[%d].", i)
		key, ok := resourceKey(resource.Identifier)
		if !ok {
			report(field+"Identifier", "%q is not an absolute URL without fragment (RFC 8707 §2)", resource.Identifier)
		}
		if seen[key] {
			report(field+"Identifier", "%q is listed twice", resource.Identifier)
		}
		seen[key] = true
		if resource.Name == "" {
			resource.Name = resource.Identifier
		}
		for _, name := range resource.Scopes {
			if !slices.ContainsFunc(config.Scopes, func(s Scope) bool { return s.Name == name }) {
				report(field+"Scopes", "%q is not in Config.Scopes", name)
			}
		}
	}
	return resources
}

func normalizeTTLs(ttls TTLs, report reporter) TTLs {
	const day = 24 * time.Hour
	bound := func(field string, value *time.Duration, fallback, least, most time.Duration) {
		if *value == 0 {
			*value = fallback
		}
		if *value < least || *value > most {
			report("TTLs."+field, "%v is not between %v and %v", *value, least, most)
		}
	}
	bound("AccessToken", &ttls.AccessToken, 10*time.Minute, time.Minute, day)
	bound("IDToken", &ttls.IDToken, 10*time.Minute, time.Minute, day)
	bound("Code", &ttls.Code, time.Minute, 10*time.Second, time.Minute)
	bound("RefreshIdle", &ttls.RefreshIdle, 30*day, time.Hour, 365*day)
	bound("RefreshAbsolute", &ttls.RefreshAbsolute, max(365*day, ttls.RefreshIdle), ttls.RefreshIdle, 5*365*day)
	bound("Interaction", &ttls.Interaction, time.Hour, 5*time.Minute, day)
	bound("Decision", &ttls.Decision, 10*time.Minute, time.Minute, time.Hour)
	bound("KeyRotation", &ttls.KeyRotation, 90*day, day, 730*day)
	bound("JWKSMaxAge", &ttls.JWKSMaxAge, 5*time.Minute, time.Minute, day)
	if ttls.RefreshReuseWindow < 0 {
		// Strict: no window. It stays negative, since zero is the default.
		ttls.RefreshReuseWindow = -1
	} else {
		bound("RefreshReuseWindow", &ttls.RefreshReuseWindow, time.Minute, 0, 5*time.Minute)
	}
	return ttls
}
