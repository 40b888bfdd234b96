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

// fillSeam does what install leaves to a person: two methods of the account resolver, and the two funcs that the generated
// tests ask for. Who is signed in, the generated resolver reads itself, from each host's own kind of session.
// The host's own routes are then tested over HTTP, and TestSeam walks through its sign-in.
func fillSeam(t *testing.T, host string) {
	t.Helper()
	goMod, err := os.ReadFile(filepath.Join(host, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	module := strings.TrimSpace(strings.TrimPrefix(strings.SplitN(string(goMod), "\n", 2)[0], "module"))
	fiber := regexp.MustCompile(`github\.com/gofiber/fiber/v[23]`).FindString(string(goMod))
	pairs := []string{"MODULE", module, "FIBER", fiber}
	switch {
	case strings.Contains(string(goMod), "gorm.io/gorm "):
		pairs = append(pairs, "*sql.DB", "*gorm.DB", "\t\"database/sql\"\n", "", "\t\"testing\"\n", "\t\"testing\"\n\n\t\"gorm.io/gorm\"\n",
			"\tapplyMigrations(t, db)\n", "")
	case strings.Contains(string(goMod), "github.com/jmoiron/sqlx "):
		pairs = append(pairs, "web.New(db)", "web.New(sqlx.NewDb(db, \"pgx\"))", "\t\"testing\"\n", "\t\"testing\"\n\n\t\"github.com/jmoiron/sqlx\"\n")
	}
	replace := strings.NewReplacer(pairs...)
	own := strings.NewReplacer("MODULE", module, "FIBER", fiber)
	fill := func(from, to string) {
		data, err := os.ReadFile(filepath.Join("testdata", "seam", from))
		if err != nil {
			t.Fatal(err)
		}
		text := own.Replace(string(data))
		if to == "site_test.go" {
			text = replace.Replace(string(data))
		}
		writeFile(t, filepath.Join(host, "internal/authserver", to), text)
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
	fill("filled.go.txt", "filled.go")
	if strings.Contains(string(goMod), "github.com/jackc/pgx/v5 ") && strings.Contains(string(goMod), "modernc.org/sqlite ") {
		fill("dialect_test.go.txt", "dialect_test.go")
	}
	edit(t, filepath.Join(host, "internal/authserver/account_resolver.go"), [][2]string{
		{"subject string) (lockspire.Account, error) {\n\treturn lockspire.Account{}, lockspire.ErrNotWired", "subject string) (lockspire.Account, error) {\n\treturn bySubject(subject)"},
		{"return nil, lockspire.ErrNotWired", "return claimsOf(account, request)"},
	})
	edit(t, filepath.Join(host, "internal/authserver/authserver_test.go"), [][2]string{
		{"\treturn nil\n}\n", "\treturn siteHandler(t, db)\n}\n"},
		{"return nil, errors.New(\"authserver_test.go: signIn is not written yet\")", "return login.Form(\"password\").Submit(\"name\", \"alice\", \"password\", \"correct horse\")"},
		{"\t\"errors\"\n", ""},
	})
}

// edit replaces pieces of a file, each of which must be there.
func edit(t *testing.T, name string, pieces [][2]string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, piece := range pieces {
		if !strings.Contains(text, piece[0]) {
			t.Fatalf("%s has no %q any more", name, piece[0])
		}
		text = strings.Replace(text, piece[0], piece[1], 1)
	}
	writeFile(t, name, text)
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
