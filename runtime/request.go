package lockspire

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds on what a request may carry; nothing beyond them is read.
const (
	maxQueryBytes = 16 << 10
	maxBodyBytes  = 64 << 10
)

// requestInfo travels in the request's context. One goroutine writes it.
type requestInfo struct {
	// id is what a person can quote and an operator can find in the log.
	id string
	// endpoint is the route's name, for the log.
	endpoint string
	// clientID is set once the client was found.
	clientID string
	// arrived is when the request came in. Replay rules measure from it, so
	// that a request which waited in a queue is not taken for a late one.
	arrived time.Time
	// form is the parsed body of a form endpoint.
	form params
}

type requestInfoKey struct{}

func withInfo(r *http.Request, info *requestInfo) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), requestInfoKey{}, info))
}

func infoOf(r *http.Request) *requestInfo {
	if info, ok := r.Context().Value(requestInfoKey{}).(*requestInfo); ok {
		return info
	}
	return &requestInfo{}
}

// params are the decoded parameters of a query or a form body. An empty value
// counts as absent (RFC 6749 §3.1).
type params struct {
	values map[string][]string
	// malformed names parameters with a bad %-escape, invalid UTF-8 or a
	// control byte. Their values are never used.
	malformed map[string]bool
}

// parseParams reads application/x-www-form-urlencoded data. It never fails:
// what is wrong with a parameter is known by the parameter's name, since
// whether a refusal may be redirected depends on which one it is.
func parseParams(raw string) params {
	p := params{values: map[string][]string{}, malformed: map[string]bool{}}
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil || !clean(name) {
			p.malformed[""] = true
			continue
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil || !clean(value) {
			p.malformed[name] = true
			continue
		}
		p.values[name] = append(p.values[name], value)
	}
	return p
}

// clean reports whether s is valid UTF-8 without control bytes: PostgreSQL
// refuses NUL and broken UTF-8 in text, and headers and logs the rest.
func clean(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}

// with returns p with the parameters of other added: a name in both is given
// twice.
func (p params) with(other params) params {
	both := params{values: map[string][]string{}, malformed: map[string]bool{}}
	for _, from := range []params{p, other} {
		for name, values := range from.values {
			both.values[name] = append(both.values[name], values...)
		}
		for name := range from.malformed {
			both.malformed[name] = true
		}
	}
	return both
}

// get returns the one value of name, or "" when it is absent. Callers have
// refused repeated parameters before.
func (p params) get(name string) string {
	if values := p.values[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// all returns the non-empty values of name.
func (p params) all(name string) []string {
	var values []string
	for _, value := range p.values[name] {
		if value != "" {
			values = append(values, value)
		}
	}
	return values
}

// usable reports whether name is well formed and given at most once.
func (p params) usable(name string) bool {
	return !p.malformed[name] && len(p.values[name]) <= 1
}

// check refuses malformed parameters and repetition of the single-valued ones
// (RFC 6749 §3.1, §3.2).
func (p params) check(single ...string) error {
	if len(p.malformed) > 0 {
		return badRequest("A parameter is malformed.")
	}
	for _, name := range single {
		if len(p.values[name]) > 1 {
			return badRequest("A parameter is repeated.")
		}
	}
	return nil
}

// readForm parses a form body and keeps it in the request's info, and in
// r.PostForm for handlers that look there. Multipart, JSON and compressed
// bodies are refused unread.
func readForm(r *http.Request) (params, error) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return params{}, badRequest("The body must be application/x-www-form-urlencoded.")
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return params{}, &oauthError{code: "invalid_request", status: http.StatusUnsupportedMediaType, description: "The body must not be compressed."}
	}
	if r.PostForm != nil {
		// The host's middleware, a CSRF library say, has read the body, under
		// whatever limit it has.
		if formBytes(r.PostForm) > maxBodyBytes {
			return params{}, errBodyTooLarge
		}
		form := parseParams(r.PostForm.Encode())
		infoOf(r).form = form
		return form, nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return params{}, errBodyTooLarge
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return params{}, &oauthError{code: "invalid_request", status: http.StatusRequestTimeout, description: "The body took too long to arrive."}
		}
		return params{}, &oauthError{code: "invalid_request", description: "The body could not be read.", cause: err}
	}
	form := parseParams(string(body))
	r.PostForm = url.Values(form.values)
	infoOf(r).form = form
	return form, nil
}

// formBytes is the least that a body with these values took on the wire.
func formBytes(form url.Values) int {
	total := 0
	for name, values := range form {
		for _, value := range values {
			total += len(name) + len("=") + len(value) + len("&")
		}
	}
	return total - len("&")
}

var errBodyTooLarge = &oauthError{code: "invalid_request", status: http.StatusRequestEntityTooLarge, description: "The body is too large."}

// formOf returns the form that readForm parsed.
func formOf(r *http.Request) params { return infoOf(r).form }
