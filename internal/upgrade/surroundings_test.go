package upgrade

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/internal/plan"
)

// An upgrade is written by package plan, as an install is, and so meets what is
// around it in the same way; kills and full disks are in the tests of plan.
func TestU34UpgradeMeetsItsSurroundingsAsInstallDoes(t *testing.T) {
	commit := func(t *testing.T, root string) {
		t.Helper()
		for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"commit", "-q", "-m", "host"}} {
			git(t, root, args...)
		}
	}
	for _, tc := range []struct {
		name   string
		around func(t *testing.T, root string)
		set    func(*Options)
		exit   int
		what   string
	}{
		{"I22 other files are dirty", func(t *testing.T, root string) {
			commit(t, root)
			put(t, root, "main.go", "package main\n\nfunc main() {}\n\n// later\n")
		}, nil, 0, ""},
		{"I23 the file is dirty", func(t *testing.T, root string) {
			commit(t, root)
			put(t, root, mount, get(t, root, mount)+"\n")
		}, nil, 1, "has uncommitted changes"},
		{"I23 the file is dirty and that is allowed", func(t *testing.T, root string) {
			commit(t, root)
			put(t, root, mount, get(t, root, mount)+"\n")
		}, func(o *Options) { o.Env.AllowDirty = true }, 0, ""},
		{"I25 the host does not compile", func(t *testing.T, root string) {
			put(t, root, "broken.go", "package main\n\nvar x int = missing\n")
		}, nil, 0, ""},
		{"I94 the file is a link", func(t *testing.T, root string) {
			if err := os.Rename(filepath.Join(root, mount), filepath.Join(root, "real.txt")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("../../real.txt", filepath.Join(root, mount)); err != nil {
				t.Fatal(err)
			}
		}, nil, 1, "is a symbolic link"},
		{"I95 the file is read-only", func(t *testing.T, root string) {
			if err := os.Chmod(filepath.Join(root, mount), 0o444); err != nil {
				t.Fatal(err)
			}
		}, nil, 3, "is read-only"},
		{"I07 a workspace above that leaves the module out", func(t *testing.T, root string) {
			put(t, filepath.Dir(root), "go.work", "go 1.24\n")
		}, nil, 0, ""},
		{"I06 a workspace that lists the module", func(t *testing.T, root string) {
			put(t, root, "go.work", "go 1.24\n\nuse .\n")
		}, nil, 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root, next := host(t, generation()), withMount("const Routes = 8")
			tc.around(t, root)
			changes := []func(*Options){}
			if tc.set != nil {
				changes = append(changes, tc.set)
			}
			_, err := run(t, root, next, changes...) // which compares the tree after an error
			if tc.exit == 0 {
				if err != nil || !strings.Contains(get(t, root, mount), "= 8") {
					t.Fatalf("%v", err)
				}
				settled(t, root, next)
				return
			}
			if refusals, _ := plan.AsRefusals(err); refusals.ExitCode() != tc.exit || !strings.Contains(err.Error(), tc.what) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestU34FileThatAnEditorSavedMeanwhileStopsTheUpgrade(t *testing.T) {
	root := host(t, generation())
	was := get(t, root, manifest.Path)
	_, err := Run(t.Context(), Options{Dir: root, CLIVersion: "v1.0.0", Render: renders(withMount("const Routes = 8")), Detect: unchanged,
		Confirm: func(_ context.Context, _ *Report) (bool, error) {
			put(t, root, mount, "package authserver\n\n// saved meanwhile\nconst Routes = 7\n")
			return true, nil
		}})
	if r := refusal(t, err, mount); !strings.Contains(r.What, "has changed since the plan was made") || get(t, root, manifest.Path) != was {
		t.Errorf("got %v", err)
	}
}
