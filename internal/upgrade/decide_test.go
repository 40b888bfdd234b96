package upgrade

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
	"github.com/lockspire/lockspire/templates"
)

func TestU02UneditedFileIsReplacedWithItsBaseAndHash(t *testing.T) {
	root, next := host(t, generation()), withMount("const Routes = 8")
	report, err := run(t, root, next)
	if err != nil {
		t.Fatal(err)
	}
	want := string(goFile("const Routes = 8"))
	if verdict(report, mount) != Updated || get(t, root, mount) != want || get(t, root, manifest.BasePath(mount)) != want {
		t.Errorf("%s: %s\n%s", mount, verdict(report, mount), get(t, root, mount))
	}
	m, err := manifest.Read(root)
	if err != nil || m.File(mount).SHA256 != manifest.Sum([]byte(want)) {
		t.Errorf("manifest: %v", err)
	}
	settled(t, root, next)
}

func TestU02EditedFileWithUnchangedTemplateIsKept(t *testing.T) {
	root := host(t, generation())
	edit(t, root, mount, "7", "700")
	next := generation()
	next.Files[1].Content = goFile("const Extra = 2")
	report, err := run(t, root, next)
	if err != nil {
		t.Fatal(err)
	}
	if verdict(report, mount) != Kept || !strings.Contains(get(t, root, mount), "700") || verdict(report, extra) != Updated {
		t.Errorf("outcomes %+v", report.Outcomes)
	}
	settled(t, root, next)
}

func TestU04EditedFileWithChangedTemplateIsRefusedWithBothDiffs(t *testing.T) {
	root := host(t, generation())
	edit(t, root, mount, "Routes counts", "Routes counts ours")
	next := withMount("// Routes counts.\nconst Routes = 8")
	next.Files[1].Content = goFile("const Extra = 2") // would be replaced: all or nothing
	report, err := run(t, root, next)
	refusals, ok := plan.AsRefusals(err)
	if !ok || refusals.ExitCode() != 1 || len(refusals) != 1 || refusals[0].Path != mount || refusals[0].Next == "" {
		t.Fatalf("got %v", err)
	}
	var refused Outcome
	for _, o := range report.Outcomes {
		if o.Verdict == Refused {
			refused = o
		}
	}
	if !strings.Contains(refused.Yours, "+// Routes counts ours.") || strings.Contains(refused.Yours, "= 8") {
		t.Errorf("yours:\n%s", refused.Yours)
	}
	if !strings.Contains(refused.Ours, "+const Routes = 8") || strings.Contains(refused.Ours, "counts ours") {
		t.Errorf("ours:\n%s", refused.Ours)
	}
	var out bytes.Buffer
	if err := report.Write(&out); err != nil || !strings.Contains(out.String(), refused.Yours) || !strings.Contains(out.String(), refused.Ours) {
		t.Errorf("the report lacks a diff (%v):\n%s", err, out.String())
	}
	if !strings.Contains(report.Counts(), "1 refused") {
		t.Errorf("counts: %s", report.Counts())
	}
}

func TestU08WithoutABaseCopyTheWholeDifferenceIsShown(t *testing.T) {
	for name, spoil := range map[string]func(root string){
		"missing":   func(root string) { os.Remove(filepath.Join(root, manifest.BasePath(mount))) },
		"different": func(root string) { put(t, root, manifest.BasePath(mount), "package other\n") },
	} {
		t.Run(name, func(t *testing.T) {
			root := host(t, generation())
			edit(t, root, mount, "counts", "counts ours")
			spoil(root)
			report, err := run(t, root, withMount("// Routes counts.\nconst Routes = 8"))
			if err == nil || !strings.Contains(err.Error(), "not the last render") {
				t.Fatalf("got %v", err)
			}
			for _, o := range report.Outcomes {
				if o.Path == mount && (o.Yours != "" || o.Ours != "" || !strings.Contains(o.Whole, "+const Routes = 8")) {
					t.Errorf("outcome %+v", o)
				}
			}
		})
	}
}

func TestU08UneditedFileNeedsNoBaseCopy(t *testing.T) {
	root, next := host(t, generation()), withMount("const Routes = 8")
	if err := os.RemoveAll(filepath.Join(root, ".lockspire/base")); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, root, next); err != nil {
		t.Fatal(err)
	}
	settled(t, root, next)
}

func TestU10ReformattedFileIsReplacedInItsOwnStyle(t *testing.T) {
	root, next := host(t, generation()), withMount("const Routes = 8")
	put(t, root, mount, "\ufeff"+strings.ReplaceAll(string(goFile("// Routes counts.\nconst   Routes =  7")), "\n", "\r\n"))
	if err := os.Chmod(filepath.Join(root, mount), 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := run(t, root, next)
	if err != nil {
		t.Fatal(err)
	}
	if want := "\ufeff" + strings.ReplaceAll(string(goFile("const Routes = 8")), "\n", "\r\n"); verdict(report, mount) != Updated || get(t, root, mount) != want {
		t.Errorf("%s: %q", verdict(report, mount), get(t, root, mount))
	}
	if info, err := os.Stat(filepath.Join(root, mount)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	settled(t, root, next)
}

func TestU12DeletedFileStaysDeleted(t *testing.T) {
	root, next := host(t, generation()), withMount("const Routes = 8")
	if err := os.Remove(filepath.Join(root, extra)); err != nil {
		t.Fatal(err)
	}
	next.Files[1].Content = goFile("const Extra = 2")
	report, err := run(t, root, next)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, extra)); verdict(report, extra) != Deleted || err == nil {
		t.Errorf("%s is %s", extra, verdict(report, extra))
	}
	settled(t, root, next)
}

func TestU15TemplateIsGone(t *testing.T) {
	without := generation()
	without.Files = append(without.Files[:1:1], without.Files[2])
	t.Run("unedited", func(t *testing.T) {
		root := host(t, generation())
		report, err := run(t, root, without)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{extra, manifest.BasePath(extra)} {
			if _, err := os.Stat(filepath.Join(root, path)); err == nil {
				t.Errorf("%s is still there", path)
			}
		}
		if verdict(report, extra) != Removed {
			t.Errorf("verdict %s", verdict(report, extra))
		}
		settled(t, root, without)
	})
	t.Run("edited", func(t *testing.T) {
		root := host(t, generation())
		edit(t, root, extra, "1", "100")
		report, err := run(t, root, without)
		if err != nil {
			t.Fatal(err)
		}
		m, err := manifest.Read(root)
		if err != nil || verdict(report, extra) != Orphaned || m.File(extra).Owner != plan.Host || !strings.Contains(get(t, root, extra), "100") {
			t.Errorf("%v, verdict %s", err, verdict(report, extra))
		}
		settled(t, root, without)
	})
	t.Run("deleted", func(t *testing.T) {
		root := host(t, generation())
		if err := os.Remove(filepath.Join(root, extra)); err != nil {
			t.Fatal(err)
		}
		if _, err := run(t, root, without); err != nil {
			t.Fatal(err)
		}
		settled(t, root, without)
	})
}

func TestU16TemplateIsNew(t *testing.T) {
	const path = "internal/authserver/more_gen.go"
	next := generation()
	next.Files = append(next.Files, templates.File{Path: path, Owner: templates.Managed, Template: "more", Why: "more", Content: goFile("const More = 1")})
	t.Run("free path", func(t *testing.T) {
		root := host(t, generation())
		if _, err := run(t, root, next); err != nil {
			t.Fatal(err)
		}
		m, err := manifest.Read(root)
		if err != nil || m.File(path) == nil || get(t, root, path) != string(goFile("const More = 1")) {
			t.Errorf("not added: %v", err)
		}
		settled(t, root, next)
	})
	t.Run("same bytes there", func(t *testing.T) {
		root := host(t, generation())
		put(t, root, path, string(goFile("const More = 1")))
		if _, err := run(t, root, next); err != nil {
			t.Fatal(err)
		}
		settled(t, root, next)
	})
	t.Run("path taken", func(t *testing.T) {
		root := host(t, generation())
		put(t, root, path, "package authserver\n\nconst Mine = 1\n")
		_, err := run(t, root, next)
		if refusals, ok := plan.AsRefusals(err); !ok || refusals.ExitCode() != 1 || refusals[0].Path != path {
			t.Errorf("got %v", err)
		}
	})
}

func TestA2AllRefusalsAreReportedTogether(t *testing.T) {
	root := host(t, generation())
	edit(t, root, mount, "7", "70")
	edit(t, root, extra, "1", "10")
	next := withMount("const Routes = 8")
	next.Files[1].Content = goFile("const Extra = 2")
	_, err := run(t, root, next)
	if refusals, _ := plan.AsRefusals(err); len(refusals) != 2 {
		t.Errorf("got %v", err)
	}
}

func TestU20HostOwnedSeamIsNeverTouchedAndToldOnce(t *testing.T) {
	root := host(t, generation())
	edit(t, root, seam, "return false", "return true")
	mine := get(t, root, seam)
	next := generation()
	next.Files[2].Content = []byte("package authserver\n\n// guard is new.\nfunc guard() bool { return false }\n")
	report, err := run(t, root, next)
	if err != nil {
		t.Fatal(err)
	}
	if get(t, root, seam) != mine {
		t.Error("the host's file changed")
	}
	if len(report.Notes) != 1 || !strings.Contains(report.Notes[0].Diff, "+// guard is new.") {
		t.Errorf("notes %+v", report.Notes)
	}
	settled(t, root, next)
}

func TestMigrationsAreAppendOnly(t *testing.T) {
	const second = "migrations/00009_lockspire_more.sql"
	root := host(t, generation())
	put(t, root, first, "-- edited\n")
	next := generation()
	next.Migrations[0].Content = []byte("CREATE TABLE b (id TEXT);\n")
	next.Migrations = append(next.Migrations, templates.Migration{Version: 2, File: templates.File{Path: second, Why: "schema 2", Content: []byte("SELECT 2;\n")}})
	if _, err := run(t, root, next); err != nil {
		t.Fatal(err)
	}
	if get(t, root, first) != "-- edited\n" || get(t, root, second) != "SELECT 2;\n" {
		t.Error("an old migration was rewritten or the new one is missing")
	}
	if err := os.Remove(filepath.Join(root, first)); err != nil {
		t.Fatal(err)
	}
	settled(t, root, next)
}
