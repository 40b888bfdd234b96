package lockspire

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
)

// A host's middleware may have parsed the form under a limit of its own, 10 MiB
// unless it says otherwise.
func TestA25BodyLimitHoldsForFormsThatAreParsedAlready(t *testing.T) {
	for _, c := range []struct {
		size   int
		refuse bool
	}{{maxBodyBytes, false}, {maxBodyBytes + 1, true}} {
		// Spaces and the like are escaped when encoded again; what counts is
		// what came.
		body := "code=" + strings.Repeat("!", c.size-len("code="))
		r := httptest.NewRequest("POST", "/token", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if err := r.ParseForm(); err != nil {
			t.Fatal(err)
		}
		form, err := readForm(withInfo(r, &requestInfo{}))
		if errors.Is(err, errBodyTooLarge) != c.refuse || !c.refuse && len(form.get("code")) != c.size-len("code=") {
			t.Errorf("%d bytes: %v", c.size, err)
		}
	}
}
