package install

import (
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/hostrepo"
)

func around(text, callee string, line int) hostrepo.Wrapper {
	return hostrepo.Wrapper{Func: text, Callee: callee, Position: at3("main.go", line)}
}

// says runs the decisions on a host with middleware around its router, and returns warnings and what is left to do.
func says(t *testing.T, repo *hostrepo.Repo) (warnings, todo string) {
	t.Helper()
	j := decided(t, repo, Options{})
	return strings.Join(j.warnings(), "\n"), strings.Join(j.todo(nil), "\n")
}

func has(t *testing.T, text string, pieces ...string) {
	t.Helper()
	for _, piece := range pieces {
		if !strings.Contains(text, piece) {
			t.Errorf("no %q in:\n%s", piece, text)
		}
	}
}

// A wrapper of the whole router cannot be escaped from inside, and what it lets pass already cannot be read. So install
// goes on and says what to change and where: a refusal would never end, since the change calls generated code.
func TestI70LoginAroundTheWholeRouterIsLeftToDoWithItsPlace(t *testing.T) {
	repo := muxHost(t)
	repo.Routers[0].Wrappers = []hostrepo.Wrapper{
		around("requireLogin", "example.com/app.requireLogin", 44), around("sessions.LoadAndSave", "(*github.com/alexedwards/scs/v2.SessionManager).LoadAndSave", 45),
	}
	_, todo := says(t, repo)
	has(t, todo, "If requireLogin, main.go:44, demands", "if authserver.ForMachines(r.Method, r.URL.Path) {\n\tnext.ServeHTTP(w, r)")
	if strings.Contains(todo, "LoadAndSave") {
		t.Errorf("the session loader is taken for a demand:\n%s", todo)
	}
}

func TestI71CSRFLibrariesGetTheirOwnExemptionByMethodAndExactPath(t *testing.T) {
	for name, c := range map[string]struct {
		wrapper hostrepo.Wrapper
		code    string
	}{
		"gorilla": {around("csrf.Protect(…)", "github.com/gorilla/csrf.Protect", 44), "if authserver.ForMachines(r.Method, r.URL.Path) {\n\tr = csrf.UnsafeSkipCheck(r)"},
		"nosurf":  {around("nosurf.NewPure", "github.com/justinas/nosurf.NewPure", 44), "ExemptFunc(func(r *http.Request) bool { return authserver.ForMachines(r.Method, r.URL.Path) })"},
		"own":     {around("checkCSRF", "example.com/app.checkCSRF", 44), "next.ServeHTTP(w, r)"},
	} {
		t.Run(name, func(t *testing.T) {
			repo := muxHost(t)
			repo.Routers[0].Wrappers = []hostrepo.Wrapper{c.wrapper}
			warnings, todo := says(t, repo)
			has(t, warnings, "main.go:44 "+c.wrapper.Func+" guards the whole router", "/lockspire/token", "/lockspire/authorize")
			has(t, todo, "main.go:44", c.code)
		})
	}
	for kind, code := range map[string]string{
		"echo":  "Skipper: func(c *echo.Context) bool {\n\treturn authserver.ForMachines(c.Request().Method, c.Request().URL.Path)",
		"gin":   "if authserver.ForMachines(c.Request.Method, c.Request.URL.Path) {\n\treturn",
		"fiber": "if authserver.ForMachines(c.Method(), c.Path()) {",
	} {
		repo := onRouter(t, kind)
		callee := map[string]string{"echo": "github.com/labstack/echo/v5/middleware.CSRF", "gin": "example.com/app.csrf", "fiber": "github.com/gofiber/fiber/v3/middleware/csrf.New"}[kind]
		repo.Routers[0].Uses = []hostrepo.Wrapper{around("csrf", callee, 14)}
		_, todo := says(t, repo)
		has(t, todo, "main.go:14", code)
	}
}

func TestI72CrossOriginProtectionIsExemptedOnlyForAppsInBrowsers(t *testing.T) {
	repo := muxHost(t)
	repo.Routers[0].Wrappers = []hostrepo.Wrapper{around("protection.Handler", "(*net/http.CrossOriginProtection).Handler", 44)}
	warnings, todo := says(t, repo)
	has(t, warnings, "main.go:44 protection.Handler lets programs pass", `AddInsecureBypassPattern("POST /lockspire/token")`)
	if strings.Contains(todo, "main.go:44") {
		t.Errorf("it is something to do:\n%s", todo)
	}
}

func TestI73GorillaCSRFBehindAProxyThatEndsTLS(t *testing.T) {
	repo := muxHost(t)
	repo.Routers[0].Wrappers = []hostrepo.Wrapper{around("csrf.Protect(…)", "github.com/gorilla/csrf.Protect", 44)}
	warnings, _ := says(t, repo)
	has(t, warnings, "origin invalid", "csrf.PlaintextHTTPRequest(r)")
}

func TestI74OtherMiddlewareIsLeftAloneAndNamed(t *testing.T) {
	repo := muxHost(t)
	small := around("http.MaxBytesHandler", "net/http.MaxBytesHandler", 46)
	small.Limit = 1 << 10
	wide := small
	wide.Limit, wide.Line = 1<<20, 47
	repo.Routers[0].Wrappers = []hostrepo.Wrapper{
		around("http.TimeoutHandler", "net/http.TimeoutHandler", 44), around("gzhttp.GzipHandler", "github.com/klauspost/compress/gzhttp.GzipHandler", 45), small, wide,
		around("handlers.LoggingHandler", "github.com/gorilla/handlers.LoggingHandler", 48), around("cors.Handler(…)", "github.com/rs/cors.Handler", 49),
		around("instrument", "example.com/app.instrument", 50),
	}
	warnings, todo := says(t, repo)
	has(t, warnings, "main.go:44 http.TimeoutHandler is around", "main.go:45 gzhttp.GzipHandler is around", "main.go:46 http.MaxBytesHandler allows bodies of 1024 bytes; the provider reads up to 65536",
		"main.go:47 http.MaxBytesHandler is around", "main.go:48 handlers.LoggingHandler logs queries", "main.go:49 cors.Handler(…) answers preflights")
	if strings.Contains(warnings+todo, "main.go:50") {
		t.Errorf("middleware that is not known is judged:\n%s", warnings)
	}
}

// I64, I68: gin and fiber apply middleware to what comes after it only.
func TestI64MiddlewareBehindTheCallDoesNotApply(t *testing.T) {
	for _, kind := range []string{"gin", "fiber"} {
		repo := onRouter(t, kind)
		late := hostrepo.Wrapper{Func: "requireLogin", Position: at3("web.go", 25)}
		repo.Routers[0].Uses = []hostrepo.Wrapper{{Func: "csrf.New(…)", Position: at3("web.go", 13)}, late}
		warnings, todo := says(t, repo)
		has(t, warnings, "web.go:25 requireLogin comes after the call")
		has(t, todo, "web.go:13")
		if strings.Contains(todo, "web.go:25") {
			t.Errorf("%s: late middleware is to be changed:\n%s", kind, todo)
		}
	}
	warnings, _ := says(t, onRouter(t, "fiber"))
	has(t, warnings, "ReadBufferSize")
}
