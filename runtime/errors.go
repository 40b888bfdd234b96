package lockspire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
)

// oauthError is every refusal and fault that a client or a person is told
// about. Its texts are fixed: nothing of the request is repeated in them.
type oauthError struct {
	// code is the registered error code (RFC 6749 §4.1.2.1, §5.2).
	code string
	// status is the HTTP status where the answer is no redirect. Zero is 400.
	status int
	// description is one sentence for the developer or the person.
	description string
	// redirect is where a browser may be sent with the error. It is set only
	// once client and redirect URI are proven; nil means an error page.
	redirect *redirectTarget
	// basic asks for a WWW-Authenticate: Basic challenge.
	basic bool
	// cause goes to the log and nowhere else.
	cause error
}

func (e *oauthError) Error() string {
	if e.cause != nil {
		return e.code + ": " + e.description + " (" + e.cause.Error() + ")"
	}
	return e.code + ": " + e.description
}

func (e *oauthError) Unwrap() error { return e.cause }

// to returns a copy of e that may go to target.
func (e *oauthError) to(target *redirectTarget) *oauthError {
	moved := *e
	moved.redirect = target
	return &moved
}

func badRequest(description string) *oauthError {
	return &oauthError{code: "invalid_request", description: description}
}

func invalidGrant(description string) *oauthError {
	return &oauthError{code: "invalid_grant", description: description}
}

// hostFault marks an error of a host callback that is none of the sentinel
// errors: the host could not tell, so nothing may be concluded from it.
func hostFault(err error) error {
	return fmt.Errorf("%w: account resolver: %w", errUnavailable, err)
}

// asOAuthError turns any error into what is answered. Faults of storage and
// host are 503, so that a client tries again instead of throwing its tokens
// away; what is left is a bug and a 500.
func asOAuthError(err error) *oauthError {
	var refusal *oauthError
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.Is(err, errUnavailable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &oauthError{code: "temporarily_unavailable", status: http.StatusServiceUnavailable,
			description: "The server cannot answer right now. Try again in a moment.", cause: err}
	}
	return &oauthError{code: "server_error", status: http.StatusInternalServerError,
		description: "The server met an unexpected condition.", cause: err}
}

// errorForm is how an endpoint answers a refusal.
type errorForm int

const (
	// asJSON is RFC 6749 §5.2.
	asJSON errorForm = iota
	// asPage is an error page, or 303 to the client once its redirect URI is
	// proven. Only GET /authorize may redirect.
	asPage
	// asLeavePage is as asPage with the leave page in place of the 303.
	asLeavePage
)

// fail is the one place that answers a refusal or fault, and logs it.
func (p *Provider) fail(w http.ResponseWriter, r *http.Request, err error, form errorForm) {
	e := *asOAuthError(err)
	if e.status == 0 {
		e.status = http.StatusBadRequest
	}
	p.logRefusal(r, &e)
	switch e.status {
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", strconv.Itoa(int(limitWindow.Seconds())))
	}
	switch {
	case form == asJSON:
		p.failJSON(w, &e)
	case e.redirect == nil || e.status >= 500:
		p.errorPage(w, r, &e)
	default:
		p.respond(w, e.redirect, form, "error", e.code, "error_description", e.description)
	}
}

// writeJSONError answers a machine endpoint's refusal or fault.
func (p *Provider) writeJSONError(w http.ResponseWriter, r *http.Request, err error) {
	p.fail(w, r, err, asJSON)
}

func (p *Provider) failJSON(w http.ResponseWriter, e *oauthError) {
	if e.basic {
		w.Header().Set("WWW-Authenticate", `Basic realm="lockspire", charset="UTF-8"`)
	}
	body := map[string]string{"error": e.code}
	if e.description != "" {
		body["error_description"] = e.description
	}
	writeJSON(w, e.status, body)
}

// writeJSON answers with body, never to be stored (RFC 6749 §5.1).
func writeJSON(w http.ResponseWriter, status int, body any) {
	encoded, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("Pragma", "no-cache")
	w.WriteHeader(status)
	w.Write(encoded)
}

// logRefusal writes one line. Everything in it is ours or was looked up: no
// path, since an interaction id may be in it, and no parameter.
func (p *Provider) logRefusal(r *http.Request, e *oauthError) {
	info := infoOf(r)
	attrs := []slog.Attr{
		slog.String("request_id", info.id),
		slog.String("endpoint", info.endpoint),
		slog.String("error", e.code),
		slog.String("description", e.description),
		slog.Int("status", e.status),
	}
	level, message := slog.LevelInfo, "lockspire: request refused"
	if info.clientID != "" {
		attrs = append(attrs, slog.String("client_id", info.clientID))
	}
	if e.cause != nil {
		attrs = append(attrs, slog.String("cause", redactedCause(r, e.cause)))
	}
	switch {
	case errors.Is(e.cause, ErrNotWired):
		level, message = slog.LevelError, "lockspire: the account resolver is still the generated stub; fill in account_resolver.go (lockspire verify names the methods)"
	case errors.Is(e.cause, context.Canceled):
		message = "lockspire: request abandoned by the client"
	case e.status >= 500:
		level, message = slog.LevelError, "lockspire: request failed"
	}
	p.config.Logger.LogAttrs(r.Context(), level, message, attrs...)
}
