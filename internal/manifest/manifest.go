// Package manifest reads and writes .lockspire/manifest.json, the record of
// what install rendered into a host, from which inputs and with which hashes.
// upgrade renders again from it and verify compares the tree with it.
//
// The file lives in the host's repository, so anybody who can open a pull
// request can edit it: [Read] bounds its size, checks every path before any of
// them is opened, and answers each fault with its line.
package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"github.com/lockspire/lockspire/internal/plan"
)

// Schema is the newest manifest schema that this version reads and the one it
// writes.
const Schema = 1

// Places in a host, relative to the module root.
const (
	Dir  = ".lockspire"
	Path = Dir + "/manifest.json"
	base = Dir + "/base/"
)

// Manifest is the content of the file. Fields that this version does not know
// are kept by [Manifest.Marshal].
type Manifest struct {
	// Schema is 1.
	Schema int
	// Generator is the version of the CLI that rendered the files.
	Generator string
	// Runtime is the version of the runtime module that they need.
	Runtime string
	// Inputs is the JSON object that rendering depends on: flags and detected
	// facts. See [Manifest.SetInputs].
	Inputs json.RawMessage
	// Files are the rendered files, by path.
	Files []File
	// Migrations are the migration files, by path.
	Migrations []Migration

	extra []member
}

// File is one rendered file.
type File struct {
	// Path is relative to the module root, with slashes.
	Path string
	// Owner says who edits the file from now on.
	Owner plan.Owner
	// Template names what rendered it. It stays when the file moves.
	Template string
	// SHA256 is the hash of the last render.
	SHA256 string
	// Normalized is [Normalized] of the last render.
	Normalized string

	extra []member
}

// Migration is one migration file. It is never written again.
type Migration struct {
	// Version is the schema version that it brings the tables to.
	Version int
	// Path is relative to the module root, with slashes.
	Path string
	// SHA256 and Normalized are as in [File].
	SHA256     string
	Normalized string
	// Engine is "postgres" or "sqlite".
	Engine string

	extra []member
}

// NewFile records a render of content at path.
func NewFile(path string, owner plan.Owner, template string, content []byte) File {
	return File{Path: path, Owner: owner, Template: template, SHA256: Sum(content), Normalized: Normalized(path, content)}
}

// NewMigration records a render of content at path.
func NewMigration(version int, engine, path string, content []byte) Migration {
	return Migration{Version: version, Path: path, SHA256: Sum(content), Normalized: Normalized(path, content), Engine: engine}
}

// BasePath is where the last render of a managed file is kept: the base that
// an edit is compared with.
func BasePath(path string) string { return base + path }

// File returns the entry of path, or nil.
func (m *Manifest) File(path string) *File {
	for i := range m.Files {
		if m.Files[i].Path == path {
			return &m.Files[i]
		}
	}
	return nil
}

// Put adds f, or replaces the entry of its path and keeps the fields of that
// entry which this version does not know.
func (m *Manifest) Put(f File) {
	if old := m.File(f.Path); old != nil {
		f.extra = old.extra
		*old = f
		return
	}
	m.Files = append(m.Files, f)
}

// Remove drops the entry of path.
func (m *Manifest) Remove(path string) {
	kept := m.Files[:0]
	for _, f := range m.Files {
		if f.Path != path {
			kept = append(kept, f)
		}
	}
	m.Files = kept
}

// SetInputs records v, which must print as a JSON object. Members of the
// recorded inputs that v does not have are kept: a newer version wrote them.
func (m *Manifest) SetInputs(v any) error {
	fresh, err := toNode(v)
	if err != nil {
		return fmt.Errorf("manifest: inputs: %w", err)
	}
	if fresh.kind != '{' {
		return fmt.Errorf("manifest: inputs must be a JSON object, not %T", v)
	}
	if len(m.Inputs) > 0 {
		old, err := parseJSON(m.Inputs)
		if err != nil {
			return fmt.Errorf("manifest: recorded inputs: %w", err)
		}
		for _, known := range old.members {
			if fresh.get(known.key) == nil {
				fresh.members = append(fresh.members, known)
			}
		}
	}
	m.Inputs = fresh.bytes()
	return nil
}

// Marshal prints the manifest: keys sorted, files and migrations sorted by
// path, one value a line. Equal manifests print as equal bytes.
func (m *Manifest) Marshal() ([]byte, error) {
	inputs := object()
	if len(m.Inputs) > 0 {
		var err error
		if inputs, err = parseJSON(m.Inputs); err != nil {
			return nil, fmt.Errorf("manifest: inputs: %w", err)
		}
	}
	files := append([]File(nil), m.Files...)
	sort.SliceStable(files, func(i, j int) bool { return files[i].Path < files[j].Path })
	fileList := &node{kind: '['}
	for _, f := range files {
		fileList.items = append(fileList.items, object(append([]member{
			{"path", str(f.Path)}, {"owner", str(string(f.Owner))}, {"template", str(f.Template)},
			{"sha256", str(f.SHA256)}, {"normalized", str(f.Normalized)},
		}, f.extra...)...))
	}
	migrations := append([]Migration(nil), m.Migrations...)
	sort.SliceStable(migrations, func(i, j int) bool { return migrations[i].Path < migrations[j].Path })
	migrationList := &node{kind: '['}
	for _, g := range migrations {
		migrationList.items = append(migrationList.items, object(append([]member{
			{"version", number(g.Version)}, {"path", str(g.Path)}, {"sha256", str(g.SHA256)},
			{"normalized", str(g.Normalized)}, {"engine", str(g.Engine)},
		}, g.extra...)...))
	}
	root := object(append([]member{
		{"schema", number(m.Schema)}, {"generator", str(m.Generator)}, {"runtime", str(m.Runtime)},
		{"inputs", inputs}, {"files", fileList}, {"migrations", migrationList},
	}, m.extra...)...)
	return append(root.bytes(), '\n'), nil
}

func (n *node) bytes() []byte {
	var out bytes.Buffer
	n.write(&out, "")
	return out.Bytes()
}

func number(n int) *node { return &node{kind: 's', scalar: json.Number(fmt.Sprint(n))} }

// Clone returns a copy that shares nothing that either side writes to.
func (m *Manifest) Clone() *Manifest {
	c := *m
	c.Inputs = append(json.RawMessage(nil), m.Inputs...)
	c.Files = append([]File(nil), m.Files...)
	c.Migrations = append([]Migration(nil), m.Migrations...)
	return &c
}

// checkPath returns what is wrong with a path of the manifest, or "".
func checkPath(path string) string {
	switch {
	case path == "":
		return "is empty"
	case strings.ContainsRune(path, '\\'):
		return "has a backslash"
	case strings.IndexFunc(path, func(r rune) bool { return r < 0x20 || r == 0x7f }) >= 0:
		return "has a control character"
	case strings.HasPrefix(path, "/"):
		return "is absolute"
	case strings.ContainsRune(path, ':'):
		// A drive or a stream on Windows, where the same repository may be
		// checked out.
		return "has a colon"
	}
	for _, element := range strings.Split(path, "/") {
		switch {
		case element == "..":
			return "leaves the module"
		case element == "" || element == ".":
			return "is not in its shortest form"
		case strings.EqualFold(element, ".git"):
			return "is inside .git"
		}
	}
	return ""
}
