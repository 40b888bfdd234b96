package hostrepo

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// I69: a group has the middleware that one would want, and a prefix. The call is offered on the router that is served all the
// same; of a call that a person makes on the group, the effective path is known.
func TestI69CallGoesOnTheServedRouterAndTheEffectivePathOfAGroupIsKnown(t *testing.T) {
	sums, err := os.ReadFile("../../golden/chi-postgres-goose/input/go.sum")
	if err != nil {
		t.Fatal(err)
	}
	chi := strings.Join(regexp.MustCompile(`(?m)^github.com/go-chi/chi/v5 .*$`).FindAllString(string(sums), -1), "\n") + "\n"
	version := strings.TrimSuffix(strings.Fields(chi)[1], "/go.mod")
	main := `package main

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"example.com/host/authserver"
)

func main() {
	r := chi.NewRouter()
	r.Route("/api", func(api chi.Router) {
		api.Use(func(next http.Handler) http.Handler { return next })
		api.Get("/x", nil)
		authserver.MustMount(api)
	})
	http.ListenAndServe(":8080", r)
}
`
	dir := expand(t, archive("go.mod", goMod+"\nrequire github.com/go-chi/chi/v5 "+version+"\n", "go.sum", chi, "main.go", main,
		"authserver/lockspire_gen.go", GeneratedHeader+"\n\npackage authserver\n\nimport \"github.com/go-chi/chi/v5\"\n\nfunc MustMount(chi.Router) {}\n"))
	r, err := load(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Mounts) != 1 || r.Mounts[0].Prefix != "/api" || !r.Mounts[0].PrefixKnown {
		t.Errorf("mounts %+v", r.Mounts)
	}
	without := strings.Replace(strings.Replace(main, "\t\tauthserver.MustMount(api)\n", "", 1), "\n\t\"example.com/host/authserver\"\n", "", 1)
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(without), 0o644); err != nil {
		t.Fatal(err)
	}
	if r, err = load(t, dir); err != nil {
		t.Fatal(err)
	}
	root, refusals := r.Root("")
	if refusals != nil || root.Expr != "r" || root.Func != "main" || root.Insert.Scope == nil || len(r.Mounts) != 0 {
		t.Errorf("router %+v, %v", root, refusals)
	}
}
