package hostrepo

import (
	"context"
	"go/build/constraint"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const serving = "package main\n\nimport \"net/http\"\n\nfunc serve() {\n\tmux := http.NewServeMux()\n\tmux.HandleFunc(\"/x\", nil)\n\thttp.ListenAndServe(\":80\", mux)\n}\n"

// I30: nothing is served in the default build; the builds that serve are named with what selects them.
func TestI30RoutersBehindBuildConstraintsAreReportedWithTheirTags(t *testing.T) {
	dir := expand(t, archive("go.mod", goMod, "main.go", "package main\n\nfunc main() { serve() }\n",
		"none.go", "//go:build !prod && !dev && !windows\n\npackage main\n\nfunc serve() {}\n",
		"prod.go", "// Copyright.\n\n//go:build prod\n\n"+serving,
		"dev.go", "//go:build (dev && !prod && extra) || (dev && !prod && other && more)\r\n\r\n"+serving,
		"serve_windows.go", strings.ReplaceAll(strings.Replace(serving, "mux := http.NewServeMux()\n\t", "", 1), "mux", "http"),
		"ignore.go", "//go:build ignore\n\n"+serving, "inject.go", "//go:build wireinject\n\n"+serving,
		"broken.go", "//go:build prod\n\npackage main\n\nfunc {\n", "tagged_test.go", "//go:build prod\n\n"+serving,
		"testdata/x.go", "//go:build prod\n\n"+serving))
	r, err := load(t, dir, "GOOS=linux", "GOARCH=amd64")
	if err != nil {
		t.Fatal(err)
	}
	_, refusals := r.Root("")
	checkRefusal(t, refusals, 3,
		"dev.go:8:9: http.NewServeMux() is in a file that this build leaves out", "\tlockspire install --tags dev,extra",
		"prod.go:10:9: ", "\tlockspire install --tags prod",
		"serve_windows.go:7:2: http.ListenAndServe(…)", "\tGOOS=windows lockspire install")
	if len(refusals) != 3 {
		t.Errorf("%d candidates, want 3:\n%v", len(refusals), refusals)
	}
	if err := os.Remove(filepath.Join(dir, "broken.go")); err != nil {
		t.Fatal(err)
	}
	r, err = Load(context.Background(), Options{Dir: dir, Tags: []string{"prod"}, Env: append(os.Environ(), "GOOS=linux")})
	if err != nil {
		t.Fatal(err)
	}
	if root, refusals := r.Root(""); refusals != nil || root.File != "prod.go" {
		t.Errorf("with the tags: %+v %v", root, refusals)
	}
}

// I30: what selects a file is the smallest change to the build.
func TestI30TheSmallestChangeToTheBuildIsNamed(t *testing.T) {
	b := build{goos: "linux", goarch: "amd64", cgo: true, tags: []string{"dev"}}
	for line, want := range map[string]string{
		"//go:build prod":                       "prod",
		"//go:build prod || (a && b)":           "prod",
		"//go:build dev && prod":                "prod",
		"//go:build b && a && go1.21 && gc":     "a,b",
		"//go:build windows && prod":            "GOOS=windows prod",
		"//go:build arm64":                      "GOARCH=arm64",
		"//go:build !cgo && prod":               "none",
		"//go:build !dev":                       "none",
		"//go:build ignore || mage":             "none",
		"//go:build unix && linux && !windows ": "",
	} {
		x, err := constraint.Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		tags, env, ok := b.solve(x)
		got := strings.TrimSpace(strings.Join(env, " ") + " " + strings.Join(tags, ","))
		if !ok {
			got = "none"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	for name, want := range map[string]string{
		"a/serve.go": "", "serve_linux.go": "linux", "linux.go": "", "a/serve_windows_arm64.go": "windows arm64", "x_amd64.go": "amd64", "x_prod.go": "",
	} {
		if got := strings.Join(nameTags(name), " "); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// I31: a router beside import "C" is found where it was written, with a compiler and without one. Where cgo is off, the
// files that it takes away are listed, and the router in one is reported.
func TestI31CgoIsReadWithoutACompiler(t *testing.T) {
	preamble := "/*\nstatic int one(void) { return 1; }\n*/\nimport \"C\"\n\n"
	dir := expand(t, archive("go.mod", goMod, "main.go",
		strings.NewReplacer("import \"net/http\"\n", preamble+"import (\n\t\"net/http\"\n\n\t\"example.com/host/native\"\n)\n",
			"mux.HandleFunc(", "_, _ = C.one(), native.Two()\n\tmux.HandleFunc(").Replace(tinyMux),
		"native/n.go", "package native\n\n// #cgo pkg-config: nothing\n// static int two(void) { return 2; }\nimport \"C\"\n\nfunc Two() int { return int(C.two()) }\n",
		"native/plain.go", "package native\n"))
	tools := t.TempDir() // a PATH with Go and no compiler
	for _, tool := range []string{"go", "git"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(tools, tool)); err != nil {
			t.Fatal(err)
		}
	}
	for name, env := range map[string][]string{"with a compiler": {"CGO_ENABLED=1"}, "without": {"CGO_ENABLED=1", "PATH=" + tools}} {
		t.Run(name, func(t *testing.T) {
			r, err := load(t, dir, env...)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Errors)+len(r.Notes) > 0 {
				t.Errorf("errors %v, notes %q", r.Errors, r.Notes)
			}
			root, refusals := r.Root("")
			if refusals != nil || root.File != "main.go" || root.Line != 15 || root.Insert.File != "main.go" {
				t.Fatalf("root %+v, %v", root, refusals)
			}
			before, after, _ := strings.Cut(string(r.src["main.go"]), "\thttp.ListenAndServe(")
			want := before + "\tx()\n\thttp.ListenAndServe(" + after
			if got := string(Apply(r.src["main.go"], root.Insert.CallSplice("x()"))); got != want {
				t.Errorf("the splice gives\n%s", got)
			}
		})
	}
	for name, env := range map[string][]string{"off": {"CGO_ENABLED=0"}, "off for lack of a compiler": {"PATH=" + tools, "CC=", "CGO_ENABLED="}} {
		t.Run(name, func(t *testing.T) {
			r, err := load(t, dir, env...)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(r.Notes, "cgo is off here, so these files are not read: main.go, native/n.go") {
				t.Errorf("notes %q", r.Notes)
			}
			_, refusals := r.Root("")
			checkRefusal(t, refusals, 3, "main.go:15:9: http.NewServeMux()", "CGO_ENABLED=1 lockspire install")
		})
	}
}

// I26: what is not built or generated yet stops no load; where it keeps the router's file from being typed, the router is
// named by syntax alone, as unproven.
func TestI26WhatIsNotGeneratedYetIsNotFatal(t *testing.T) {
	files := []string{
		"go.mod", goMod, "main.go", tinyMux,
		"ui/ui.go", "package ui\n\nimport \"embed\"\n\n//go:embed build/*\nvar Files embed.FS\n",
		"api/api.go", "package api\n\nimport \"example.com/host/api/generated\"\n\nvar _ generated.Query\n",
	}
	r, err := load(t, expand(t, archive(files...)))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Packages) != 3 || len(r.Errors) == 0 {
		t.Errorf("%d packages, errors %v", len(r.Packages), r.Errors)
	}
	if root, refusals := r.Root(""); refusals != nil || root.File != "main.go" {
		t.Errorf("%+v %v", root, refusals)
	}
	for serve, want := range map[string]string{
		"chi/v5\"\n)\n\nfunc main() {\n\tr := chi.NewRouter()\n\tr.Get(\"/\", nil)\n\thttp.ListenAndServe(\":80\", r)\n}\n": "main.go:12:29: unproven: what is served here has no type, since its package does not type-check (main.go:6: ",
		"gin\"\n)\n\nvar _ http.Handler\n\nfunc main() {\n\tr := gin.Default()\n\tr.Run()\n}\n":                             "main.go:12:7: unproven: gin.Default() makes a router here and nothing says who serves it, since",
	} {
		owner := map[bool]string{true: "go-chi", false: "gin-gonic"}[strings.HasPrefix(serve, "chi")]
		files[3] = "package main\n\nimport (\n\t\"net/http\"\n\n\t\"github.com/" + owner + "/" + serve
		r, err = load(t, expand(t, archive(files...)))
		if err != nil {
			t.Fatal(err)
		}
		_, refusals := r.Root("")
		checkRefusal(t, refusals, 3, want, "lockspire install --no-wire")
	}
}

// I32: what Go ignores, and what is only for tests, is never a candidate and never read.
func TestI32TestsAndIgnoredDirectoriesAreNoCandidates(t *testing.T) {
	broken := "<<<<<<< ours\nfunc {\n"
	r, err := load(t, expand(t, archive("go.mod", goMod, "main.go", tinyMux,
		"foo/foo.go", "package foo\n", "foo/serve_test.go", strings.Replace(serving, "package main", "package foo", 1),
		"foo/outer_test.go", strings.Replace(serving, "package main", "package foo_test", 1),
		"foo/testdata/bad.go", broken, "_examples/a/main.go", broken, ".tools/main.go", broken, "node_modules/flatted/golang/x.go", broken,
		"_draft.go", "//go:build draft\n\n"+serving, "vendor_/v.go", "package vendor_\n")))
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, p := range r.Packages {
		paths = append(paths, p.PkgPath)
	}
	if want := []string{"example.com/host", "example.com/host/foo", "example.com/host/vendor_"}; !slices.Equal(paths, want) {
		t.Errorf("packages %q, want %q", paths, want)
	}
	if len(r.Routers) != 1 || len(r.Hidden) != 0 || len(r.Errors) != 0 {
		t.Errorf("routers %+v, hidden %+v, errors %v", r.Routers, r.Hidden, r.Errors)
	}
}

// I18: the toolchain that the go command picked is the one that counts, newer than the one this program was built with or
// not; only a language that this program does not know is refused, with the way to a newer one.
func TestI18ANewerToolchainLoads(t *testing.T) {
	real, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	script := "#!/bin/sh\nif [ \"$1\" = env ]; then " + real + " \"$@\" | sed 's/\"GOVERSION\": \".*\"/\"GOVERSION\": \"go1.99.1\"/'; else exec " + real + " \"$@\"; fi\n"
	if err := os.WriteFile(filepath.Join(bin, "go"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH")) // the go command is looked up here
	dir := expand(t, archive("go.mod", goMod+"\ntoolchain go1.99.1\n", "main.go", tinyMux))
	r, err := load(t, dir, "GOTOOLCHAIN=local")
	if err != nil {
		t.Fatal(err)
	}
	if r.GoVersion != "go1.99.1" || r.GoMod.Toolchain != "go1.99.1" || len(r.Errors) != 0 || len(r.Routers) != 1 {
		t.Errorf("read with %s, toolchain %s, errors %v, %d routers", r.GoVersion, r.GoMod.Toolchain, r.Errors, len(r.Routers))
	}
	dir = expand(t, archive("go.mod", "module example.com/host\n\ngo 1.99.0\n", "main.go", tinyMux))
	_, err = load(t, dir, "GOTOOLCHAIN=local")
	checkRefusal(t, err, 3, "go.mod: go.mod says go 1.99.0, and this lockspire was built with go1.", "go install github.com/lockspire/lockspire/cmd/lockspire@latest    # with Go 1.99.0 or newer")
}
