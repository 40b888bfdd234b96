package install

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/templates"
)

// I49, I50, I52, I56: what would panic at start, or take a route of the host away, is refused before anything is planned.
func TestI49AndI50AndI52AndI56RouteConflicts(t *testing.T) {
	for name, c := range map[string]struct {
		kind   string
		route  hostrepo.Route
		reason string // "" when it is compatible
	}{
		"catch-all with a method":      {"servemux", route("GET", "/", 30), ""},
		"catch-all without":            {"servemux", route("", "/", 30), ""},
		"wildcard catch-all":           {"servemux", route("GET", "/{path...}", 30), ""},
		"tenant pages":                 {"servemux", route("", "/{tenant}/settings", 30), ""},
		"tenant tokens":                {"servemux", route("GET", "/{user}/token", 30), ""},
		"well-known by name":           {"servemux", route("GET", "/.well-known/{file}", 30), ""},
		"subtree at the mount path":    {"servemux", route("", "/lockspire/", 30), ""},
		"another host":                 {"servemux", route("", "example.com/lockspire/", 30), ""},
		"callback below":               {"servemux", route("GET", "/lockspire/callback", 30), ""},
		"same path and method":         {"servemux", route("POST", "/lockspire/token", 30), "the provider needs that path"},
		"same path, every method":      {"servemux", route("", "/lockspire/token", 30), "the provider needs that path"},
		"same metadata path":           {"servemux", route("GET", "/.well-known/oauth-authorization-server/lockspire", 30), "needs that path"},
		"neither is more specific":     {"servemux", route("GET", "/{tenant}/interactions/new", 30), "would panic at start"},
		"wildcards of the same shape":  {"servemux", route("GET", "/lockspire/interactions/{name}", 30), "would panic at start"},
		"pattern that is not constant": {"servemux", hostrepo.Route{Pattern: "prefix + \"/token\"", Position: at3("web.go", 30)}, ""},
		"chi callback below":           {"chi", route("GET", "/lockspire/callback", 30), ""},
		"chi same path":                {"chi", route("POST", "/lockspire/token", 30), "needs that path"},
		"chi same shape":               {"chi", route("GET", "/lockspire/interactions/{name}", 30), "needs that path"},
		"chi sub-router there":         {"chi", hostrepo.Route{Pattern: "/lockspire/*", Known: true, Subtree: true, Position: at3("web.go", 30)}, "is a sub-router"},
		"chi catch-all":                {"chi", hostrepo.Route{Method: "GET", Pattern: "/*", Known: true, Subtree: true, Position: at3("web.go", 30)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			repo := muxHost(t)
			repo.Routers[0].Kind = c.kind
			if c.kind == "chi" {
				repo.Routers[0].TypePath = "github.com/go-chi/chi/v5"
			}
			repo.Routers[0].Routes = append(repo.Routers[0].Routes, c.route)
			_, err := decideOn(t, repo, Options{})
			if c.reason == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			refused(t, err, 1, c.reason, "web.go:30:3: ", "--mount-path")
		})
	}
}

// onRouter is muxHost with a router of another library.
func onRouter(t *testing.T, kind string) *hostrepo.Repo {
	t.Helper()
	repo := muxHost(t)
	r := &repo.Routers[0]
	r.Kind = kind
	of := map[string][2]string{
		"gorilla": {"*mux.Router", "github.com/gorilla/mux"}, "gin": {"*gin.Engine", "github.com/gin-gonic/gin"},
		"echo": {"*echo.Echo", "github.com/labstack/echo/v5"}, "fiber": {"*fiber.App", "github.com/gofiber/fiber/v3"},
		"handler": {"*httprouter.Router", "net/http"}, "chi": {"chi.Router", "github.com/go-chi/chi/v5"},
	}[kind]
	r.Type, r.TypePath = of[0], of[1]
	r.Routes = r.Routes[:1]
	return repo
}

// I52, I62, I63, I67, I68: each library has its own idea of what is in the way.
func TestI52AndI67AndI68RouteConflictsOfOtherRouters(t *testing.T) {
	below := func(pattern string) hostrepo.Route {
		return hostrepo.Route{Pattern: pattern, Known: true, Subtree: true, Position: at3("web.go", 30)}
	}
	for name, c := range map[string]struct {
		kind   string
		route  hostrepo.Route
		reason string // "" when it is compatible
	}{
		"gorilla catch-all, behind our call": {"gorilla", below("/"), ""},
		"gorilla prefix without a slash":     {"gorilla", below("/lock"), "the first match wins"},
		"gorilla prefix above":               {"gorilla", below("/lockspire/"), "the first match wins"},
		"gorilla prefix elsewhere":           {"gorilla", below("/api/"), ""},
		"gorilla same path":                  {"gorilla", route("POST", "/lockspire/token", 30), "needs that path"},
		"gorilla same shape":                 {"gorilla", route("GET", "/lockspire/interactions/{name}", 30), "needs that path"},
		"gorilla parameter that takes ours":  {"gorilla", route("GET", "/lockspire/{provider}", 30), "also matches /lockspire/authorize"},
		"gorilla parameter that does not":    {"gorilla", route("GET", "/lockspire/{id:[0-9]+}", 30), ""},
		"gorilla parameter first, behind us": {"gorilla", route("GET", "/{tenant}/token", 30), ""},
		"gorilla on another host":            {"gorilla", route("GET", "api.example.com/lockspire/token", 30), ""},
		"echo catch-all":                     {"echo", below("/*"), ""},
		"echo parameter below":               {"echo", route("GET", "/lockspire/:provider", 30), ""},
		"echo subtree at the mount path":     {"echo", below("/lockspire/*"), ""},
		"echo same path":                     {"echo", route("POST", "/lockspire/token", 30), "needs that path"},
		"echo same shape":                    {"echo", route("GET", "/lockspire/interactions/:name", 30), "needs that path"},
		"fiber catch-all, behind our call":   {"fiber", below("/*"), ""},
		"fiber parameter that takes ours":    {"fiber", route("GET", "/lockspire/:provider", 30), "also matches /lockspire/authorize"},
		"fiber subtree at the mount path":    {"fiber", below("/lockspire/*"), "the first match wins"},
		"fiber same path":                    {"fiber", route("POST", "/lockspire/token", 30), "needs that path"},
		"a handler with a callback below":    {"handler", route("GET", "/lockspire/callback", 30), ""},
		"a handler with a parameter below":   {"handler", route("GET", "/lockspire/:provider", 30), ""},
		"a handler with the same path":       {"handler", route("POST", "/lockspire/token", 30), "needs that path"},
	} {
		t.Run(name, func(t *testing.T) {
			repo := onRouter(t, c.kind)
			repo.Routers[0].Routes = append(repo.Routers[0].Routes, c.route)
			_, err := decideOn(t, repo, Options{})
			if c.reason == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			refused(t, err, 1, c.reason, "web.go:30:3: ", "--mount-path")
		})
	}
}

// The same table is run against gin itself in its golden host.
func TestI62AndI63GinConflictsAreRefusedBeforeAnythingIsWritten(t *testing.T) {
	data, err := os.ReadFile("testdata/gin_conflicts.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Pattern string
		Panics  bool
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		repo := onRouter(t, "gin")
		repo.Routers[0].Routes = append(repo.Routers[0].Routes, hostrepo.Route{
			Method: "GET", Pattern: c.Pattern, Known: true, Subtree: strings.Contains(c.Pattern, "*"), Position: at3("web.go", 30),
		})
		_, err := decideOn(t, repo, Options{})
		switch {
		case c.Panics && c.Pattern == "/*any":
			refused(t, err, 1, "web.go:30:3: ", "gin would panic", "router.NoRoute(handler)")
		case c.Panics:
			refused(t, err, 1, "web.go:30:3: ", "--mount-path")
		case err != nil:
			t.Errorf("%s is refused: %v", c.Pattern, err)
		}
	}
}

// OPTIONS /*any of a host's CORS handling is in the way of OPTIONS alone, which no endpoint needs.
func TestI63GinWildcardOfAMethodThatNoEndpointNeedsStaysTheHosts(t *testing.T) {
	wildcard := func(method string) *hostrepo.Repo {
		repo := onRouter(t, "gin")
		repo.Routers[0].Routes = append(repo.Routers[0].Routes, hostrepo.Route{Method: method, Pattern: "/*any", Known: true, Subtree: true, Position: at3("web.go", 30)})
		return repo
	}
	j := decided(t, wildcard("OPTIONS"), Options{})
	if j.in.HostMethods != "OPTIONS" {
		t.Errorf("left to the host: %q", j.in.HostMethods)
	}
	if got := strings.Join(j.warnings(), "\n"); !strings.Contains(got, "web.go:30: OPTIONS /*any") || !strings.Contains(got, "preflight") {
		t.Errorf("warnings: %s", got)
	}
	files, err := templates.Render(j.in)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f.Path, "lockspire_gen.go") && (strings.Contains(string(f.Content), `"OPTIONS"`) || !strings.Contains(string(f.Content), `"DELETE"`)) {
			t.Errorf("the methods of the generated Mount:\n%s", f.Content)
		}
	}
	for _, method := range []string{"GET", "POST", ""} {
		_, err := decideOn(t, wildcard(method), Options{})
		refused(t, err, 1, "web.go:30:3: ", "gin would panic", "router.NoRoute(handler)")
	}
}

// I67: a static path goes before a parameter in echo; a reader should still know what else is there.
func TestI67SharedPrefixIsAWarning(t *testing.T) {
	repo := onRouter(t, "echo")
	repo.Routers[0].Routes = append(repo.Routers[0].Routes, route("GET", "/lockspire/:provider", 30), route("GET", "/lockspire/:provider/callback", 31))
	if got := strings.Join(decided(t, repo, Options{}).warnings(), "\n"); !strings.Contains(got, "web.go:30 GET /lockspire/:provider") || !strings.Contains(got, "web.go:31") {
		t.Errorf("warnings: %s", got)
	}
}
