package dbtest

import (
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

// verdict is how a module of the OpenID Foundation's suite would end, as far
// as we can tell by its published source.
type verdict int

const (
	passed verdict = iota
	// reviewed: it passes once a person has looked at a screenshot.
	reviewed
	// warning does not stand in the way of a certification.
	warning
	// skipped: the module ends when it sees that an optional feature is absent.
	skipped
	// notRun: the plan leaves the module out for clients that an operator
	// registered. The test holds the behaviour all the same.
	notRun
)

func (v verdict) String() string {
	return [...]string{"passes", "passes; a person reviews a screenshot", "warning", "skipped", "not run for static clients"}[v]
}

// conformanceModule puts one module beside the test that is modelled on it.
type conformanceModule struct {
	// name is the module's in the suite.
	name string
	// test is the function here, without "TestConformance".
	test string
	// demands is what we read it to demand, in our words.
	demands string
	verdict verdict
	// because says why the verdict is not simply "passes".
	because string
}

// basicModules are those of oidcc-basic-certification-test-plan in its order.
// oidcc-formpost-basic-certification-test-plan has the same ones, with
// response_mode=form_post. docs/conformance.md is made from this list.
var basicModules = []conformanceModule{
	{"oidcc-server", "BasicServer", "The whole flow: `state`, code of 128 bits, token response, ID token by discovered keys, `nonce`, `at_hash`, userinfo with the same `sub`, no claim in the ID token that was not asked for.", passed, ""},
	{"oidcc-response-type-missing", "BasicResponseTypeMissing", "`invalid_request` or `unsupported_response_type` at the redirect URI.", passed, ""},
	{"oidcc-idtoken-signature", "BasicIDTokenSignature", "Without a registered algorithm the ID token is RS256 and names its `kid`.", notRun, ""},
	{"oidcc-idtoken-unsigned", "BasicIDTokenUnsigned", "`alg: none` only where discovery offers it.", notRun, "not offered, and cannot be registered"},
	{"oidcc-userinfo-get", "BasicUserinfoGet", "Userinfo by GET with a bearer header: JSON, `sub`, claims of the right types.", passed, ""},
	{"oidcc-userinfo-post-header", "BasicUserinfoPostHeader", "The same by POST.", passed, ""},
	{"oidcc-userinfo-post-body", "BasicUserinfoPostBody", "The access token in the body of a POST, where a server takes it there.", warning, "a token in a form is refused, by design (A140)"},
	{"oidcc-ensure-request-without-nonce-succeeds-for-code-flow", "BasicWithoutNonce", "No `nonce` in the request is no error, and none appears in the ID token.", passed, ""},
	{"oidcc-scope-profile", "BasicScopeProfile", "Userinfo has what `profile` stands for.", passed, "with a host that knows every claim; a missing one is a warning"},
	{"oidcc-scope-email", "BasicScopeEmail", "… what `email` stands for.", passed, "as above"},
	{"oidcc-scope-address", "BasicScopeAddress", "… what `address` stands for.", passed, "as above; skipped where the host's catalogue lacks the scope"},
	{"oidcc-scope-phone", "BasicScopePhone", "… what `phone` stands for.", passed, "as above; skipped where the host's catalogue lacks the scope"},
	{"oidcc-scope-all", "BasicScopeAll", "… what all four stand for.", passed, "as above"},
	{"oidcc-alternate-happy-flow", "BasicAlternateHappyFlow", "The order of parameters and of scopes does not matter.", passed, ""},
	{"oidcc-display-page", "BasicDisplayPage", "`display=page` is no error.", passed, ""},
	{"oidcc-display-popup", "BasicDisplayPopup", "`display=popup` is no error.", passed, ""},
	{"oidcc-prompt-login", "BasicPromptLogin", "A signed-in user signs in again, and `auth_time` is later.", reviewed, "of the second login page"},
	{"oidcc-prompt-none-not-logged-in", "BasicPromptNoneNotLoggedIn", "`login_required` at the redirect URI, with a `state` of 128 characters, and nothing shown.", passed, ""},
	{"oidcc-prompt-none-logged-in", "BasicPromptNoneLoggedIn", "A code with nothing shown; `sub` and `auth_time` as before.", passed, ""},
	{"oidcc-max-age-1", "BasicMaxAge1", "After two seconds `max_age=1` demands a new login; `auth_time` is there, later and recent.", reviewed, "of the second login page"},
	{"oidcc-max-age-10000", "BasicMaxAge10000", "`max_age=10000` demands none; `auth_time` is there and unchanged.", passed, ""},
	{"oidcc-ensure-request-with-unknown-parameter-succeeds", "BasicUnknownParameter", "`extra=foobar` is ignored.", passed, ""},
	{"oidcc-id-token-hint", "BasicIDTokenHint", "`prompt=none` with the last ID token as `id_token_hint`: a code with nothing shown, same `sub` and `auth_time`.", passed, ""},
	{"oidcc-login-hint", "BasicLoginHint", "`login_hint` is no error. Here it also reaches the host's login page.", passed, ""},
	{"oidcc-ui-locales", "BasicUILocales", "`ui_locales` is no error. Here it also reaches the host's login page.", passed, ""},
	{"oidcc-claims-locales", "BasicClaimsLocales", "`claims_locales` is no error.", passed, ""},
	{"oidcc-ensure-request-with-acr-values-succeeds", "BasicACRValues", "`acr_values=1 2` is no error, and should give one of them as `acr`.", passed, "with a host that says one of them; otherwise a warning"},
	{"oidcc-codereuse", "BasicCodeReuse", "A code sent again at once is `invalid_grant`.", passed, "within 2 s the tokens live on: a client that sends twice is no thief (A87)"},
	{"oidcc-codereuse-30seconds", "BasicCodeReuse30Seconds", "The same after 30 seconds, and the access token should stop working.", passed, "from 2 s on, every token of that code is revoked (A87)"},
	{"oidcc-ensure-registered-redirect-uri", "BasicRegisteredRedirectURI", "An error page for a redirect URI that is not registered; nothing is sent there.", reviewed, "of the error page"},
	{"oidcc-ensure-post-request-succeeds", "BasicPostRequest", "The authorization request by POST.", passed, ""},
	{"oidcc-server-client-secret-post", "BasicClientSecretPost", "The whole flow with `client_secret_post`.", passed, ""},
	{"oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported", "BasicRequestURI", "`request_uri_not_supported`, or the request behind it.", notRun, "`request_uri_not_supported`, and nothing is fetched"},
	{"oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported", "BasicRequestObject", "`request_not_supported`, or what the object says.", skipped, "`request_not_supported`"},
	{"oidcc-claims-essential", "BasicClaimsEssential", "`name` as an essential claim of userinfo is given there, and not in the ID token.", passed, "where `Config.Claims` has it; otherwise a warning"},
	{"oidcc-ensure-request-object-with-redirect-uri", "BasicRequestObjectRedirectURI", "With a bad redirect URI beside the object: an error page, or what the object says.", reviewed, "of the error page"},
	{"oidcc-refresh-token", "BasicRefreshToken", "With `offline_access` and `prompt=consent`: a refresh gives a new ID token of the same user, and the refresh token is bound to its client.", passed, ""},
	{"oidcc-ensure-request-with-valid-pkce-succeeds", "BasicPKCE", "A request with PKCE succeeds.", passed, ""},
}

// configModules are those of oidcc-config-certification-test-plan.
var configModules = []conformanceModule{
	{"oidcc-discovery-endpoint-verification", "ConfigDiscovery", "The provider metadata: issuer, https endpoints, RS256, subject and response types, `openid` among the scopes, registered members only; a key set with public keys that have distinct `kid`.", passed, ""},
}

// conforms runs one module on each engine, with the response mode of each of
// the two plans, and compares how it ended with the list.
func conforms(t *testing.T, run func(c *conversation)) {
	t.Helper()
	t.Parallel()
	want := listedModule(t)
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			h := conformanceHost(t, engine)
			for _, mode := range []string{"query", "form_post"} {
				t.Run(mode, func(t *testing.T) {
					c := converse(t, h, mode)
					run(c)
					if c.verdict != want.verdict {
						t.Errorf("%s %s, but is listed as %s", want.name, c.verdict, want.verdict)
					}
				})
			}
		})
	}
}

// converse registers a client and opens a browser that is signed out.
func converse(t *testing.T, h *host, mode string) *conversation {
	own := *h
	own.t = t
	return &conversation{T: t, h: &own, rp: newRelyingParty(&own, lockspire.AuthClientSecretBasic), b: own.newBrowser(), mode: mode}
}

// note keeps the worst that was found.
func (c *conversation) note(v verdict) { c.verdict = max(c.verdict, v) }

// listedModule is the entry of the running test.
func listedModule(t *testing.T) conformanceModule {
	t.Helper()
	for _, module := range append(basicModules, configModules...) {
		if "TestConformance"+module.test == t.Name() {
			return module
		}
	}
	t.Fatalf("%s is in no plan", t.Name())
	return conformanceModule{}
}
