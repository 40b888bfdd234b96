package install

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/verify"
)

// Each router's golden host, with what a person writes filled in, is driven over HTTP: its own routes are unchanged, exact
// paths of the provider are answered by the provider whatever the method, and a client walks through its sign-in.
func TestI60AndI64AndI66AndI67AndI68RoutersServeHostAndProvider(t *testing.T) {
	for _, c := range goldenCases(t) {
		if !c.Seam {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			host := copyHost(t, filepath.Join(goldenDir, c.name, "expected"))
			fillSeam(t, host)
			findsNothing(t, host)
			testHost(t, host, "TestSmoke", "TestSeam", "TestRoutesOfTheHostAndOfTheProvider")
		})
	}
}

// fillSeam does what install leaves to a person: the account resolver, and the two funcs that the generated tests ask for.
// The host's own routes are then tested over HTTP, and TestSeam walks through its sign-in.
func fillSeam(t *testing.T, host string) {
	t.Helper()
	goMod, err := os.ReadFile(filepath.Join(host, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	module := strings.TrimSpace(strings.TrimPrefix(strings.SplitN(string(goMod), "\n", 2)[0], "module"))
	fiber := regexp.MustCompile(`github\.com/gofiber/fiber/v[23]`).FindString(string(goMod))
	replace := strings.NewReplacer("MODULE", module, "FIBER", fiber)
	fill := func(from, to string) {
		data, err := os.ReadFile(filepath.Join("testdata", "seam", from))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(host, "internal/authserver", to), replace.Replace(string(data)))
	}
	site := "site_http_test.go.txt"
	switch {
	case fiber != "":
		site = "site_fiber_test.go.txt"
		fill("fiber_test.go.txt", "fiber_test.go")
	case strings.Contains(string(goMod), "github.com/gin-gonic/gin "):
		fill("gin_test.go.txt", "gin_test.go")
		fill("../gin_conflicts.json", "gin_conflicts.json")
	case strings.Contains(string(goMod), "github.com/labstack/echo/"):
		site = "site_echo_test.go.txt"
	}
	fill(site, "site_test.go")
	fill("routes_test.go.txt", "routes_test.go")
	fill("migrations_test.go.txt", "migrations_test.go")
	fill("account_resolver.go.txt", "account_resolver.go")

	tests := filepath.Join(host, "internal/authserver/authserver_test.go")
	data, err := os.ReadFile(tests)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, edit := range [][2]string{
		{"\treturn nil\n}\n", "\treturn siteHandler(t, db)\n}\n"},
		{"return nil, errors.New(\"authserver_test.go: signIn is not written yet\")", "return login.Form(\"password\").Submit(\"name\", \"alice\", \"password\", \"correct horse\")"},
		{"\t\"errors\"\n", ""},
	} {
		if !strings.Contains(text, edit[0]) {
			t.Fatalf("%s has no %q any more", tests, edit[0])
		}
		text = strings.Replace(text, edit[0], edit[1], 1)
	}
	writeFile(t, tests, text)
}

// findsNothing runs verify, which must know the wiring of every router to be right.
func findsNothing(t *testing.T, host string) {
	t.Helper()
	report, err := verify.Run(t.Context(), verify.Options{Dir: host, Env: append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly"), CLIVersion: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		t.Errorf("verify finds %s %s:%d: %v: %s", f.Rule, f.File, f.Line, f.Severity, f.Message)
	}
}
