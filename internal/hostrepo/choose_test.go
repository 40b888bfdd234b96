package hostrepo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestI45ChoosingARouter(t *testing.T) {
	dir := expand(t, archive("go.mod", goMod, "main.go", strings.Replace(tinyMux, "mux := ", "other := http.NewServeMux()\n\tother.HandleFunc(\"/o\", nil)\n\tgo http.ListenAndServe(\":1\", other)\n\tmux := ", 1)))
	r, err := load(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	_, refusals := r.Root("")
	checkRefusal(t, refusals, 3, "--router main.go:6", "--router main.go:9")
	root, refusals := r.Root("main.go:9")
	if refusals != nil || root.Expr != "mux" {
		t.Errorf("chose %+v %v", root, refusals)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	r.Dir = filepath.Join(dir, "cmd")
	for _, spelling := range []string{"./main.go:9", "../main.go:9", filepath.Join(dir, "main.go") + ":9", filepath.Join(link, "main.go") + ":9:9"} {
		if root, refusals := r.Root(spelling); refusals != nil || root.Expr != "mux" {
			t.Errorf("%s chose %+v %v", spelling, root, refusals)
		}
	}
	_, refusals = r.Root("main.go:5")
	checkRefusal(t, refusals, 2, "main.go:5", "lockspire install --router main.go:9")
	_, refusals = r.Root("main.go")
	checkRefusal(t, refusals, 2, "--router main.go names no router")
}

func TestI86CanImportSeesCycles(t *testing.T) {
	dir := expand(t, archive("go.mod", goMod, "main.go", "package main\n\nimport _ \"example.com/host/web\"\n\nfunc main() {}\n",
		"web/web.go", "package web\n\nimport _ \"example.com/host/users\"\n", "users/u.go", "package users\n", "top/t.go", "package top\n\nimport _ \"example.com/host/web\"\n"))
	r, err := load(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"example.com/host/users": true, "example.com/host/web": false, "example.com/host/top": false, "example.com/host": false, "example.com/none": false} {
		if ok, why := r.CanImport("example.com/host/web", path); ok != want || !ok && why == "" {
			t.Errorf("CanImport(web, %s) = %v %q", path, ok, why)
		}
	}
}

func TestPackageAt(t *testing.T) {
	dir := expand(t, archive("go.mod", goMod, "main.go", tinyMux, "internal/authserver/a.go", GeneratedHeader+"\r\n\r\npackage auth\r\n", "auth/oauth/o.go", "package oauth\n"))
	r, err := load(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if p := r.PackageAt("internal/authserver"); p == nil || !p.Ours || p.Name != "auth" {
		t.Errorf("authserver: %+v", p)
	}
	if p := r.PackageAt("auth/oauth"); p == nil || p.Ours || p.Name != "oauth" {
		t.Errorf("oauth: %+v", p)
	}
	if p := r.PackageAt("internal/none"); p != nil {
		t.Errorf("none: %+v", p)
	}
}

func TestI115VersionOfTheSQLiteDriverIsAFact(t *testing.T) {
	m := &module{}
	if err := m.parseGoMod([]byte("module example.test/host\n\nrequire (\n\tgithub.com/mattn/go-sqlite3 v2.0.3+incompatible // indirect\n)\n")); err != nil {
		t.Fatal(err)
	}
	if m.facts.MattnSQLite != "v2.0.3+incompatible" || m.facts.MattnLine != 4 {
		t.Errorf("go.mod facts %+v", m.facts)
	}
}
