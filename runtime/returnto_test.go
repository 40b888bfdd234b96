package lockspire

import (
	"net/url"
	"strings"
	"testing"
)

func TestA13SafeReturnToStaysOnThisOrigin(t *testing.T) {
	for _, kept := range []string{
		"/", "/notes", "/lockspire/interactions/abc", "/a?next=//evil.example", "/a#//evil.example", "/a%2F%2Fevil", "/a//b", "/a/../b", "/:8080", "/@evil.example",
	} {
		if got := SafeReturnTo(kept, "/fallback"); got != kept {
			t.Errorf("%q became %q", kept, got)
		}
	}
	for _, refused := range []string{
		"", "notes", "//evil.example", "/\\evil.example", "\\/evil.example", "https:evil", "https://evil.example", "javascript:alert(1)",
		"/a\r\nSet-Cookie: x", "/\t/evil.example", "/a b", " /a", "/é", "/%zz", "/" + strings.Repeat("a", 2048),
		// Their path, resolved and used as an address once more, is //evil.example.
		"/.//evil.example", "/a/..//evil.example", "/%2e%2E//evil.example", "/..//evil.example?x",
	} {
		if got := SafeReturnTo(refused, "/fallback"); got != "/fallback" {
			t.Errorf("%q was let through as %q", refused, got)
		}
	}
}

// What is let through leads a browser to this origin, and so does its path when
// a script or a proxy resolves it and uses it once more.
func FuzzA13SafeReturnTo(f *testing.F) {
	for _, seed := range []string{"/", "//e.example", "/\\e.example", "/a/..//e.example?x#y", "https:e.example", "/\t/e.example", "/%2e//e.example", "/a?b=/..//c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, returnTo string) {
		const fallback = "<fallback>"
		got := SafeReturnTo(returnTo, fallback)
		if got == fallback {
			if ordinaryPath(returnTo) {
				t.Fatalf("the path %q was refused", returnTo)
			}
			return
		}
		if got != returnTo {
			t.Fatalf("%q became %q", returnTo, got)
		}
		path, same := browserPath(got)
		if !same {
			t.Fatalf("%q leads a browser elsewhere", got)
		}
		if _, same := browserPath(path); !same {
			t.Fatalf("the path %q of %q leads a browser elsewhere", path, got)
		}
		base, _ := url.Parse("https://app.example/login")
		if u, err := base.Parse(got); err != nil || u.Host != base.Host || u.Scheme != base.Scheme {
			t.Fatalf("%q leads to %v, %v", got, u, err)
		}
	})
}

// ordinaryPath reports whether s is a path of unreserved characters without empty
// segments.
func ordinaryPath(s string) bool {
	for i := range len(s) {
		if s[i] != '/' && !unreserved(s[i]) {
			return false
		}
	}
	return strings.HasPrefix(s, "/") && len(s) <= 2048 && !strings.Contains(s, "//")
}

// browserPath resolves a reference on https://app.example/login as browsers do
// (WHATWG URL, "basic URL parser"), written apart from SafeReturnTo. It returns
// the path, and whether the reference stays on the origin.
func browserPath(reference string) (string, bool) {
	reference = strings.TrimFunc(reference, func(r rune) bool { return r <= ' ' })
	reference = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(reference)
	if i := strings.IndexByte(reference, ':'); i > 0 && !strings.ContainsAny(reference[:i], `/\?#`) {
		return "", false
	}
	end := strings.IndexAny(reference, "?#")
	if end < 0 {
		end = len(reference)
	}
	path := strings.ReplaceAll(reference[:end], `\`, "/")
	if strings.HasPrefix(path, "//") {
		return "", false
	}
	var kept []string
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		switch strings.ReplaceAll(strings.ToLower(segment), "%2e", ".") {
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
			if last {
				kept = append(kept, "")
			}
		case ".":
			if last {
				kept = append(kept, "")
			}
		default:
			kept = append(kept, segment)
		}
	}
	return "/" + strings.Join(kept, "/"), true
}
