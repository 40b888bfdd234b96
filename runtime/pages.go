package lockspire

import (
	"net/http"
	"time"
)

// Pages are the host-owned pages. Each func writes one HTML response with
// status 200 (Error: page.Status). Lockspire has already set
// Content-Security-Policy, Referrer-Policy, X-Frame-Options and Cache-Control;
// a page may extend the policy through the response header before it writes.
// The forms on a page post back to page.Action; the runtime handles the POST,
// so that a page cannot approve anything by being shown.
type Pages struct {
	// Consent asks the signed-in person to approve a client. Required.
	Consent func(w http.ResponseWriter, r *http.Request, page ConsentPage)
	// AuthorizedApps lists what the signed-in person has approved, with a
	// button each to withdraw it. Required.
	AuthorizedApps func(w http.ResponseWriter, r *http.Request, page AuthorizedAppsPage)
	// Error says that a request went no further. Defaults to a plain page.
	Error func(w http.ResponseWriter, r *http.Request, page ErrorPage)
}

// Form values that the consent page and the authorized-apps page post.
const (
	// FieldToken is the hidden field that carries page.Token.
	FieldToken = "decision_token"
	// FieldDecision is the name of the submit buttons; its values are below.
	FieldDecision = "decision"
	// FieldScope repeats once per optional scope that stays ticked.
	FieldScope = "scope"
	// FieldGrant names the grant to revoke on the authorized-apps page.
	FieldGrant = "grant_id"

	DecisionApprove       = "approve"
	DecisionDeny          = "deny"
	DecisionSwitchAccount = "switch_account"
	DecisionRevoke        = "revoke"
)

// ConsentPage is what a consent page must show: who asks, as which account,
// and for what. All client texts are untrusted; html/template escapes them.
type ConsentPage struct {
	// Action is the path to post the form to, and Token the value of the
	// hidden field FieldToken.
	Action, Token string
	// Nonce allows a <style nonce="…"> element under the page's CSP.
	Nonce string
	// Client is who asks.
	Client PageClient
	// Account is who would allow it.
	Account Account
	// Scopes are what is asked for, in catalogue order; "openid" is included.
	// One that comes with another which cannot be unticked is among that one's
	// Includes instead.
	Scopes []ConsentScope
	// Claims are the names of the facts about the user that the client asks for
	// one by one, of those in [Config.Claims]. Approving allows all of them.
	Claims []string
	// Resources are the APIs the token would be good for.
	Resources []Resource
}

// PageClient describes a client on a page.
type PageClient struct {
	ID, Name string
	// URI, PolicyURI and TOSURI are https links from the registration, or "".
	URI, PolicyURI, TOSURI string
	// RedirectHost is where the person will be sent, for example
	// "partner.example" or "127.0.0.1".
	RedirectHost string
	// Loopback is true when the redirect goes to this very computer: any
	// program on it could be listening (RFC 8252 §8.6).
	Loopback bool
	// Trusted is true when an operator vouched for this client.
	Trusted bool
}

// ConsentScope is one scope on the consent page.
type ConsentScope struct {
	Scope
	// Includes are the scopes that come with this one ([Scope.Implies]). A page
	// has to show them: whoever allows this one allows them, whether or not they
	// are asked for and ticked by themselves.
	Includes []Scope
	// Granted is true when the person has allowed it to this client before, with
	// all that it includes.
	Granted bool
}

// AuthorizedAppsPage lists a person's grants.
type AuthorizedAppsPage struct {
	// Action is the path to post to, and Token the value of FieldToken.
	Action, Token string
	// Nonce allows a <style nonce="…"> element under the page's CSP.
	Nonce string
	// Account is whose grants these are.
	Account Account
	// Grants are the live grants, most recently used first.
	Grants []Grant
	// Revoked names the client that was just removed, or "".
	Revoked string
}

// Grant is what one person has allowed to one client.
type Grant struct {
	ID         string
	ClientID   string
	ClientName string
	Subject    string
	Scopes     []Scope
	Resources  []string
	CreatedAt  time.Time
	// LastUsedAt is when the grant was last used, to the hour.
	LastUsedAt time.Time
}

// ErrorPage says in fixed words why a request went no further.
type ErrorPage struct {
	// Status is the HTTP status to answer with.
	Status int
	// Title and Message are fixed texts; nothing of the request is in them.
	Title, Message string
	// ContinueURL is a proven link back to the client, or "".
	ContinueURL string
	// RequestID is the id to look for in the log.
	RequestID string
	// Nonce allows a <style nonce="…"> element under the page's CSP.
	Nonce string
}
