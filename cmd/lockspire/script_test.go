package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockspire/lockspire/internal/plan/plantest"
)

var (
	published   plantest.Published
	hostArchive string
)

// TestMain makes the test binary the command, and publishes the runtime to a
// proxy of its own, so that hosts in scripts download it as they would.
func TestMain(m *testing.M) {
	if v := os.Getenv("LOCKSPIRE_TEST_VERSION"); v != "" {
		versions = func() (string, string) { return v, os.Getenv("LOCKSPIRE_TEST_RUNTIME") }
	}
	testscript.Main(m, map[string]func(){"lockspire": main})
}

func TestScripts(t *testing.T) {
	modcache := goEnv(t, "GOMODCACHE")
	var err error
	if hostArchive, err = filepath.Abs("testdata/host.txtar"); err != nil {
		t.Fatal(err)
	}
	if published, err = plantest.Proxy(t.TempDir(), "../../runtime"); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			for _, pair := range append(published.Env(),
				"RUNTIME_VERSION="+published.Version, "GOMODCACHE="+modcache, "GOCACHE="+goEnv(t, "GOCACHE"),
				"GOTOOLCHAIN=local", "GOWORK=", "TERM=dumb", "LOCKSPIRE_DATABASE_URL=",
				"GIT_AUTHOR_NAME=ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=ada", "GIT_COMMITTER_EMAIL=ada@example.com") {
				name, value, _ := strings.Cut(pair, "=")
				env.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fails": fails, "leaves": leaves, "json-valid": jsonValid, "host": host, "older": older,
			"postgres": postgres, "postgres-refusing": postgresRefusing,
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

// fails CODE COMMAND...: the command exits with CODE and leaves the tree as it
// was (A0).
func fails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fails <code> <command>...")
	}
	before := snapshot(ts)
	if got := exitOf(ts.Exec(args[1], args[2:]...)); fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
	compare(ts, before)
}

// leaves COMMAND...: the command succeeds and leaves the tree as it was.
func leaves(ts *testscript.TestScript, neg bool, args []string) {
	fails(ts, neg, append([]string{"0"}, args...))
}

func exitOf(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// json-valid FILE: the file (or stdout) is one JSON value.
func jsonValid(ts *testscript.TestScript, neg bool, args []string) {
	if valid := json.Valid([]byte(ts.ReadFile(args[0]))); valid == neg {
		ts.Fatalf("valid JSON: %v\n%s", valid, ts.ReadFile(args[0]))
	}
}

// postgres VAR: makes an empty database and puts its URL into VAR.
func postgres(ts *testscript.TestScript, _ bool, args []string) {
	server := os.Getenv("LOCKSPIRE_TEST_POSTGRES")
	if server == "" {
		server = "postgres://postgres@127.0.0.1:54329/postgres?sslmode=disable"
	}
	name := "t_" + strings.ToLower(rand.Text()[:16])
	db, err := sql.Open("pgx", server)
	ts.Check(err)
	if _, err := db.ExecContext(context.Background(), "CREATE DATABASE "+name); err != nil {
		ts.Fatalf("PostgreSQL is needed: %v\nrun: scripts/postgres start", err)
	}
	ts.Defer(func() {
		_, err := db.ExecContext(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)")
		ts.Check(errors.Join(err, db.Close()))
	})
	ts.Setenv(args[0], strings.Replace(server, "/postgres?", "/"+name+"?", 1))
}
