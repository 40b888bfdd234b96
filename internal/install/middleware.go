package install

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/templates"
)

// Middleware around the whole router is the host's and stays as it is. What it does to the provider is said here, with the
// change to make where only the host can make it.

// passedThrough lists the middleware that requests to the provider pass through: around the router, and added to it before the
// call where that order counts.
func (j *job) passedThrough() []hostrepo.Wrapper {
	var out []hostrepo.Wrapper
	for _, w := range slices.Concat(j.router.Wrappers, j.router.Uses) {
		if !j.afterTheCall(w) {
			out = append(out, w)
		}
	}
	return out
}

// afterTheCall: middleware of gin and fiber applies only to what is registered after it.
func (j *job) afterTheCall(w hostrepo.Wrapper) bool {
	ordered := j.router.Kind == hostrepo.KindGin || j.router.Kind == hostrepo.KindFiber
	in := j.router.Insert
	return ordered && w.File == in.File && w.Line >= in.Line && slices.Contains(j.router.Uses, w)
}

var (
	csrfCallee  = regexp.MustCompile(`(?i)gorilla/csrf\.|justinas/nosurf\.|gin-csrf|/middleware\.CSRF|/middleware/csrf\.|filippo\.io/csrf`)
	csrfName    = regexp.MustCompile(`(?i)csrf|nosurf`)
	loginName   = regexp.MustCompile(`(?i)(require|must|ensure|need|only|check|enforce)\w*(auth|login|user|sign|session|admin)|(auth|login|user|sign\w*|session|admin)\w*(required|only|wall)|authenticat|basicauth`)
	crossOrigin = "(*net/http.CrossOriginProtection).Handler"
	corsCallee  = regexp.MustCompile(`(?i)/cors\b|/middleware\.CORS|gorilla/handlers\.CORS`)
	logCallee   = regexp.MustCompile(`chi(/v\d+)?/middleware\.Logger|echo/v\d+/middleware\.(Logger|RequestLogger)|gin\.Logger|gorilla/handlers\.(Combined)?LoggingHandler|fiber/v\d+/middleware/logger\.`)
	sizeCallee  = regexp.MustCompile(`net/http\.MaxBytesHandler|/middleware\.(BodyLimit|RequestSize)`)
	leftAlone   = regexp.MustCompile(`(?i)net/http\.TimeoutHandler|gzip|gzhttp|/middleware\.(Compress|Timeout|Throttle|RateLimiter|Decompress)|httprate|tollbooth|limiter`)
)

func guardsForms(w hostrepo.Wrapper) bool {
	return csrfCallee.MatchString(w.Callee) || csrfName.MatchString(w.Func)
}

// letPass is the change that lets programs by middleware that demands a cookie or a token of a form. Install cannot make
// it: the middleware is the host's, and what it exempts already cannot be read.
func (j *job) letPass() []string {
	if j.router == nil {
		return nil
	}
	var out []string
	for _, w := range j.passedThrough() {
		switch {
		case w.Callee == crossOrigin:
		case guardsForms(w):
			out = append(out, fmt.Sprintf("Let programs pass %s, %s:%d, which is around the whole router:\n%s", w.Func, w.File, w.Line, j.exemption(w)))
		case loginName.MatchString(w.Func):
			out = append(out, fmt.Sprintf("If %s, %s:%d, demands that somebody is signed in, let programs pass it:\n%s", w.Func, w.File, w.Line, j.exemption(w)))
		}
	}
	return out
}

// exemption is the library's own way to let a request pass, by exact method and path.
func (j *job) exemption(w hostrepo.Wrapper) string {
	machines := j.in.PackageName() + ".ForMachines"
	switch {
	case strings.Contains(w.Callee, "justinas/nosurf"):
		return "handler.ExemptFunc(func(r *http.Request) bool { return " + machines + "(r.Method, r.URL.Path) })"
	case strings.Contains(w.Callee, "gorilla/csrf"):
		return "// in a handler around it\nif " + machines + "(r.Method, r.URL.Path) {\n\tr = csrf.UnsafeSkipCheck(r)\n}"
	case strings.Contains(w.Callee, "labstack/echo"):
		return "middleware.CSRFWithConfig(middleware.CSRFConfig{Skipper: func(c " + echoContext(j.in) + ") bool {\n" +
			"\treturn " + machines + "(c.Request().Method, c.Request().URL.Path)\n}})"
	case j.router.Kind == hostrepo.KindFiber:
		return "// Config.Next of fiber's middleware; in one of your own: return c.Next()\n" +
			"if " + machines + "(c.Method(), c.Path()) {\n\treturn true\n}"
	case j.router.Kind == hostrepo.KindGin:
		return "// first in it\nif " + machines + "(c.Request.Method, c.Request.URL.Path) {\n\treturn\n}"
	}
	return "// first in it, where next is the handler inside\nif " + machines + "(r.Method, r.URL.Path) {\n\tnext.ServeHTTP(w, r)\n\treturn\n}"
}

func echoContext(in templates.Inputs) string {
	if strings.HasSuffix(in.RouterImport, "/v4") {
		return "echo.Context"
	}
	return "*echo.Context"
}

const (
	enoughBody = 64 << 10

	wordFiberLimits = "fiber is not net/http. A body is read whole before the provider sees it, a client that goes away is not noticed, and the\n" +
		"request line with all headers must fit into fiber.Config.ReadBufferSize: set it to 32768, since authorization\n" +
		"requests can be longer than the 4096 bytes it is without. A panic ends the process unless fiber's recover middleware is used"
)

// middlewareWarnings say what stands in the way of the provider, or is only worth knowing.
func (j *job) middlewareWarnings() []string {
	var out []string
	prefix := strings.TrimSuffix(j.in.MountPath, "/")
	for _, w := range j.passedThrough() {
		say := func(format string, args ...any) {
			out = append(out, fmt.Sprintf("%s:%d %s ", w.File, w.Line, w.Func)+fmt.Sprintf(format, args...))
		}
		switch {
		case w.Callee == crossOrigin:
			say("lets programs pass, since they send no Origin. Only where an app in a browser on another origin calls %s/token:\n"+
				"protection.AddInsecureBypassPattern(\"POST %s/token\")", prefix, prefix)
		case guardsForms(w):
			say("guards the whole router. Clients POST to %[1]s/token, %[1]s/revoke, %[1]s/introspect, %[1]s/userinfo and %[1]s/authorize "+
				"without its token: exempt exactly these (below)", prefix)
			if strings.Contains(w.Callee, "gorilla/csrf") {
				say("since version 1.7.3 refuses the consent form with \"origin invalid\" behind a proxy that ends TLS, unless it is told:\n" +
					"r = csrf.PlaintextHTTPRequest(r)")
			}
		case corsCallee.MatchString(w.Callee):
			say("answers preflights for the provider too, which allows /token, discovery and keys by itself: " +
				"keep it off the pages, /authorize and /interactions")
		case logCallee.MatchString(w.Callee):
			say("logs queries as they are; those of %s/authorize can carry id_token_hint and login_hint", prefix)
		case sizeCallee.MatchString(w.Callee) && w.Limit > 0 && w.Limit < enoughBody:
			say("allows bodies of %d bytes; the provider reads up to %d", w.Limit, enoughBody)
		case sizeCallee.MatchString(w.Callee), leftAlone.MatchString(w.Callee):
			say("is around the provider too, and is left as it is")
		}
	}
	for _, w := range j.router.Uses {
		if j.afterTheCall(w) {
			out = append(out, fmt.Sprintf("%s:%d %s comes after the call, so it does not apply to the provider", w.File, w.Line, w.Func))
		}
	}
	return out
}
