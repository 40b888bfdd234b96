package plan

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
)

// disk makes every change that Apply, Recover and Undo make to the file system,
// one step at a time. before is called ahead of each step and may fail it: tests
// fill the disk there and kill the process there. It is nil outside tests.
type disk struct {
	before func(op, name string) error
}

func (d disk) step(op, name string) error {
	if d.before == nil {
		return nil
	}
	return d.before(op, name)
}

// write creates name, which must not exist, and syncs it. mode 0 means a new
// file under the umask; any other mode is set exactly.
func (d disk) write(name string, data []byte, mode fs.FileMode) (err error) {
	if err := d.step("create", name); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := d.step("write", name); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if mode != 0 {
		if err := f.Chmod(mode.Perm()); err != nil {
			return err
		}
	}
	if err := d.step("sync", name); err != nil {
		return err
	}
	return f.Sync()
}

// keep makes name a second name of the file old, or a copy of it where hard
// links cannot be had.
func (d disk) keep(old, name string) error {
	if err := d.step("link", name); err != nil {
		return err
	}
	if os.Link(old, name) == nil {
		return nil
	}
	return d.keepCopy(old, name)
}

func (d disk) keepCopy(old, name string) error {
	data, err := os.ReadFile(old)
	if err != nil {
		return err
	}
	info, err := os.Stat(old)
	if err != nil {
		return err
	}
	return d.write(name, data, info.Mode())
}

// mkdir makes one directory; one that is already there is fine.
func (d disk) mkdir(name string) error {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return nil
	}
	if err := d.step("mkdir", name); err != nil {
		return err
	}
	if err := os.Mkdir(name, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (d disk) rename(old, name string) error {
	if err := d.step("rename", name); err != nil {
		return err
	}
	return os.Rename(old, name)
}

// remove deletes a file or an empty directory; one that is not there is fine.
func (d disk) remove(name string) error {
	if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := d.step("remove", name); err != nil {
		return err
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// removeTree deletes a directory of ours, file by file, so that a kill between
// any two of them is a state the tests have seen. first goes before the others.
func (d disk) removeTree(name, first string) error {
	if first != "" {
		if err := d.remove(first); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		sub := name + string(os.PathSeparator) + e.Name()
		if e.IsDir() {
			err = d.removeTree(sub, "")
		} else {
			err = d.remove(sub)
		}
		if err != nil {
			return err
		}
	}
	return d.remove(name)
}

// syncDir makes the names in a directory durable. Windows has no such call: its
// file systems journal the names themselves.
func (d disk) syncDir(name string) (err error) {
	if runtime.GOOS == "windows" {
		return nil
	}
	if err := d.step("syncdir", name); err != nil {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return f.Sync()
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}
