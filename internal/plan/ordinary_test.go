//go:build unix

package plan

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// I95. Mode bits are not all: for an ordinary user a file of somebody else is read-only too, and so is a directory. Where
// the tests run as root, the plan is applied by a child that is nobody.
func TestI95ApplyAsAnOrdinaryUserListsWhatItMayNotWrite(t *testing.T) {
	root := newFixture(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "plan.test")
	if err := os.WriteFile(program, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), childOp+"=apply", childRoot+"="+root, childStep+"=0")
	foreign := []string{"go.mod", "internal/authserver", "server.go"}
	if os.Getuid() == 0 {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		for _, name := range []string{filepath.Dir(filepath.Dir(program)), filepath.Dir(program), root, filepath.Join(root, "server.go")} {
			if err := os.Chmod(name, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		err := filepath.WalkDir(root, func(name string, _ fs.DirEntry, err error) error {
			rel, _ := filepath.Rel(root, name)
			if err != nil || strings.Contains(" "+strings.Join(foreign, " ")+" ", " "+filepath.ToSlash(rel)+" ") {
				return err // stays root's, with its owner's right to write
			}
			return os.Chown(name, nobody, nobody)
		})
		if err != nil {
			t.Fatal(err)
		}
	} else {
		for _, name := range foreign {
			name = filepath.Join(root, name)
			if err := os.Chmod(name, 0o555); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Chmod(name, 0o755) })
		}
	}
	before := tree(t, root)
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("it writes what it may not: %s", out)
	}
	for _, name := range foreign {
		if !strings.Contains(string(out), name+": ") {
			t.Errorf("%s is not named:\n%s", name, out)
		}
	}
	if got := strings.Count(string(out), "read-only"); got != len(foreign) {
		t.Errorf("%d refusals, want %d:\n%s", got, len(foreign), out)
	}
	if d := differences(before, tree(t, root)); len(d) > 0 {
		t.Errorf("changed %q", d)
	}
}

// I96. A file that the directory writes in another spelling is the same file where the file system says so: a name that
// the manifest records must be the name in git.
func TestI96TheSameFileInAnotherSpellingIsFoundByIdentity(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"Config.go", "config_test.go"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// What a file system that ignores case answers for config.go.
	file, err := os.Lstat(filepath.Join(dir, "Config.go"))
	if err != nil {
		t.Fatal(err)
	}
	if got := otherSpelling(filepath.Join(dir, "config.go"), file); got != "Config.go" {
		t.Errorf("config.go is %q there", got)
	}
	if got := otherSpelling(filepath.Join(dir, "Config.go"), file); got != "" {
		t.Errorf("Config.go is %q there", got)
	}
	// Two files whose names differ in case only are two.
	if err := os.WriteFile(filepath.Join(dir, "config.go"), nil, 0o644); err == nil {
		if got := otherSpelling(filepath.Join(dir, "config.go"), file); got != "" {
			t.Errorf("with a file of that very name: %q", got)
		}
	}
}
