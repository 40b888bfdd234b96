package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/tools/txtar"

	"github.com/lockspire/lockspire/internal/manifest"
)

// fails CODE COMMAND...: the command exits with CODE and leaves the tree as it
// was (A0).
func fails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fails <code> <command>...")
	}
	before, err := snapshotTree(ts.Getenv("WORK"))
	ts.Check(err)
	if got := exitOf(ts.Exec(args[1], args[2:]...)); fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
	after, err := snapshotTree(ts.Getenv("WORK"))
	ts.Check(err)
	if changed := changedPaths(before, after); len(changed) > 0 {
		ts.Fatalf("the tree changed: %q", changed)
	}
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

// host DIR: writes the host of testdata/host.txtar into DIR, as a git
// repository with one commit.
func host(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	archive, err := txtar.ParseFile(hostArchive)
	ts.Check(err)
	for _, f := range archive.Files {
		name := filepath.Join(dir, f.Name)
		ts.Check(os.MkdirAll(filepath.Dir(name), 0o777))
		ts.Check(os.WriteFile(name, f.Data, 0o666))
	}
	for _, git := range [][]string{{"init", "-q"}, {"add", "-A"}, {"commit", "-q", "-m", "host"}} {
		ts.Check(ts.Exec("git", append([]string{"-C", dir}, git...)...))
	}
}

// installed DIR: as host, after `lockspire install --yes`. That takes a while,
// so it runs once and later scripts get a copy.
func installed(ts *testscript.TestScript, _ bool, args []string) {
	installing.Lock()
	defer installing.Unlock()
	dir := ts.MkAbs(args[0])
	if _, err := os.Stat(installedHost); err == nil {
		ts.Check(os.CopyFS(dir, os.DirFS(installedHost)))
		return
	}
	host(ts, false, args)
	ts.Check(ts.Exec("lockspire", "-C", dir, "install", "--yes", "--runtime-version", published.Version))
	ts.Check(ts.Exec("git", "-C", dir, "add", "-A"))
	ts.Check(ts.Exec("git", "-C", dir, "commit", "-q", "-m", "installed"))
	ts.Check(os.CopyFS(installedHost, os.DirFS(dir)))
}

// older FILE NEW OLD: makes the last render of FILE one of an older version,
// in which NEW reads OLD: on disk, in the base copy and in the manifest.
func older(ts *testscript.TestScript, _ bool, args []string) {
	root, path := ts.MkAbs("."), args[0]
	text := ts.ReadFile(path)
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s has no %q", path, args[1])
	}
	content := []byte(strings.ReplaceAll(text, args[1], args[2]))
	m, err := manifest.Read(root)
	ts.Check(err)
	entry := m.File(path)
	m.Put(manifest.NewFile(path, entry.Owner, entry.Template, content))
	data, err := m.Marshal()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(path), content, 0o644))
	ts.Check(os.WriteFile(ts.MkAbs(manifest.BasePath(path)), content, 0o644))
	ts.Check(os.WriteFile(ts.MkAbs(manifest.Path), data, 0o644))
}

// postgres-refusing VAR: a server that refuses every password, and that says
// the whole connection string back.
func postgresRefusing(ts *testscript.TestScript, _ bool, args []string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { listener.Close() })
	url := "postgres://ada:" + "hunter22-secret" + "@" + listener.Addr().String() + "/app?sslmode=disable"
	ts.Setenv(args[0], url)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			backend := pgproto3.NewBackend(conn, conn)
			if _, err := backend.ReceiveStartupMessage(); err == nil {
				backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P01", Message: `password authentication failed for user "ada" (` + url + `)`})
				_ = backend.Flush()
			}
			conn.Close()
		}
	}()
}
