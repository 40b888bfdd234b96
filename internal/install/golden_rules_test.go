package install

import (
	"bytes"
	"go/format"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/tools/imports"
)

// I105. What is written passes what hosts run over their code: it is a fixed point of gofmt and goimports, no line is
// longer than 120 columns, and there is no word that linters take for unfinished work. scripts/lint runs gofumpt, go fix and
// staticcheck over the same trees, and the hosts' smoke tests run vet.
func TestI105GoldenFilesPassTheToolsOfHosts(t *testing.T) {
	unfinished := regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK|BUG)\b`)
	seen := 0
	for _, c := range goldenCases(t) {
		if c.Against != "" {
			continue
		}
		dir := filepath.Join(goldenDir, c.name)
		before := readTree(t, filepath.Join(dir, "input"))
		for name, content := range readTree(t, filepath.Join(dir, "expected")) {
			if _, theirs := before[name]; theirs || strings.HasPrefix(name, ".lockspire/") || filepath.Base(name) == "go.sum" {
				continue
			}
			seen++
			if found := unfinished.FindString(content); found != "" {
				t.Errorf("%s/%s says %s", c.name, name, found)
			}
			if !strings.HasSuffix(name, ".go") {
				continue
			}
			for i, line := range strings.Split(content, "\n") {
				if columns := len([]rune(strings.ReplaceAll(line, "\t", "    "))); columns > 120 {
					t.Errorf("%s/%s:%d has %d columns", c.name, name, i+1, columns)
				}
			}
			fixedPoint(t, c.name+"/"+name, []byte(content))
		}
	}
	if seen < 100 {
		t.Errorf("only %d files were looked at", seen)
	}
}

func fixedPoint(t *testing.T, name string, content []byte) {
	t.Helper()
	if got, err := format.Source(content); err != nil || !bytes.Equal(got, content) {
		t.Errorf("gofmt would change %s: %v", name, err)
	}
	got, err := imports.Process(filepath.Join(t.TempDir(), "x.go"), content, &imports.Options{Comments: true, TabIndent: true, TabWidth: 8, FormatOnly: true})
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("goimports would change %s: %v", name, err)
	}
}

// The base copies of an upgrade are the files as they were rendered.
func TestI105BaseCopiesAreTheFiles(t *testing.T) {
	for _, c := range goldenCases(t) {
		if c.Against != "" {
			continue
		}
		tree := readTree(t, filepath.Join(goldenDir, c.name, "expected"))
		for name, content := range tree {
			if of, ok := strings.CutPrefix(name, ".lockspire/base/"); ok && tree[of] != content {
				t.Errorf("%s: %s differs from %s", c.name, name, of)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(goldenDir, "servemux-sqlite-runtime", "expected", ".lockspire", "base")); err != nil {
		t.Error(err)
	}
}
