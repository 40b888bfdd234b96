package verify

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
)

func contentAfter(t *testing.T, x *Fixes, path string) string {
	t.Helper()
	for _, c := range x.Plan.Changes {
		if c.Path == path {
			return string(c.After)
		}
	}
	t.Fatalf("the plan does not change %s", path)
	return ""
}

func TestV89FixDeletesCommentsThatAcceptNothing(t *testing.T) {
	text := "package main\n\nfunc main() {\n" +
		"\t//lockspire:ignore LS203 alone on its line\n" +
		"\tprintln(1)\t//lockspire:ignore LS203 behind code\n" +
		"\tprintln(2) /*203*/ //lockspire:ignore LS203 in use\n" +
		"\tprintln(3) //lockspire:ignore LS999 a rule that might be meant\n" +
		"\tprintln(4) //lockspire:ignore LS203\n}\n" +
		"//lockspire:ignore LS203 the last line"
	for name, eol := range map[string]string{"LF": "\n", "CRLF": "\r\n"} {
		files := map[string]string{"main.go": "\ufeff" + strings.ReplaceAll(text, "\n", eol)}
		fixes, err := judged(t, files).Fixes()
		if err != nil {
			t.Fatal(err)
		}
		want := "\ufeffpackage main\n\nfunc main() {\n" +
			"\tprintln(1)\n" +
			"\tprintln(2) /*203*/ //lockspire:ignore LS203 in use\n" +
			"\tprintln(3) //lockspire:ignore LS999 a rule that might be meant\n" +
			"\tprintln(4) //lockspire:ignore LS203\n}\n"
		got := contentAfter(t, fixes, "main.go")
		if got != strings.ReplaceAll(want, "\n", eol) {
			t.Errorf("%s: got\n%q", name, got)
		}
		if len(fixes.Fixed) != 3 || len(fixes.Dropped) != 0 {
			t.Errorf("%s: %d fixed, %d dropped", name, len(fixes.Fixed), len(fixes.Dropped))
		}
		again, err := judged(t, map[string]string{"main.go": got}).Fixes()
		if err != nil || len(again.Fixed) != 0 || !again.Plan.Empty() {
			t.Errorf("%s: a second run fixes %d (%v)", name, len(again.Fixed), err)
		}
	}
}

func TestV89OverlappingFixesAreDroppedWholeWithAMessage(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{"a.txt": "0123456789", "b.txt": "abc"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	finding := func(line int, edits ...Edit) Finding {
		return Finding{Rule: "LS504", Severity: Warning, Message: "m", Position: at("a.txt", line, 1), Edits: edits}
	}
	r := Report{root: root, Findings: []Finding{
		finding(1, Edit{Path: "a.txt", Start: 2, End: 4, Old: "23", New: "x"}),
		finding(2, Edit{Path: "b.txt", Start: 0, End: 1, Old: "a", New: "A"}, Edit{Path: "a.txt", Start: 3, End: 6, Old: "345"}), // overlaps the first
		finding(3, Edit{Path: "a.txt", Start: 4, End: 6, Old: "45", New: "y"}),                                                   // beside it
		finding(4, Edit{Path: "a.txt", Start: 8, End: 9, Old: "7"}),                                                              // not what is there
		finding(5, Edit{Path: "b.txt", New: "a file that exists", Create: true}),
		finding(6, Edit{Path: "c.txt", New: "new", Create: true}),
		finding(7, Edit{Path: "c.txt", New: "other", Create: true}),
		{Rule: "LS504", Severity: Warning, Suppressed: "accepted", Position: at("a.txt", 8, 1), Edits: []Edit{{Path: "a.txt", Start: 9, End: 10, Old: "9"}}},
	}}
	fixes, err := r.Fixes()
	if err != nil {
		t.Fatal(err)
	}
	if got := contentAfter(t, fixes, "a.txt"); got != "01xy6789" {
		t.Errorf("a.txt becomes %q", got)
	}
	if got := contentAfter(t, fixes, "c.txt"); got != "new" {
		t.Errorf("c.txt becomes %q", got)
	}
	if len(fixes.Plan.Changes) != 2 || len(fixes.Fixed) != 3 {
		t.Errorf("%d files, %d fixed: a fix with one bad half must do nothing", len(fixes.Plan.Changes), len(fixes.Fixed))
	}
	why := map[int]string{2: "the fix of LS504 at a.txt:1:1", 4: "is not as it was", 5: "is not as it was", 7: "the fix of LS504 at a.txt:6:1"}
	if len(fixes.Dropped) != len(why) {
		t.Errorf("%d dropped, want %d", len(fixes.Dropped), len(why))
	}
	for _, d := range fixes.Dropped {
		if want := why[d.Line]; want == "" || !strings.Contains(d.Why, want) {
			t.Errorf("line %d is dropped because %s; want %q", d.Line, d.Why, want)
		}
	}
}

func TestV89ADeletedManagedFileComesBackOnlyFromItsOwnCopy(t *testing.T) {
	h := parsed(t, map[string]string{"main.go": "package main\n"})
	content := []byte("// generated\n")
	file := manifest.NewFile("internal/authserver/lockspire_gen.go", plan.Managed, "t", content)
	if got := h.restore(file); got != nil {
		t.Errorf("without a copy: %+v", got)
	}
	base := filepath.Join(h.repo.ModuleRoot, manifest.BasePath(file.Path))
	if err := os.MkdirAll(filepath.Dir(base), 0o777); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{string(content): 1, "// of another render\n": 0} {
		if err := os.WriteFile(base, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if got := h.restore(file); len(got) != want || want == 1 && (got[0].New != string(content) || !got[0].Create) {
			t.Errorf("copy %q: %+v", text, got)
		}
	}
}
