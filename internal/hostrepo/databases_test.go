package hostrepo

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestI84AndI112AndI113 loads programs on every library, each against a stand-in of the library's import path, and once more with
// a call that hands each accessor on as what it is said to be.
func TestI84AndI112AndI113HandlesOfLibrariesHaveAccessorsThatCompile(t *testing.T) {
	name := filepath.Join("testdata", "many", "databases.txtar")
	a, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	dir := expand(t, a)
	r, err := Load(context.Background(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range r.Errors {
		t.Errorf("%s:%d: %s", e.File, e.Line, e.Msg)
	}
	overlay := map[string][]byte{}
	var got strings.Builder
	for i := range r.Routers {
		c := &r.Routers[i]
		fmt.Fprintf(&got, "%s\n", path.Base(path.Dir(c.File)))
		for j, h := range c.Database {
			fmt.Fprintf(&got, "  %s %s", h.Kind, h.Expr)
			for _, fact := range [][2]string{{"of", h.Library}, {"engine", h.Engine}, {"engines", strings.Join(h.Engines, ",")}, {"driver", h.Driver}, {"import", h.Import}} {
				if fact[1] != "" {
					fmt.Fprintf(&got, " %s=%s", fact[0], fact[1])
				}
			}
			fmt.Fprintln(&got)
			if j == 0 {
				take, body := path.Join("take", h.Kind), map[string]string{
					HandleSQL:  "import \"database/sql\"\n\nfunc MustMount(*sql.DB) {}\n",
					HandleGorm: "import \"gorm.io/gorm\"\n\nfunc MustMount(*gorm.DB) {}\n",
				}[h.Kind]
				overlay[filepath.Join(dir, take, "take.go")] = []byte("package take\n\n" + body)
				in := c.Insert
				overlay[filepath.Join(dir, c.Insert.File)] = Apply(r.src[in.File],
					in.ImportSplice("example.com/host/"+take, "take", "take"), in.CallSplice("take.MustMount("+h.Expr+")"))
			}
		}
	}
	compareWant(t, name, a, got.String())
	again, err := Load(context.Background(), Options{Dir: dir, Overlay: overlay})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range again.Errors {
		t.Errorf("with the accessor: %s:%d: %s", e.File, e.Line, e.Msg)
	}
}
