package dbtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const conformanceDocs = "../../docs/conformance.md"

// The tables in the docs are written from the lists that the tests are held
// to, so they say what the tests saw.
func TestConformanceTablesAreThoseOfTheTests(t *testing.T) {
	content, err := os.ReadFile(conformanceDocs)
	if err != nil {
		t.Fatal(err)
	}
	written := string(content)
	for name, modules := range map[string][]conformanceModule{"basic": basicModules, "config": configModules} {
		begin, end := "<!-- "+name+": made by the test -->\n", "<!-- end of "+name+" -->\n"
		before, rest, found := strings.Cut(written, begin)
		_, after, closed := strings.Cut(rest, end)
		if !found || !closed {
			t.Fatalf("%s has no place for the table %q", conformanceDocs, name)
		}
		written = before + begin + "\n" + conformanceTable(modules) + "\n" + end + after
	}
	if written == string(content) {
		return
	}
	if !*updateDocs {
		t.Fatalf("the tables of %s are not those of the tests; run: (cd runtime/dbtest && GOWORK=off go test -run TestConformanceTables -update .)", conformanceDocs)
	}
	if err := os.WriteFile(conformanceDocs, []byte(written), 0o644); err != nil {
		t.Fatal(err)
	}
}

func conformanceTable(modules []conformanceModule) string {
	var table strings.Builder
	table.WriteString("| module | test | what it demands | result |\n|---|---|---|---|\n")
	for _, module := range modules {
		result := module.verdict.String()
		if module.because != "" {
			result += ": " + module.because
		}
		if module.verdict == reviewed {
			result = module.verdict.String() + " " + module.because
		}
		fmt.Fprintf(&table, "| `%s` | `TestConformance%s` | %s | %s |\n", module.name, module.test, module.demands, result)
	}
	return table.String()
}

// Every module has a test and every test a module. A list alone could name a
// test that nobody wrote.
func TestConformanceListsAreComplete(t *testing.T) {
	files, err := filepath.Glob("conformance*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var written, listed []string
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, declared := range parsed.Decls {
			if function, ok := declared.(*ast.FuncDecl); ok && function.Recv == nil {
				name, test := strings.CutPrefix(function.Name.Name, "TestConformance")
				if test && (strings.HasPrefix(name, "Basic") || strings.HasPrefix(name, "Config")) {
					written = append(written, name)
				}
			}
		}
	}
	for _, module := range append(basicModules, configModules...) {
		listed = append(listed, module.test)
	}
	slices.Sort(written)
	slices.Sort(listed)
	if !slices.Equal(written, listed) || len(basicModules) != 38 {
		t.Errorf("tests %q\nlisted %q", written, listed)
	}
}
