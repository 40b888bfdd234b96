package plan

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden listings")

// listingPlan has one of everything that a listing shows.
func listingPlan() *Plan {
	before := "package main\n\nimport \"net/http\"\n\nfunc newRouter() http.Handler {\n\tmux := http.NewServeMux()\n\tmux.HandleFunc(\"GET /\", home)\n\treturn mux\n}\n"
	after := strings.Replace(before, "\tmux.HandleFunc(\"GET /\"", "\tauthserver.MustMount(mux, authserver.Host{DB: db})\n\tmux.HandleFunc(\"GET /\"", 1)
	return &Plan{
		Root: "/nowhere",
		Changes: []Change{
			{Path: "server.go", Owner: Host, Why: "one call in newRouter", Before: []byte(before), After: []byte(after), Insert: true},
			{Path: "go.mod", Owner: Host, Why: "requires github.com/lockspire/lockspire/runtime v0.1.0", Before: []byte("module m\n"), After: []byte("module m\n\nrequire a v1\n"), Insert: true},
			{Path: "go.sum", Owner: Host, Why: "their checksums", Before: []byte("a v1 h1:x\n"), After: []byte("a v1 h1:x\nb v1 h1:y\n"), Insert: true},
			{Path: "internal/authserver/account_resolver.go", Owner: Host, Why: "account resolver: reads your session", After: []byte("package authserver\n")},
			{Path: "internal/authserver/lockspire_gen.go", Owner: Managed, Why: "every route", After: []byte("package authserver\n")},
			{Path: "internal/authserver/retired_gen.go", Owner: Managed, Why: "no longer needed", Before: []byte("package authserver\n")},
			{Path: "vendor/modules.txt", Owner: Host, Before: []byte("# a\n"), After: []byte("# a\n# b\n"), Insert: true},
			{Path: "vendor/b/b.go", Owner: Host, After: []byte("package b\n")},
			{Path: "same.go", Owner: Host, Before: []byte("x"), After: []byte("x")},
		},
		Found:    []string{"router    *http.ServeMux in newRouter, server.go:6", "database  *sql.DB db, SQLite"},
		Warnings: []string{"other routes share the prefix /lockspire:\nGET /lockspire-help, server.go:20"},
		Todo:     []string{"Read your session in internal/authserver/account_resolver.go.", "Check the result:\nlockspire verify\ngo test ./internal/authserver"},
	}
}

// A5. The listing is pinned; a person reads the diff of the golden file.
func TestWriteListsThePlan(t *testing.T) {
	for name, p := range map[string]*Plan{"listing": listingPlan(), "listing_empty": {Root: "/nowhere", Found: []string{"router  *http.ServeMux, server.go:6"}}} {
		for suffix, opts := range map[string]WriteOptions{".txt": {}, "_color.txt": {Color: true}} {
			var b strings.Builder
			if err := p.Write(&b, opts); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+suffix)
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			if want := readFile(t, golden); b.String() != want {
				t.Errorf("%s:\n%s\nwant\n%s", golden, b.String(), want)
			}
			if strings.Contains(b.String(), "\x1b") != opts.Color {
				t.Errorf("%s: colours", golden)
			}
		}
	}
}

// The order in which changes were added does not show.
func TestWriteAndDiffAreDeterministic(t *testing.T) {
	var first strings.Builder
	p := listingPlan()
	if err := p.Write(&first, WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	for range p.Changes {
		p.Changes = append(p.Changes[1:], p.Changes[0])
		var again strings.Builder
		if err := p.Write(&again, WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		if again.String() != first.String() || p.Diff() != listingPlan().Diff() {
			t.Fatal("the order of Changes shows")
		}
	}
}

type fullWriter struct{}

func (fullWriter) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestWriteReportsAFailingWriter(t *testing.T) {
	if listingPlan().Write(fullWriter{}, WriteOptions{}) == nil {
		t.Error("no error")
	}
}

// The diff is one that git applies, whatever the ends of lines and files.
func TestDiffIsWhatGitApplies(t *testing.T) {
	root := t.TempDir()
	before := map[string]string{
		"crlf.go": "a\r\nb\r\nc\r\n", "noeol.txt": "a\nb", "gains.txt": "a\nb", "loses.txt": "a\nb\n", "gone.txt": "x\ny\n", "sub/deep.txt": "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n", "run.sh": "#!/bin/sh\n",
	}
	after := map[string]string{
		"crlf.go": "a\r\nB\r\nc\r\n", "noeol.txt": "A\nb", "gains.txt": "a\nb\n", "loses.txt": "a\nb", "gone.txt": "", "sub/deep.txt": "1\n2!\n3\n4\n5\n6\n7\n8\n9\n10\n11!\n12\n", "new/file.txt": "new\nfile", "run.sh": "#!/bin/sh\ntrue\n",
	}
	writeTree(t, root, before)
	p := &Plan{Root: root}
	for name, content := range after {
		data := []byte(content)
		if content == "" {
			data = nil
		}
		c, err := p.File(name, Host, data, "")
		if err != nil {
			t.Fatal(err)
		}
		p.Add(c)
	}
	patched := filepath.Join(t.TempDir(), "patched")
	copyTree(t, root, patched)
	cmd := exec.Command("git", "apply", "--whitespace=nowarn", "-")
	cmd.Dir = patched
	cmd.Stdin = strings.NewReader(p.Diff())
	cmd.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(patched))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git apply: %v\n%s\n%s", err, out, p.Diff())
	}
	if _, err := p.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := differences(hostFiles(tree(t, patched)), hostFiles(tree(t, root))); len(d) > 0 {
		t.Errorf("git apply and Apply disagree: %q", d)
	}
}

func TestDiffDoesNotPrintBinaryFiles(t *testing.T) {
	c := Change{Path: "logo.png", After: []byte("\x89PNG\x00\x00")}
	if got := c.Diff(); got != "Binary files /dev/null and b/logo.png differ\n" {
		t.Errorf("got %q", got)
	}
}

func TestRefusalsTellPlaceCauseAndNextStep(t *testing.T) {
	rs := Refusals{
		{Exit: 3, Path: "b.go", Line: 2, What: "second", Next: "do this\nthen that"},
		{Exit: 1, Path: "a.go", Line: 3, Col: 4, What: "first", Next: "go vet"},
	}
	want := "a.go:3:4: first\n\tgo vet\nb.go:2: second\n\tdo this\n\tthen that"
	if err := rs.Err(); err == nil || err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if rs.ExitCode() != 3 || Refusals(nil).Err() != nil || Refusals(nil).ExitCode() != 0 {
		t.Error("exit codes")
	}
	if got, ok := AsRefusals(rs.Err()); !ok || len(got) != 2 {
		t.Errorf("AsRefusals: %v %v", got, ok)
	}
	if got, ok := AsRefusals(rs[0]); !ok || len(got) != 1 {
		t.Errorf("AsRefusals of one: %v %v", got, ok)
	}
	if _, ok := AsRefusals(os.ErrNotExist); ok {
		t.Error("a plain error is not a refusal")
	}
}
