package lockspire

import (
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

const (
	// minRedacted is the shortest value that is taken out of a text: shorter
	// ones are no secrets, and are parts of words.
	minRedacted = 8
	// maxCause bounds how much of an error's text is logged.
	maxCause = 2 << 10
)

// redactedCause is the text of err for the log. Errors of the host and of
// drivers quote what they were given, so everything that the request carried is
// taken out of it: parameters, headers, cookies, credentials and path. The id of
// a client that was found stays.
func redactedCause(r *http.Request, err error) string {
	return oneLine(redact(err.Error(), carried(r)))
}

// oneLine spells what could begin a line of the log, or colour a terminal that
// shows it, as an escape (CWE-117): slog's own handlers do so too, but a host's
// handler may not. What is too long is cut.
func oneLine(text string) string {
	var b strings.Builder
	for _, c := range text {
		if b.Len() >= maxCause {
			b.WriteRune('…')
			break
		}
		if unicode.IsPrint(c) {
			b.WriteRune(c)
		} else {
			quoted := strconv.QuoteRune(c)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

// carried lists the values of a request.
func carried(r *http.Request) []string {
	info := infoOf(r)
	values := []string{r.URL.RawQuery, r.URL.RequestURI()}
	for _, from := range []params{parseParams(r.URL.RawQuery), info.form} {
		for _, given := range from.values {
			values = append(values, given...)
		}
	}
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		_, value, _ := strings.Cut(pair, "=")
		values = append(values, value)
	}
	for _, given := range r.Header {
		values = append(values, given...)
	}
	for _, cookie := range r.Cookies() {
		values = append(values, cookie.Value)
	}
	for _, header := range r.Header.Values("Authorization") {
		_, credentials, _ := strings.Cut(header, " ")
		id, secret, _ := parseBasic(header)
		values = append(values, credentials, strings.TrimRight(credentials, "="), id, secret)
	}
	// An interaction is found by its path.
	for segment := range strings.SplitSeq(r.URL.Path, "/") {
		if tokenShaped(segment) {
			values = append(values, segment)
		}
	}
	return slices.DeleteFunc(values, func(value string) bool { return value == info.clientID })
}

// redact takes values out of text, in every spelling that a text has them in.
func redact(text string, values []string) string {
	var spelled []string
	for _, value := range values {
		if len(value) >= minRedacted {
			spelled = append(spelled, spellings(value)...)
		}
	}
	// The longest first: a value may be part of another.
	slices.SortFunc(spelled, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, s := range slices.Compact(spelled) {
		pairs = append(pairs, s, "[redacted]")
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// spellings are the ways in which a value is written in texts.
func spellings(value string) []string {
	quoted := strconv.Quote(value)
	encoded, _ := json.Marshal(value)
	inHex := hex.EncodeToString([]byte(value))
	return []string{
		value, url.QueryEscape(value), url.PathEscape(value),
		quoted[1 : len(quoted)-1], string(encoded[1 : len(encoded)-1]),
		inHex, strings.ToUpper(inHex),
		base64.RawStdEncoding.EncodeToString([]byte(value)), base64.RawURLEncoding.EncodeToString([]byte(value)),
	}
}

// redactedError is an error whose text had values taken out.
type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.err }

// redactArgs takes a statement's parameters out of the text of its error, which
// some drivers quote: stored requests hold state and nonce.
func redactArgs(err error, args []any) error {
	if err == nil {
		return nil
	}
	var values []string
	for _, arg := range args {
		switch value := arg.(type) {
		case string:
			values = append(values, textsIn(value)...)
		case sql.NullString:
			values = append(values, textsIn(value.String)...)
		case []byte:
			values = append(values, string(value))
		}
	}
	text := err.Error()
	if clean := redact(text, values); clean != text {
		return &redactedError{text: clean, err: err}
	}
	return err
}

// textsIn are a parameter and, where it is JSON, each string in it: a driver may
// quote it in parts, or spelled in another way.
func textsIn(parameter string) []string {
	texts := []string{parameter}
	if parameter == "" || parameter[0] != '{' && parameter[0] != '[' {
		return texts
	}
	decoder := json.NewDecoder(strings.NewReader(parameter))
	for {
		token, err := decoder.Token()
		if err != nil {
			return texts
		}
		if text, ok := token.(string); ok {
			texts = append(texts, text)
		}
	}
}
