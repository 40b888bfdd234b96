package install

import (
	"bytes"
	"strings"

	"github.com/lockspire/lockspire/internal/hostrepo"
	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

// build fills the plan: rendered files, migrations, the inserted call, and the manifest that records them.
func (j *job) build() error {
	rendered, err := templates.Render(j.in)
	if err != nil {
		return err
	}
	next := &manifest.Manifest{Schema: manifest.Schema, Generator: j.Version}
	if j.recorded != nil {
		next = j.recorded.Clone()
	}
	next.Runtime = j.runtime
	if err := next.SetInputs(j.in); err != nil {
		return err
	}
	var refusals plan.Refusals
	for _, f := range rendered {
		if refusal, err := j.place(f, next); err != nil {
			return err
		} else if refusal != nil {
			refusals = append(refusals, refusal)
		}
	}
	missed, err := j.migrations(next)
	if err != nil {
		return err
	}
	refusals = append(refusals, missed...)
	if err := refusals.Err(); err != nil {
		return err
	}
	if err := j.wire(); err != nil {
		return err
	}
	if err := j.record(next); err != nil {
		return err
	}
	j.describe(rendered)
	return nil
}

// place plans one rendered file. What is there already with the same meaning is adopted, anything else in its place is
// refused, and what an earlier run wrote belongs to upgrade and to the host.
func (j *job) place(f templates.File, next *manifest.Manifest) (*plan.Refusal, error) {
	owner := plan.Owner(f.Owner)
	change, err := j.plan.File(f.Path, owner, f.Content, f.Why)
	if err != nil {
		return nil, err
	}
	if j.recorded != nil {
		if entry := j.recorded.File(f.Path); entry != nil && (change.Before != nil || owner == plan.Host && !j.packageGone()) {
			return nil, nil
		}
	}
	switch {
	case change.Before == nil:
		j.plan.Add(change)
	case manifest.Normalized(f.Path, change.Before) == manifest.Normalized(f.Path, f.Content):
		j.adopted = append(j.adopted, f.Path)
	case j.AdoptExisting:
		j.adopted = append(j.adopted, f.Path)
		owner = plan.Host
	default:
		return &plan.Refusal{Exit: 1, Path: f.Path, What: wordFileTaken, Next: "lockspire install --adopt-existing"}, nil
	}
	next.Put(manifest.NewFile(f.Path, owner, f.Template, f.Content))
	return nil, j.base(f.Path, f.Content)
}

// packageGone reports whether the host deleted the package as a whole, to start over: a single file of its own that is
// missing was deleted on purpose, but without any the managed ones do not compile.
func (j *job) packageGone() bool {
	return j.repo.PackageAt(j.in.Package) == nil
}

// base plans the copy that a later upgrade compares an edited file with. Of a host's own file too: when its template
// changes, the upgrade shows what changed.
func (j *job) base(path string, content []byte) error {
	change, err := j.plan.File(manifest.BasePath(path), plan.Managed, content, wordBase)
	if err != nil {
		return err
	}
	j.plan.Add(change)
	return nil
}

// wire plans the inserted call, as a splice.
func (j *job) wire() error {
	if j.router == nil || j.NoWire || !j.in.Wire || j.wired() {
		return nil
	}
	insert := j.router.Insert
	change, err := j.plan.File(insert.File, plan.Host, nil, wordCall)
	if err != nil {
		return err
	}
	qualifier, splices := j.qualifier()
	if insert.Wraps != "" {
		before, behind := j.around(qualifier)
		behind = strings.ReplaceAll(behind, "\n", insert.EOL+insert.Indent)
		splices = append(splices, insert.WrapSplices(before, behind)...)
	} else {
		splices = append(splices, insert.CallSplice(j.call(qualifier)...))
	}
	change.After = hostrepo.Apply(change.Before, splices...)
	change.Insert = true
	j.plan.Add(change)
	return nil
}

// qualifier is what stands before Mount, and the import it needs.
func (j *job) qualifier() (string, []hostrepo.Splice) {
	insert, name := j.router.Insert, j.in.PackageName()
	switch existing := insert.ImportName(j.in.ImportPath()); existing {
	case "":
		alias := insert.Alias(name)
		return alias + ".", []hostrepo.Splice{insert.ImportSplice(j.in.ImportPath(), name, alias)}
	case ".":
		return "", nil
	default:
		return existing + ".", nil
	}
}

// around is the call that goes around a handler, where it is handed to the server or to middleware.
func (j *job) around(qualifier string) (before, behind string) {
	return qualifier + "MustMount(", ", " + qualifier + "Host{" + j.hostFields(qualifier) + "})"
}

// call is the statement that mounts, in the form that the enclosing function allows.
func (j *job) call(qualifier string) []string {
	arguments := j.router.Expr + ", " + qualifier + "Host{" + j.hostFields(qualifier) + "}"
	insert := j.router.Insert
	if insert.Returns != hostrepo.ReturnsError {
		return strings.Split(qualifier+"MustMount("+arguments+")", "\n")
	}
	errName, assign := "err", ":="
	if insert.ErrName != "" {
		errName, assign = insert.ErrName, "="
	}
	results := strings.Join(append(append([]string(nil), insert.Zeros...), errName), ", ")
	mount := "if _, " + errName + " " + assign + " " + qualifier + "Mount(" + arguments + "); " + errName + " != nil {"
	return append(strings.Split(mount, "\n"), "\treturn "+results, "}")
}

// hostFields are the fields of the Host literal in the call.
func (j *job) hostFields(qualifier string) string {
	var fields []string
	for _, field := range []string{j.databaseField(), j.sessionField(qualifier)} {
		if field != "" {
			fields = append(fields, field)
		}
	}
	return strings.Join(fields, ", ")
}

func (j *job) databaseField() string {
	expr := "nil"
	if j.handle != nil {
		expr = j.handle.Expr
	}
	switch j.in.Database {
	case templates.DatabaseSQL:
		return "DB: " + expr
	case templates.DatabasePgx:
		return "Pool: " + expr
	case templates.DatabaseGorm:
		return "Gorm: " + expr
	}
	return ""
}

// record plans the manifest when it would say anything new.
func (j *job) record(next *manifest.Manifest) error {
	is, err := next.Marshal()
	if err != nil {
		return err
	}
	if j.recorded != nil {
		was, err := j.recorded.Marshal()
		if err != nil || bytes.Equal(was, is) {
			return err
		}
	}
	change, err := j.plan.File(manifest.Path, plan.Managed, is, wordManifest)
	if err != nil {
		return err
	}
	j.plan.Add(change)
	return nil
}
