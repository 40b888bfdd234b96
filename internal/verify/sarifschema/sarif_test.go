package sarifschema

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	// Its package carries the schema of errata 01 as a constant: the official bytes come through the module cache, and
	// no copy of a specification lies in this repository.
	_ "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

const published = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

func TestV80SARIFIsValidAgainstThePublishedSchema(t *testing.T) {
	schema := officialSchema(t)
	logs, err := filepath.Glob("../testdata/sarif/*.sarif")
	if err != nil || len(logs) < 3 {
		t.Fatalf("want the logs of findings, of none and of a failure; found %q (%v)", logs, err)
	}
	for _, name := range logs {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(t, schema, data); err != nil {
			t.Errorf("%s: %v", filepath.Base(name), err)
		}
		if !bytes.Contains(data, []byte(`"$schema": "`+published+`"`)) {
			t.Errorf("%s names another schema", filepath.Base(name))
		}
	}
}

// A schema that accepts everything would pass the test above.
func TestV80TheSchemaRefusesWhatIsWrong(t *testing.T) {
	schema := officialSchema(t)
	data, err := os.ReadFile("../testdata/sarif/findings.sarif")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{`"startLine": 4`, `"startLine": 0`},
		{`"startColumn": 2`, `"startColumn": 0`},
		{`"level": "error"`, `"level": "fatal"`},
		{`"columnKind": "unicodeCodePoints"`, `"columnKind": "bytes"`},
		{`"kind": "inSource"`, `"kind": "comment"`},
		{`"ruleId"`, `"ruleID"`},
		{`"executionSuccessful": true,`, ``},
	} {
		broken := bytes.Replace(data, []byte(c[0]), []byte(c[1]), 1)
		if bytes.Equal(broken, data) {
			t.Fatalf("%s is not in the log", c[0])
		}
		if validate(t, schema, broken) == nil {
			t.Errorf("%s in place of %s is valid", c[1], c[0])
		}
	}
}

func validate(t *testing.T, schema *jsonschema.Schema, data []byte) error {
	t.Helper()
	log, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(log)
}

func officialSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif").Output()
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), "schema.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING && text == "" {
			text, err = strconv.Unquote(lit.Value)
		}
		return err == nil
	})
	if err != nil || !strings.Contains(text, `"id": "`+published+`"`) {
		t.Fatalf("the schema is not there (%v)", err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(published, doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(published)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}
