package upgrade

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
)

// TestU34NoLineOfTheHostIsEverLost edits random files of a host, managed and its
// own, deletes and moves some, and upgrades with random flags to a random later
// set. Every line that the host wrote is then in the tree or in a conflict file:
// that the undo journal has it too, for one run, is not asked for help. The tree
// compiles, or nothing was written. Undo then gives back what was there.
//
// LOCKSPIRE_TEST_COUNT says how many trees, LOCKSPIRE_TEST_SEED which.
func TestU34NoLineOfTheHostIsEverLost(t *testing.T) {
	seed, trees := uint64(time.Now().UnixNano()), 12
	number(t, "LOCKSPIRE_TEST_SEED", func(n uint64) { seed = n })
	number(t, "LOCKSPIRE_TEST_COUNT", func(n uint64) { trees = int(n) })
	sets := propertySets()
	var edits, lines, applied, refused, undone int
	for i := range trees {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		h := &edited{t: t, random: random, root: host(t, sets[0])}
		for range 1 + random.IntN(6) {
			h.edit()
		}
		compiles(t, h.root)
		before := state(t, h.root)
		report, err := h.upgrade(sets[1+random.IntN(len(sets)-1)])
		wrote := report != nil && report.Applied != nil
		what := fmt.Sprintf("seed %d, tree %d: %s; %v", seed, i, strings.Join(h.did, ", "), err)
		h.nothingLost(what)
		if !wrote && !maps.Equal(withoutConflicts(before), withoutConflicts(state(t, h.root))) {
			t.Fatalf("%s\nnothing was written, and the tree changed", what)
		}
		compiles(t, h.root)
		if wrote {
			applied++
			if _, err := plan.Undo(h.root); err != nil {
				t.Fatalf("%s\nundo: %v", what, err)
			}
			undone++
			if after := state(t, h.root); !maps.Equal(withoutConflicts(before), withoutConflicts(after)) {
				t.Fatalf("%s\nundo left another tree", what)
			}
		} else if err != nil {
			refused++
		}
		edits, lines = edits+len(h.did), lines+len(h.wrote)
	}
	t.Logf("seed %d: %d trees, %d edits, %d lines of the host, %d upgrades written, %d refused, %d undone, 0 lines lost", seed, trees, edits, lines, applied, refused, undone)
}

func number(t *testing.T, name string, set func(uint64)) {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	set(n)
}

// propertySets are template sets for a host without dependencies, so that a tree
// type-checks in a moment: routes that change, a file that comes, one that goes,
// a seam that changes.
func propertySets() []Generation {
	routes := func(words ...string) []byte {
		var b strings.Builder
		for i, w := range words {
			fmt.Fprintf(&b, "// Route%d is one of the routes.\nfunc Route%d() string {\n\treturn %q\n}\n\n", i, i, w)
		}
		return goFile(strings.TrimRight(b.String(), "\n"))
	}
	set := func(g Generation, words ...string) Generation {
		g.Files[0].Content = routes(words...)
		return g
	}
	first := set(generation(), "a", "b", "c", "d", "e")
	second := set(generation(), "a", "B", "c", "d", "e", "f")
	second.Files[1].Content = goFile("const Extra = 2\n\n// More is new.\nconst More = 3")
	third := set(generation(), "A", "b2", "c", "d", "E", "f", "g")
	third.Files = append(third.Files[:1:1], third.Files[2])
	third.Files[1].Content = []byte("package authserver\n\n// guard has a comment now.\nfunc guard() bool { return false }\n")
	fourth := set(generation(), "a", "b", "d", "e")
	return []Generation{first, second, third, fourth}
}

// edited is one host with what was done to it.
type edited struct {
	t      *testing.T
	random *rand.Rand
	root   string
	did    []string
	wrote  []string // lines, each of them once in the world
}

func (h *edited) path() string {
	return []string{mount, extra, seam, mount, "main.go"}[h.random.IntN(5)]
}

// edit does one thing to one file.
func (h *edited) edit() {
	path := h.path()
	data, err := os.ReadFile(filepath.Join(h.root, path))
	if err != nil {
		return // deleted or moved before
	}
	text := string(data)
	lines := strings.SplitAfter(text, "\n")
	switch kind := h.random.IntN(8); {
	case kind < 3: // a declaration somewhere between two
		var blanks []int
		for i, line := range lines {
			if i > 2 && strings.TrimSpace(line) == "" {
				blanks = append(blanks, i)
			}
		}
		blanks = append(blanks, len(lines))
		at := blanks[h.random.IntN(len(blanks))]
		lines = slices.Insert(lines, at, "\n"+h.line(fmt.Sprintf("const Mine%d = %d", h.random.Uint32(), len(h.wrote)))+"\n")
		h.save(path, strings.Join(lines, ""), "declared in")
	case kind < 5: // a comment behind a line of code
		for i := range lines {
			if at := (i + h.random.IntN(len(lines))) % len(lines); strings.Contains(lines[at], "return") || strings.Contains(lines[at], "const ") {
				lines[at] = h.line(strings.TrimRight(lines[at], "\r\n")+fmt.Sprintf(" // mine %d", h.random.Uint32())) + "\n"
				break
			}
		}
		h.save(path, strings.Join(lines, ""), "commented in")
	case kind == 5: // only layout
		h.save(path, strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n"), "CRLF for")
	case kind == 6 && path != "main.go" && path != seam:
		if h.mine(text) {
			return // a line that the host deletes is no line that an upgrade loses
		}
		remove(h.t, h.root, path)
		h.did = append(h.did, "deleted "+path)
	case kind == 7 && path == extra:
		remove(h.t, h.root, path)
		put(h.t, h.root, "internal/authserver/moved.go", text)
		h.did = append(h.did, "moved "+path)
	}
}

func (h *edited) mine(text string) bool {
	return slices.ContainsFunc(h.wrote, func(line string) bool { return strings.Contains(text, line) })
}

// line remembers a line of the host, without the space around it.
func (h *edited) line(text string) string {
	h.wrote = append(h.wrote, strings.TrimSpace(text))
	return text
}

func (h *edited) save(path, text, did string) {
	put(h.t, h.root, path, text)
	h.did = append(h.did, did+" "+path)
	// A line that was edited again is another line.
	h.wrote = slices.DeleteFunc(h.wrote, func(line string) bool { return !h.anywhere(line) })
}

func (h *edited) upgrade(g Generation) (*Report, error) {
	o := Options{Dir: h.root, CLIVersion: "v1.1.0", Render: renders(g), Detect: unchanged}
	o.Merge, o.Partial, o.WriteStubs = h.random.IntN(3) > 0, h.random.IntN(2) > 0, h.random.IntN(2) > 0
	if h.random.IntN(3) == 0 {
		o.Restore = []string{"*"}
	}
	h.did = append(h.did, fmt.Sprintf("upgrade merge=%v partial=%v restore=%v", o.Merge, o.Partial, o.Restore))
	return Run(h.t.Context(), o)
}

func (h *edited) anywhere(line string) bool {
	found := false
	err := filepath.WalkDir(h.root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(filepath.ToSlash(name), "/"+manifest.BasePath("")) || strings.Contains(filepath.ToSlash(name), "/.lockspire/undo/") {
			return err
		}
		data, err := os.ReadFile(name)
		found = found || strings.Contains(string(data), line)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return found
}

func (h *edited) nothingLost(what string) {
	h.t.Helper()
	for _, line := range h.wrote {
		if !h.anywhere(line) {
			h.t.Fatalf("%s\nlost: %s", what, line)
		}
	}
}

func withoutConflicts(files map[string]string) map[string]string {
	files = maps.Clone(files)
	maps.DeleteFunc(files, func(path, _ string) bool { return strings.HasPrefix(path, plan.ConflictsDir+"/") })
	return files
}

func compiles(t *testing.T, root string) {
	t.Helper()
	cmd := exec.Command("go", "vet", "./...")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
