// Package bearer is the resource server's half of RFC 6750: where a token may be
// in a request, what an API demands of it, and the challenge when it is not good
// enough. It is shared by Provider.Protect and package resource.
package bearer

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// ErrNoToken says that the request presents no token.
var ErrNoToken = errors.New("no access token")

// RequestError is a request that presents a token in a way that is not
// accepted (RFC 6750 §3.1 invalid_request).
type RequestError string

func (e RequestError) Error() string { return string(e) }

// Token reads the one place where a token may be: the Authorization
// header (RFC 6750 §2.1). A token in a URL ends up in logs and histories, so
// one there is refused even beside a good header (RFC 9700 §4.3.2).
func Token(r *http.Request) (string, error) {
	if query, _ := url.ParseQuery(r.URL.RawQuery); query.Has("access_token") {
		return "", RequestError("the access token must be in the Authorization header, not in the query")
	}
	if formHasToken(r) {
		return "", RequestError("the access token must be in the Authorization header, not in the body")
	}
	headers := r.Header.Values("Authorization")
	if len(headers) > 1 {
		return "", RequestError("more than one Authorization header")
	}
	if len(headers) == 0 {
		return "", ErrNoToken
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", ErrNoToken
	}
	token = strings.Trim(token, " ")
	if token == "" || strings.IndexFunc(token, notToken68) >= 0 {
		return "", RequestError("the Authorization header is malformed")
	}
	return token, nil
}

// notToken68 reports characters that RFC 6750 §2.1 does not allow in a token.
func notToken68(c rune) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return false
	}
	return !strings.ContainsRune("-._~+/=", c)
}

// maxFormPeek bounds how much of a form is searched for a token.
const maxFormPeek = 64 << 10

// formHasToken looks for access_token in the beginning of a form body, and
// leaves the body as it was for the handler.
func formHasToken(r *http.Request) bool {
	if r.Body == nil || r.Body == http.NoBody {
		return false
	}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return false
	}
	if r.PostForm != nil {
		return r.PostForm.Has("access_token")
	}
	head, err := io.ReadAll(io.LimitReader(r.Body, maxFormPeek))
	rest := io.Reader(r.Body)
	if err != nil {
		rest = failedReader{err}
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), rest), r.Body}
	values, _ := url.ParseQuery(string(head))
	return values.Has("access_token")
}

// failedReader repeats a read error, so that the handler sees it too.
type failedReader struct{ err error }

func (f failedReader) Read([]byte) (int, error) { return 0, f.err }
