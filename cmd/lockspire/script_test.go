package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockspire/lockspire/internal/plan/plantest"
)

var (
	published     plantest.Published
	hostArchive   string // testdata/host.txtar
	installedHost string // made by the first script that needs it
	installing    sync.Mutex
)

// TestMain makes the test binary the command, and publishes the runtime to a
// proxy of its own, so that hosts in scripts download it as they would.
func TestMain(m *testing.M) {
	if v := os.Getenv("LOCKSPIRE_TEST_VERSION"); v != "" {
		versions = func() (string, string) { return v, os.Getenv("LOCKSPIRE_TEST_RUNTIME") }
	}
	if os.Getenv("LOCKSPIRE_TEST_EAGER") != "" { // a script cannot wait for a load to take a second
		progressAfter = 0
	}
	testscript.Main(m, map[string]func(){"lockspire": supervise})
}

func TestScripts(t *testing.T) {
	modcache := goEnv(t, "GOMODCACHE")
	var err error
	if hostArchive, err = filepath.Abs("testdata/host.txtar"); err != nil {
		t.Fatal(err)
	}
	installedHost = filepath.Join(t.TempDir(), "installed")
	proxy := t.TempDir()
	if published, err = plantest.Proxy(proxy, "../../runtime"); err != nil {
		t.Fatal(err)
	}
	// A later version of the same content, for upgrades.
	next := "v0.1.0-test.h" + published.Version[strings.LastIndexByte(published.Version, '-')+1:]
	if _, err = plantest.As(proxy, "../../runtime", next); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			report := filepath.Join(t.TempDir(), "report")
			env.Defer(func() {
				if text, err := os.ReadFile(report); err == nil {
					env.T().Fatal("rows that every run is held to are broken:\n" + string(text))
				}
			})
			for _, pair := range append(published.Env(),
				"RUNTIME_VERSION="+published.Version, "RUNTIME_NEXT="+next, "GOMODCACHE="+modcache, "GOCACHE="+goEnv(t, "GOCACHE"),
				"GOTOOLCHAIN=local", "GOWORK=", "TERM=dumb", "LOCKSPIRE_DATABASE_URL=",
				reportEnv+"="+report, "SESSION_KEY="+canary, "DATABASE_URL=postgres://ada:"+canary+"@db.example/app",
				"GIT_AUTHOR_NAME=ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=ada", "GIT_COMMITTER_EMAIL=ada@example.com") {
				name, value, _ := strings.Cut(pair, "=")
				env.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fails": fails, "leaves": leaves, "json-valid": jsonValid, "host": host, "installed": installed, "older": older,
			"postgres": postgres, "postgres-refusing": postgresRefusing, "app-runs": appRuns,
		},
	})
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
