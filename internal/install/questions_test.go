package install

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/plan"
)

// A3. Where nobody is there to answer, every question is an error that names the flag, with --yes too; nothing is asked and
// nothing waits for an answer.
func TestA3EveryQuestionIsAnErrorThatNamesItsFlag(t *testing.T) {
	for name, c := range map[string]struct {
		ask   func(*hostrepo.Repo)
		flags []string
	}{
		"which router": {func(r *hostrepo.Repo) {
			admin := r.Routers[0]
			admin.File = "admin.go"
			r.Routers = append(r.Routers, admin)
		}, []string{"--router web.go:12", "--router admin.go:12"}},
		"which engine": {func(r *hostrepo.Repo) {
			r.Routers[0].Database = nil
			r.Engines = append(r.Engines, hostrepo.Engine{Engine: "postgres", Driver: "pgx", Import: "github.com/jackc/pgx/v5/stdlib", Position: at3("main.go", 10)})
		}, []string{"--engine sqlite", "--engine postgres"}},
		"which migrations": {func(r *hostrepo.Repo) {
			r.Migrations = []hostrepo.MigrationDir{{Dir: "a", Tool: "goose", Naming: "sequence", Width: 5}, {Dir: "b", Tool: "goose", Naming: "sequence", Width: 5}}
		}, []string{"--migrations-dir a", "--migrations-dir b"}},
		"no database": {func(r *hostrepo.Repo) { r.Routers[0].Database, r.Engines = nil, nil }, []string{"--engine sqlite", "--engine postgres"}},
	} {
		t.Run(name, func(t *testing.T) {
			silent, writer := io.Pipe()
			defer writer.Close()
			repo := muxHost(t)
			c.ask(repo)
			var said bytes.Buffer
			o := Options{Yes: true, In: silent, Out: &said, Err: &said, Version: "(devel)"}
			o, err := o.normalise()
			if err != nil {
				t.Fatal(err)
			}
			_, err = prepare(t.Context(), repo, o)
			refused(t, err, 3, c.flags...)
			if said.Len() > 0 {
				t.Errorf("it says %q", &said)
			}
		})
	}
	t.Run("may it be written", func(t *testing.T) {
		j := &job{Options: Options{Err: io.Discard}}
		refused(t, j.confirm(t.Context()), 3, "--yes")
	})
	t.Run("--yes loses no work", func(t *testing.T) {
		repo := muxHost(t)
		write(t, repo, "web.go", "package app\n")
		write(t, repo, "internal/authserver/config.go", "package authserver // mine\n")
		err := decided(t, repo, Options{Yes: true}).build()
		refused(t, err, 1, "internal/authserver/config.go: ", "--adopt-existing")
		if _, ok := plan.AsRefusals(err); !ok || strings.Contains(err.Error(), "--yes") {
			t.Errorf("got %v", err)
		}
	})
}
