package upgrade

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

// Repair writes the manifest and the base copies again, from what is left of
// them, from the files of the host, and from what this version renders. It
// touches no other file. Options.Recover finds the inputs where no manifest has
// them; Options.Set decides where two sides of a merge differ.
func Repair(ctx context.Context, o Options) (*Report, error) {
	o = o.withDefaults()
	root, err := plannedRoot(o)
	if err != nil {
		return nil, err
	}
	sides, err := manifest.Salvage(root)
	if err != nil {
		return nil, err
	}
	next := &manifest.Manifest{Schema: manifest.Schema, Generator: o.CLIVersion}
	if len(sides) > 0 {
		next = sides[0].Clone()
	}
	for _, side := range sides {
		if err := refuseDowngrade(o.CLIVersion, side.Generator); err != nil {
			return nil, err
		}
		if semver.Compare(side.Generator, next.Generator) > 0 {
			next.Generator = side.Generator
		}
	}
	if next.Inputs, err = repairedInputs(ctx, o, root, sides); err != nil {
		return nil, err
	}
	fresh, err := o.Render(root, next.Inputs, nil)
	if err != nil {
		return nil, &plan.Refusal{Exit: 1, Path: manifest.Path, What: fmt.Sprintf("the inputs cannot be rendered: %v", err), Next: "lockspire upgrade --repair-manifest --set <key>=<value>"}
	}
	w := &work{Options: o, root: root, old: next, next: next, plan: &plan.Plan{Root: root}}
	w.Env.AllowDirty = true // a broken manifest is an uncommitted one
	return w.repair(ctx, sides, fresh)
}

func (w *work) repair(ctx context.Context, sides []*manifest.Manifest, fresh Generation) (*Report, error) {
	w.next.Files = nil
	for _, f := range fresh.Files {
		if err := w.repairFile(f, entriesOf(sides, f.Path)); err != nil {
			return nil, err
		}
	}
	w.keepOthers(sides)
	if err := w.repairMigrations(sides, fresh); err != nil {
		return nil, err
	}
	required, _, err := requirement(w.root)
	if err != nil {
		return nil, err
	}
	w.next.Runtime = cmp.Or(required, w.next.Runtime, w.RuntimeVersion)
	if err := w.record(""); err != nil {
		return nil, err
	}
	return w.finish(ctx)
}

func entriesOf(sides []*manifest.Manifest, path string) []manifest.File {
	var out []manifest.File
	for _, side := range sides {
		if entry := side.File(path); entry != nil {
			out = append(out, *entry)
		}
	}
	return out
}

// repairFile finds out what the last render of a file was. What nobody knows any
// more becomes the present render: the file counts as edited since, and the whole
// difference is shown.
func (w *work) repairFile(f templates.File, known []manifest.File) error {
	disk, _, err := plan.ReadHost(w.root, f.Path)
	if err != nil {
		return err
	}
	base, _, err := plan.ReadHost(w.root, manifest.BasePath(f.Path))
	if err != nil {
		return err
	}
	hash := func(content []byte) string {
		if content == nil || hasMarkers(content) {
			return ""
		}
		return manifest.Normalized(f.Path, content)
	}
	entry := func(content []byte) manifest.File {
		owner := plan.Owner(f.Owner)
		if len(known) > 0 {
			owner = known[0].Owner
		}
		return manifest.NewFile(f.Path, owner, f.Template, content)
	}
	is := func(content []byte) func(manifest.File) bool {
		return func(e manifest.File) bool { return e.Normalized == hash(content) }
	}
	put := func(e manifest.File, content []byte, v Verdict, why string) error {
		w.next.Put(e)
		w.outcome(f.Path, v, why)
		if base != nil && hash(base) == hash(content) {
			return nil
		}
		return w.setBase(f.Path, content)
	}
	switch {
	case disk != nil && hash(disk) == hash(f.Content):
		return put(entry(f.Content), f.Content, Current, "")
	case disk != nil && slices.ContainsFunc(known, is(disk)):
		return put(known[slices.IndexFunc(known, is(disk))], disk, Current, "as an earlier version rendered it")
	case base != nil && slices.ContainsFunc(known, is(base)):
		return put(known[slices.IndexFunc(known, is(base))], base, w.stands(disk), "")
	case hash(base) != "" && len(known) == 0:
		return put(entry(base), base, w.stands(disk), "the base copy is taken for the last render")
	case disk == nil && len(known) == 0:
		return nil // never written: the next upgrade brings it
	case disk == nil:
		return put(entry(f.Content), f.Content, Deleted, "you deleted it; it stays deleted")
	case f.Owner == templates.Host:
		return put(entry(f.Content), f.Content, Kept, "yours")
	}
	if err := put(entry(f.Content), f.Content, Kept, "what it was rendered as is not known; recorded as edited by you since this version"); err != nil {
		return err
	}
	w.outcomes[len(w.outcomes)-1].Whole = diff(f.Path, disk, inStyleOf(disk, f.Content))
	return nil
}

// stands is the verdict on a file whose last render is known.
func (w *work) stands(disk []byte) Verdict {
	if disk == nil {
		return Deleted
	}
	return Kept
}

func hasMarkers(content []byte) bool {
	for _, line := range bytes.Split(content, []byte("\n")) {
		if bytes.HasPrefix(line, []byte("<<<<<<<")) || bytes.HasPrefix(line, []byte(">>>>>>>")) {
			return true
		}
	}
	return false
}

// keepOthers keeps the entries of files that this version does not render: the
// next upgrade retires them.
func (w *work) keepOthers(sides []*manifest.Manifest) {
	for _, side := range sides {
		for _, entry := range side.Files {
			if w.next.File(entry.Path) == nil {
				w.next.Put(entry)
			}
		}
	}
}

// repairMigrations keeps what the sides list and finds the rest by name: a number
// and the tail that the fresh file has.
func (w *work) repairMigrations(sides []*manifest.Manifest, fresh Generation) error {
	w.next.Migrations = nil
	listed := map[string]bool{}
	have := map[int]bool{}
	for _, side := range sides {
		for _, m := range side.Migrations {
			if disk, _, err := plan.ReadHost(w.root, m.Path); err != nil {
				return err
			} else if disk == nil && len(sides) > 1 && w.numbered(m.Path) {
				continue // the other branch has it under another number
			}
			if !listed[m.Path] {
				listed[m.Path] = true
				have[m.Version] = true
				w.next.Migrations = append(w.next.Migrations, m)
			}
		}
	}
	for _, m := range fresh.Migrations {
		if have[m.Version] {
			continue
		}
		found, err := w.numberedLike(m.Path)
		if err != nil {
			return err
		}
		if found != "" {
			w.next.Migrations = append(w.next.Migrations, manifest.NewMigration(m.Version, cmp.Or(m.Engine, fresh.Engine), found, m.Content))
			w.outcome(found, Current, "found by its name")
		}
	}
	return nil
}

// numbered reports whether the file is there under another number.
func (w *work) numbered(name string) bool {
	found, err := w.numberedLike(name)
	return err == nil && found != ""
}

func (w *work) numberedLike(name string) (string, error) {
	dir, tail := path.Dir(name), strings.TrimLeft(path.Base(name), "0123456789")
	entries, err := os.ReadDir(filepath.Join(w.root, filepath.FromSlash(dir)))
	if err != nil && !os.IsNotExist(err) {
		return "", fmt.Errorf("read %s: %w", dir, err)
	}
	for _, entry := range entries {
		if base := entry.Name(); base != tail && strings.TrimLeft(base, "0123456789") == tail {
			return path.Join(dir, base), nil
		}
	}
	return "", nil
}

// repairedInputs are the inputs that the sides agree on, with what was set.
func repairedInputs(ctx context.Context, o Options, root string, sides []*manifest.Manifest) (json.RawMessage, error) {
	var migrations *manifest.Manifest
	values := make([]map[string]json.RawMessage, len(sides))
	for i, side := range sides {
		migrations = side
		if err := json.Unmarshal(side.Inputs, &values[i]); err != nil {
			return nil, fmt.Errorf("inputs: %w", err)
		}
	}
	if migrations == nil {
		migrations = &manifest.Manifest{}
	}
	asked, err := parseSet(o.Set, migrations)
	if err != nil {
		return nil, err
	}
	if len(sides) == 0 {
		if o.Recover == nil {
			return nil, &plan.Refusal{Exit: 1, Path: manifest.Path, What: "there is no manifest to repair", Next: "lockspire install"}
		}
		found, err := o.Recover(ctx, root, texts(asked))
		if err != nil {
			return nil, err
		}
		values = append(values, nil)
		if err := json.Unmarshal(found, &values[0]); err != nil {
			return nil, fmt.Errorf("inputs: %w", err)
		}
	}
	var refusals plan.Refusals
	for _, other := range values[1:] {
		for _, key := range differing(values[0], other) {
			if asked[key] == nil {
				refusals = append(refusals, &plan.Refusal{Exit: 1, Path: manifest.Path,
					What: fmt.Sprintf("the two sides of the merge differ in inputs.%s: %s and %s", key, orNone(unquoted(values[0][key])), orNone(unquoted(other[key]))),
					Next: "lockspire upgrade --repair-manifest --set " + key + "=" + unquoted(values[0][key]) + "\nlockspire upgrade --repair-manifest --set " + key + "=" + unquoted(other[key])})
			}
		}
	}
	if err := refusals.Err(); err != nil {
		return nil, err
	}
	maps.Copy(values[0], asked)
	return mustJSON(values[0]), nil
}

func texts(values map[string]json.RawMessage) map[string]string {
	out := map[string]string{}
	for key, value := range values {
		out[key] = unquoted(value)
	}
	return out
}

// differing are the keys with two values, sorted.
func differing(a, b map[string]json.RawMessage) []string {
	keys := map[string]bool{}
	for _, m := range []map[string]json.RawMessage{a, b} {
		for key := range m {
			if !bytes.Equal(bytes.TrimSpace(a[key]), bytes.TrimSpace(b[key])) {
				keys[key] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(keys))
}
