package dbtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	lockspire "github.com/lockspire/lockspire/runtime"
)

const (
	planDoc   = "../../docs/storage.md"
	planBegin = "<!-- statements: go test ./runtime/dbtest -run TestEveryStatement -update -->\n"
	planEnd   = "<!-- end of statements -->\n"

	planReadsAllCell = "reads all"
)

// missedStatements are the string literals of the runtime's source that name a
// table and are in no statement that was sent.
func missedStatements(t *testing.T, found []*planned) []string {
	t.Helper()
	files, err := filepath.Glob("../*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no source", err)
	}
	var missed []string
	literals := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING || !strings.Contains(literal.Value, "@.lockspire_") {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			literals++
			want := planLiteral(text)
			if !slices.ContainsFunc(found, func(p *planned) bool { return want.MatchString(p.statement) }) {
				missed = append(missed, filepath.Base(file)+": "+text)
			}
			return true
		})
	}
	if literals < 50 {
		t.Errorf("only %d statements in the source; are they spelled in another way now?", literals)
	}
	return missed
}

// planLiteral matches the statements that a literal is part of, whatever its
// formatting verbs stand for, wherever a chain has its placeholders begin, and
// though it makes a SELECT of VALUES.
func planLiteral(text string) *regexp.Regexp {
	text, _, _ = strings.Cut(text, "VALUES")
	text = strings.ReplaceAll(planSpace.ReplaceAllString(text, " "), "@.", "")
	text = regexp.QuoteMeta(strings.TrimSpace(text))
	text = regexp.MustCompile(`\\\$\d+`).ReplaceAllString(text, `[$$?]\d+`)
	text = regexp.MustCompile(`%[sd]`).ReplaceAllString(text, ".*")
	return regexp.MustCompile(strings.TrimSuffix(text, `IN \(`))
}

// planTable is the documentation's table: one line for each statement.
func planTable(found map[lockspire.Dialect][]*planned) string {
	lines := map[string]map[lockspire.Dialect][]string{}
	for engine, all := range found {
		for _, p := range all {
			key := fmt.Sprintf("| `%s` | %s | %s", p.caller, planWords(p.statement), p.use())
			if lines[key] == nil {
				lines[key] = map[lockspire.Dialect][]string{}
			}
			if len(p.flaws) > 0 {
				lines[key][engine] = append(lines[key][engine], planReadsAllCell)
				continue
			}
			for _, name := range planKeys(p.indexes) {
				if name = planIndex(name); !slices.Contains(lines[key][engine], name) {
					lines[key][engine] = append(lines[key][engine], name)
				}
			}
		}
	}
	var all []string
	for key, by := range lines {
		line := key
		for _, engine := range []lockspire.Dialect{lockspire.PostgreSQL, lockspire.SQLite} {
			sort.Strings(by[engine])
			cell := strings.Join(by[engine], ", ")
			if cell == "" {
				cell = "–"
			}
			line += " | " + cell
		}
		all = append(all, line+" |\n")
	}
	sort.Strings(all)
	return "| sent by | statement | for | PostgreSQL | SQLite |\n|---|---|---|---|---|\n" + strings.Join(all, "")
}

// use is the most pressing of the uses.
func (p *planned) use() string {
	for _, use := range []string{forRequest, forBackground} {
		if p.uses[use] {
			return use
		}
	}
	return forOperator
}

func planKeys(set map[string]bool) []string {
	var keys []string
	for key := range set {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

var planTableName = regexp.MustCompile(`(?:FROM|JOIN|INTO|UPDATE) lockspire_(\w+)`)

// planWords is a statement's verb and its tables.
func planWords(statement string) string {
	verb, _, _ := strings.Cut(statement, " ")
	var tables []string
	for _, match := range planTableName.FindAllStringSubmatch(statement, -1) {
		if !slices.Contains(tables, match[1]) {
			tables = append(tables, match[1])
		}
	}
	return verb + " " + strings.Join(tables, ", ")
}

// planIndex is an index's name as the documentation has it.
func planIndex(name string) string {
	name = strings.TrimPrefix(name, "lockspire_")
	if table, ok := strings.CutSuffix(name, "_pkey"); ok {
		return table + " key"
	}
	if table, ok := strings.CutPrefix(name, "sqlite_autoindex_lockspire_"); ok {
		i := strings.LastIndexByte(table, '_')
		return table[:i] + map[string]string{"1": " key", "2": "_hash_key", "3": "_parent_id_key"}[table[i+1:]]
	}
	return name
}

// planGist is a table without the names of indexes: where two find the same
// row, statistics and versions decide which one the engine takes.
func planGist(table string) string {
	lines := strings.Split(table, "\n")
	for i, line := range lines {
		cells := strings.Split(line, " | ")
		for j := 3; j < len(cells); j++ {
			if cell := strings.TrimSuffix(cells[j], " |"); cell != "–" && cell != planReadsAllCell {
				cells[j] = "by index"
			}
		}
		lines[i] = strings.Join(cells, " | ")
	}
	return strings.Join(lines, "\n")
}

// checkPlanDoc compares the documentation with the table, or writes it.
func checkPlanDoc(t *testing.T, table string) {
	t.Helper()
	content, err := os.ReadFile(planDoc)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(content), planBegin)
	old, after, closed := strings.Cut(rest, planEnd)
	if !ok || !closed {
		t.Fatalf("%s has no place for the table of statements", planDoc)
	}
	switch {
	case !*updateDocs && planGist(old) == planGist(table):
	case *updateDocs:
		if err := os.WriteFile(planDoc, []byte(before+planBegin+table+planEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the table of statements in docs/storage.md is stale; in runtime/dbtest: go test -run TestEveryStatement -update .\nnew lines\n%s\nold lines\n%s",
			linesWithout(planGist(table), planGist(old)), linesWithout(planGist(old), planGist(table)))
	}
}

// linesWithout are the lines of a that b lacks.
func linesWithout(a, b string) string {
	have := strings.Split(b, "\n")
	return strings.Join(slices.DeleteFunc(strings.Split(a, "\n"), func(line string) bool { return slices.Contains(have, line) }), "\n")
}
