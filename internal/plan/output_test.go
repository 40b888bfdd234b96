package plan

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestA0WriteFileLeavesTheOldFileWhereAnyStepFails(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "out.sarif")
	if err := os.WriteFile(name, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	for _, op := range []string{"create", "write", "sync", "rename"} {
		d := disk{before: func(step, _ string) error {
			if step == op {
				return errors.New("no space left on device")
			}
			return nil
		}}
		if err := writeFile(name, []byte("new"), d); err == nil {
			t.Errorf("%s fails, and there is no error", op)
		}
		data, err := os.ReadFile(name)
		entries, dirErr := os.ReadDir(dir)
		if string(data) != "old" || err != nil || dirErr != nil || len(entries) != 1 {
			t.Errorf("after a failing %s: %q, %d files, %v %v", op, data, len(entries), err, dirErr)
		}
	}
}

func TestWriteFileKeepsModeAndLink(t *testing.T) {
	dir := t.TempDir()
	name, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(name, []byte("old"), 0o640), os.Symlink("real", link), WriteFile(link, []byte("new"))); err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(name)
	info, err := os.Lstat(link)
	if string(data) != "new" || err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the target holds %q, the link is %v (%v)", data, info.Mode(), err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v (%v)", info.Mode(), err)
	}
	if err := WriteFile(filepath.Join(dir, "none", "x"), nil); err == nil {
		t.Error("a directory that is not there was made")
	}
	if err := WriteFile(dir, nil); err == nil {
		t.Error("a directory was replaced")
	}
	if err := WriteFile(os.DevNull, []byte("x")); err != nil {
		t.Errorf("a device: %v", err)
	}
}
