package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/lockspire/lockspire/internal/plan"
)

// maxSize bounds the file: a manifest of a thousand files is under 400 KiB.
const maxSize = 4 << 20

const (
	restore = "git checkout -- " + Path
	install = "lockspire install"
)

// missing is the refusal for a manifest that is not there. It is
// fs.ErrNotExist too, so that install can tell it from a broken one.
type missing struct{ *plan.Refusal }

func (m missing) Is(target error) bool { return target == fs.ErrNotExist }
func (m missing) Unwrap() error        { return m.Refusal }

// Read reads the manifest of the module at root. Every error is a
// *plan.Refusal with the line at fault; a missing file is fs.ErrNotExist as
// well. All paths in the result lie inside root and lead through no symbolic
// link out of it.
func Read(root string) (*Manifest, error) {
	data, err := readFile(root)
	if err != nil {
		return nil, err
	}
	m, err := Parse(data)
	if err != nil {
		return nil, err
	}
	if err := m.checkLinks(root, data); err != nil {
		return nil, err
	}
	return m, nil
}

func readFile(root string) ([]byte, error) {
	name := filepath.Join(root, filepath.FromSlash(Path))
	info, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, missing{&plan.Refusal{Exit: 1, Path: Path, What: "there is no manifest here, so what Lockspire generated is not known",
			Next: "lockspire upgrade --repair-manifest   (or, if it was committed once: " + restore + "; for a first install: " + install + ")"}}
	case err != nil:
		return nil, unreadable(err)
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, &plan.Refusal{Exit: 1, Path: Path, What: "the manifest is a symbolic link; it must be a file of this repository", Next: restore}
	case !info.Mode().IsRegular():
		return nil, &plan.Refusal{Exit: 3, Path: Path, What: "the manifest is not a regular file", Next: restore}
	case info.Size() > maxSize:
		return nil, tooLarge()
	}
	if what := leaves(root, Path); what != "" {
		return nil, &plan.Refusal{Exit: 1, Path: Path, What: "the manifest " + what, Next: restore}
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, unreadable(err)
	}
	defer file.Close()
	// The size may have grown since it was looked at.
	data, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return nil, unreadable(err)
	}
	if len(data) > maxSize {
		return nil, tooLarge()
	}
	return data, nil
}

func unreadable(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err // the path in it is absolute
	}
	return &plan.Refusal{Exit: 3, Path: Path, What: fmt.Sprintf("the manifest cannot be read: %v", err), Next: "ls -l " + Path}
}

func tooLarge() error {
	return &plan.Refusal{Exit: 1, Path: Path, What: fmt.Sprintf("the manifest is larger than %d MiB, so it is not one that Lockspire wrote", maxSize>>20), Next: restore}
}

// Parse reads a manifest from its text. The paths in the result are checked
// for form only.
func Parse(data []byte) (*Manifest, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, refuse(1, "the manifest is empty")
	}
	if line := conflictMarker(data); line > 0 {
		return nil, &plan.Refusal{Exit: 1, Path: Path, Line: line, What: "the manifest has merge conflict markers",
			Next: "lockspire upgrade --repair-manifest"}
	}
	if i := notText(data); i >= 0 {
		return nil, refuse(lineOf(data, i), "the manifest is not text")
	}
	root, err := parseJSON(data)
	var fault *lineError
	if errors.As(err, &fault) {
		return nil, refuse(fault.line, "the manifest is broken: %s", fault.what)
	}
	if err != nil {
		return nil, refuse(1, "the manifest is broken: %v", err)
	}
	d := &decoder{}
	m := d.manifest(root)
	if len(d.refusals) > 0 {
		return nil, d.refusals
	}
	return m, nil
}

func refuse(line int, format string, args ...any) *plan.Refusal {
	return &plan.Refusal{Exit: 1, Path: Path, Line: line, What: fmt.Sprintf(format, args...), Next: restore}
}

func lineOf(data []byte, offset int) int { return 1 + bytes.Count(data[:offset], []byte("\n")) }

// notText returns the offset of the first byte that no text has, or -1.
func notText(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == 0 || r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// conflictMarker returns the line of the first git conflict marker, or 0. No
// line of valid JSON begins like one.
func conflictMarker(data []byte) int {
	for i, line := range bytes.Split(data, []byte("\n")) {
		for _, marker := range []string{"<<<<<<<", "=======", ">>>>>>>", "|||||||"} {
			if bytes.HasPrefix(line, []byte(marker)) {
				return i + 1
			}
		}
	}
	return 0
}

// decoder turns nodes into a Manifest and collects every refusal on the way.
type decoder struct{ refusals plan.Refusals }

func (d *decoder) fail(line int, format string, args ...any) {
	d.refusals = append(d.refusals, refuse(line, format, args...))
}

func (d *decoder) manifest(root *node) *Manifest {
	if root.kind != '{' {
		d.fail(root.line, "the manifest must be a JSON object")
		return nil
	}
	m := &Manifest{}
	if !d.schema(root, m) {
		return nil // nothing else is read: it may mean something else there
	}
	m.Generator = d.text(root, "generator")
	m.Runtime = d.text(root, "runtime")
	if inputs := root.get("inputs"); inputs == nil || inputs.kind != '{' {
		d.fail(lineOr(inputs, root), "%q must be an object", "inputs")
	} else {
		m.Inputs = inputs.bytes()
	}
	seen := map[string]int{}
	for _, n := range d.list(root, "files") {
		f := File{Path: d.path(n, seen), Owner: plan.Owner(d.text(n, "owner")), Template: d.text(n, "template"),
			SHA256: d.hash(n, "sha256"), Normalized: d.hash(n, "normalized"),
			extra: n.without("path", "owner", "template", "sha256", "normalized")}
		if owner := n.get("owner"); owner != nil && f.Owner != plan.Host && f.Owner != plan.Managed {
			d.fail(owner.line, "owner %q is not %q or %q", f.Owner, plan.Host, plan.Managed)
		}
		m.Files = append(m.Files, f)
	}
	for _, n := range d.list(root, "migrations") {
		m.Migrations = append(m.Migrations, Migration{Version: d.integer(n, "version"), Path: d.path(n, seen),
			SHA256: d.hash(n, "sha256"), Normalized: d.hash(n, "normalized"), Engine: d.text(n, "engine"),
			extra: n.without("version", "path", "sha256", "normalized", "engine")})
	}
	m.extra = root.without("schema", "generator", "runtime", "inputs", "files", "migrations")
	return m
}

// schema reads the two fields that every schema keeps.
func (d *decoder) schema(root *node, m *Manifest) bool {
	m.Schema = d.integer(root, "schema")
	if len(d.refusals) > 0 {
		return false
	}
	if m.Schema < 1 {
		d.fail(root.get("schema").line, "schema %d does not exist", m.Schema)
		return false
	}
	if m.Schema > Schema {
		generator, _ := root.get("generator").text()
		if !versionLike.MatchString(generator) {
			generator = "a newer version"
		}
		next := "go run github.com/lockspire/lockspire/cmd/lockspire@" + generator + " upgrade"
		if generator == "a newer version" {
			next = "go run github.com/lockspire/lockspire/cmd/lockspire@latest upgrade"
		}
		d.refusals = append(d.refusals, &plan.Refusal{Exit: 3, Path: Path, Line: root.get("schema").line,
			What: fmt.Sprintf("the manifest has schema %d and this lockspire knows up to %d; it was written by lockspire %s", m.Schema, Schema, generator),
			Next: next})
		return false
	}
	return true
}

// versionLike keeps text of an attacker's choosing out of a command that is
// offered for pasting.
var versionLike = regexp.MustCompile(`^v[0-9A-Za-z.+-]{1,100}$`)

func lineOr(n, parent *node) int {
	if n != nil {
		return n.line
	}
	return parent.line
}

func (d *decoder) text(n *node, key string) string {
	value := n.get(key)
	s, ok := value.text()
	if !ok {
		d.fail(lineOr(value, n), "%q must be a string", key)
	}
	return s
}

func (d *decoder) integer(n *node, key string) int {
	value := n.get(key)
	if value != nil {
		if literal, ok := value.scalar.(json.Number); ok {
			if i, err := strconv.Atoi(literal.String()); err == nil {
				return i
			}
		}
	}
	d.fail(lineOr(value, n), "%q must be a whole number", key)
	return 0
}

var hexSHA256 = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (d *decoder) hash(n *node, key string) string {
	s := d.text(n, key)
	if value := n.get(key); value != nil && !hexSHA256.MatchString(s) {
		d.fail(value.line, "%q is not a SHA-256 in lower-case hex", key)
	}
	return s
}

// path reads the path of an entry; seen holds the paths before it.
func (d *decoder) path(n *node, seen map[string]int) string {
	path := d.text(n, "path")
	value := n.get("path")
	if value == nil {
		return path
	}
	if what := checkPath(path); what != "" {
		d.fail(value.line, "path %q %s", path, what)
	} else if first, again := seen[path]; again {
		d.fail(value.line, "path %q is listed twice, first on line %d", path, first)
	}
	seen[path] = value.line
	return path
}

func (d *decoder) list(root *node, key string) []*node {
	value := root.get(key)
	if value == nil || value.kind != '[' {
		d.fail(lineOr(value, root), "%q must be a list", key)
		return nil
	}
	for _, item := range value.items {
		if item.kind != '{' {
			d.fail(item.line, "%q must be a list of objects", key)
			return nil
		}
	}
	return value.items
}

func (n *node) without(keys ...string) []member {
	var rest []member
next:
	for _, m := range n.members {
		for _, key := range keys {
			if m.key == key {
				continue next
			}
		}
		rest = append(rest, m)
	}
	return rest
}

// checkLinks refuses paths that a symbolic link turns into other places.
func (m *Manifest) checkLinks(root string, data []byte) error {
	var refusals plan.Refusals
	check := func(path string) {
		if what := leaves(root, path); what != "" {
			quoted := quote(path)
			line := lineOf(data, max(bytes.Index(data, []byte(quoted)), 0))
			refusals = append(refusals, refuse(line, "path %s %s", quoted, what))
		}
	}
	for _, f := range m.Files {
		check(f.Path)
		check(BasePath(f.Path))
	}
	for _, g := range m.Migrations {
		check(g.Path)
	}
	if len(refusals) > 0 {
		return refusals
	}
	return nil
}

// leaves says how a path whose form is fine still leads elsewhere: its last
// element is a symbolic link, or a directory on the way is one that leads out
// of root. A path that does not exist leads nowhere else.
func leaves(root, path string) string {
	name := root
	elements := strings.Split(path, "/")
	for i, element := range elements {
		name = filepath.Join(name, element)
		info, err := os.Lstat(name)
		if err != nil {
			return "" // missing: nothing to follow
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		if i == len(elements)-1 {
			return "is a symbolic link"
		}
		real, err := filepath.EvalSymlinks(name)
		if err != nil {
			return "" // dangling: nothing can be read through it
		}
		realRoot, err := filepath.EvalSymlinks(root)
		if err != nil {
			return "cannot be resolved"
		}
		if rel, err := filepath.Rel(realRoot, real); err != nil || !filepath.IsLocal(rel) {
			return "leads out of the module through the symbolic link " + strings.Join(elements[:i+1], "/")
		}
	}
	return ""
}
