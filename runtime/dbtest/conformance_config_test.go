package dbtest

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

// registeredMetadata are members of the IANA registry "OAuth Authorization
// Server Metadata", and of OpenID Connect Discovery and its companions, that
// this server has a use for. The suite warns about members it does not know.
var registeredMetadata = []string{
	"issuer", "authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri",
	"revocation_endpoint", "introspection_endpoint", "registration_endpoint", "end_session_endpoint",
	"device_authorization_endpoint", "pushed_authorization_request_endpoint", "require_pushed_authorization_requests",
	"scopes_supported", "response_types_supported", "response_modes_supported", "grant_types_supported",
	"acr_values_supported", "subject_types_supported", "id_token_signing_alg_values_supported",
	"token_endpoint_auth_methods_supported", "token_endpoint_auth_signing_alg_values_supported",
	"revocation_endpoint_auth_methods_supported", "revocation_endpoint_auth_signing_alg_values_supported",
	"introspection_endpoint_auth_methods_supported", "introspection_signing_alg_values_supported", "introspection_endpoint_auth_signing_alg_values_supported",
	"code_challenge_methods_supported", "claim_types_supported", "claims_supported", "prompt_values_supported",
	"authorization_response_iss_parameter_supported", "claims_parameter_supported", "request_parameter_supported",
	"request_uri_parameter_supported", "require_request_uri_registration", "protected_resources",
	"dpop_signing_alg_values_supported", "client_id_metadata_document_supported",
	"backchannel_logout_supported", "backchannel_logout_session_supported",
	"frontchannel_logout_supported", "frontchannel_logout_session_supported",
}

func TestConformanceConfigDiscovery(t *testing.T) {
	t.Parallel()
	want := listedModule(t)
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			c := converse(t, conformanceHost(t, engine), "query")
			document := c.metadata()
			c.checkIssuer(document)
			c.checkOffers(document)
			c.checkEndpoints(document)
			c.checkKeySet(c.document(document["jwks_uri"].(string)))
			if c.verdict != want.verdict {
				t.Errorf("%s %s, but is listed as %s", want.name, c.verdict, want.verdict)
			}
		})
	}
}

func (c *conversation) checkIssuer(document map[string]any) {
	c.Helper()
	issuer, _ := document["issuer"].(string)
	u, err := url.Parse(issuer)
	if issuer != c.h.issuer || err != nil || u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		c.Errorf("issuer is %v", document["issuer"])
	}
}

// checkOffers: what must be offered is (OIDC Discovery §3), and each list is a
// list of words.
func (c *conversation) checkOffers(document map[string]any) {
	c.Helper()
	for name, needed := range map[string][]string{
		"response_types_supported":              {"code"},
		"subject_types_supported":               {},
		"id_token_signing_alg_values_supported": {"RS256"},
		"grant_types_supported":                 {"authorization_code"},
		"scopes_supported":                      {"openid"},
		"claims_supported":                      {},
		"code_challenge_methods_supported":      {},
		"token_endpoint_auth_methods_supported": {"client_secret_basic", "client_secret_post"},
	} {
		list, ok := document[name].([]any)
		if !ok || len(list) == 0 {
			c.Errorf("%s is %v", name, document[name])
		}
		for _, word := range needed {
			if !slices.Contains(list, any(word)) {
				c.Errorf("%s lacks %s: %v", name, word, list)
			}
		}
		for _, word := range list {
			if text, ok := word.(string); !ok || text == "" || strings.ContainsAny(text, " \"\\") {
				c.Errorf("%s has %v", name, word)
			}
		}
	}
	for _, name := range []string{"request_parameter_supported", "request_uri_parameter_supported", "claims_parameter_supported"} {
		if _, ok := document[name].(bool); !ok {
			c.Errorf("%s is %v", name, document[name])
		}
	}
	for name := range document {
		if !slices.Contains(registeredMetadata, name) {
			c.Logf("%s is not a registered member", name)
			c.note(warning)
		}
	}
}

func (c *conversation) checkEndpoints(document map[string]any) {
	c.Helper()
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"} {
		if document[name] == nil {
			c.Errorf("there is no %s", name)
		}
	}
	for name, value := range document {
		if text, _ := value.(string); strings.HasSuffix(name, "_endpoint") || name == "jwks_uri" {
			if u, err := url.Parse(text); err != nil || u.Scheme != "https" || u.Host == "" {
				c.Errorf("%s is %v", name, value)
			}
		}
	}
}

// checkKeySet: public keys with names of their own (RFC 7517 §4.5, OIDC Core
// §10.1).
func (c *conversation) checkKeySet(set map[string]any) {
	c.Helper()
	keys, _ := set["keys"].([]any)
	names := map[any]bool{}
	for _, one := range keys {
		key := one.(map[string]any)
		for _, secret := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if key[secret] != nil {
				c.Errorf("the key %v has %s", key["kid"], secret)
			}
		}
		if kid, _ := key["kid"].(string); kid == "" || names[kid] || key["use"] != "sig" {
			c.Errorf("key %v with use %v", key["kid"], key["use"])
		}
		names[key["kid"]] = true
	}
	if len(keys) == 0 {
		c.Error("the key set is empty")
	}
}
