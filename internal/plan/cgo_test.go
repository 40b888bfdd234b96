package plan

import (
	"strings"
	"testing"
)

// I31. A splice into a file that uses cgo is checked as it will be compiled: what it breaks is seen at its place, and what
// C declares is no error.
func TestI31CheckReadsCgoFilesAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	files := module1(hosts["one line"])
	main := "package main\n\n// static int one(void) { return 1; }\nimport \"C\"\n\nimport \"example.test/other\"\n\nfunc main() { other.F(); println(C.one()) }\n"
	files["main.go"] = main
	root := tidyHost(t, env, files)
	wired := strings.NewReplacer("import \"example.test/other\"", "import (\n\t\"example.test/host/internal/authserver\"\n\t\"example.test/other\"\n)",
		"println(", "_ = authserver.Mount(); println(").Replace(main)
	p := runtimePlan(t, root)
	add(t, p, "main.go", wired)
	if err := checked(t, p, root, env); err != nil {
		t.Fatal(err)
	}
	add(t, p, "main.go", strings.Replace(wired, "Mount()", "Mounted()", 1))
	places(t, checked(t, p, root, env), 1, "main.go:11:41")
}
