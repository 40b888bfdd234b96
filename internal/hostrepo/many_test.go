package hostrepo

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/rogpeppe/go-internal/txtar"
)

// TestManyRouters is TestFacts for a module with many programs: one load tells the facts of all of them, and one more
// proves all splices. A program's router is described in a want section of its own directory.
func TestManyRouters(t *testing.T) {
	name := filepath.Join("testdata", "many", "routers.txtar")
	a, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	dir := expand(t, a)
	before := snapshot(t, dir)
	r, err := Load(context.Background(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	sameTree(t, dir, before)
	for _, e := range r.Errors {
		t.Errorf("%s:%d: %s", e.File, e.Line, e.Msg)
	}
	overlay := map[string][]byte{}
	wired := 0
	var got strings.Builder
	for i := range r.Routers {
		c := &r.Routers[i]
		fmt.Fprintf(&got, "%s\n", strings.Repeat("=", 40))
		describeRouter(&got, c)
		if c.Problem != "" {
			continue
		}
		wired++
		gen := path.Join("gen", fmt.Sprintf("g%d", i))
		src := spliceAll(c, "example.com/host/"+gen, r.src[c.Insert.File])
		text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
			A: difflib.SplitLines(visible(r.src[c.Insert.File])), B: difflib.SplitLines(visible(src)), Context: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		got.WriteString(text)
		overlay[filepath.Join(dir, filepath.FromSlash(c.Insert.File))] = src
		overlay[filepath.Join(dir, filepath.FromSlash(gen), "lockspire_gen.go")] = generatedFor(c, "g")
	}
	compareWant(t, name, a, got.String())

	again, err := Load(context.Background(), Options{Dir: dir, Overlay: overlay})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range again.Errors {
		t.Errorf("the spliced program: %s:%d: %s", e.File, e.Line, e.Msg)
	}
	if len(again.Mounts) != wired {
		t.Errorf("%d of %d calls are recognised", len(again.Mounts), wired)
	}
	if len(again.Routers) != len(r.Routers) {
		t.Errorf("%d routers before, %d after", len(r.Routers), len(again.Routers))
	}
	for _, c := range again.Routers {
		for _, w := range c.Wrappers {
			if strings.Contains(w.Func, "MustMount") {
				t.Errorf("%s:%d: our own call counts as middleware", w.File, w.Line)
			}
		}
	}
}

// spliceAll makes the edit of install, reduced to the call.
func spliceAll(c *Router, pkg string, src []byte) []byte {
	in := c.Insert
	alias := in.Alias("g")
	splices := []Splice{in.ImportSplice(pkg, "g", alias)}
	if in.Wraps != "" {
		splices = append(splices, in.WrapSplices(alias+".MustMount(", ")")...)
	} else {
		splices = append(splices, in.CallSplice(alias+".MustMount("+c.Expr+")"))
	}
	return Apply(src, splices...)
}

// generatedFor is a generated file with the signature for a router.
func generatedFor(c *Router, pkg string) []byte {
	param, result, body := "lib."+c.Type[strings.LastIndexAny(c.Type, ".*")+1:], "", ""
	if strings.HasPrefix(c.Type, "*") {
		param = "*" + param
	}
	if c.Kind == KindHandler {
		param, result, body = "lib.Handler", "lib.Handler", "return next"
	}
	return []byte(GeneratedHeader + "\n\npackage " + pkg + "\n\nimport lib \"" + c.TypePath + "\"\n\n" +
		"func MustMount(next " + param + ") " + result + " { " + body + " }\n")
}
