package main

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/tools/txtar"

	"github.com/lockspire/lockspire/internal/manifest"
)

// snapshot is every file below the script's directory: mode, time, content,
// link target. The git index is a file like any other.
func snapshot(ts *testscript.TestScript) map[string]string {
	root := ts.Getenv("WORK")
	all := map[string]string{}
	ts.Check(filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil || rel == ".tmp" {
			return filepath.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			all[rel] = info.Mode().String()
		case info.Mode()&fs.ModeSymlink != 0:
			all[rel], err = os.Readlink(name)
		default:
			var data []byte
			data, err = os.ReadFile(name)
			all[rel] = fmt.Sprint(info.Mode(), " ", info.ModTime().UnixNano(), " ", string(data))
		}
		return err
	}))
	return all
}

func compare(ts *testscript.TestScript, before map[string]string) {
	after := snapshot(ts)
	for name, state := range after {
		if old, was := before[name]; !was || old != state {
			ts.Fatalf("the tree changed: %s (there before: %v)", name, was)
		}
	}
	for name := range before {
		if _, is := after[name]; !is {
			ts.Fatalf("the tree changed: %s is gone", name)
		}
	}
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
