package plan

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile replaces a file that the caller named on the command line: a report or a list of a command's own, which is
// the result of a run and no part of a plan. A reader sees the old content or the new one, never a part, and after a
// failure the old one is there. The file must not be one of the host's that a Plan changes.
func WriteFile(name string, data []byte) error { return writeFile(name, data, disk{}) }

func writeFile(name string, data []byte, d disk) (err error) {
	if target, err := filepath.EvalSymlinks(name); err == nil {
		name = target // the link stays
	}
	var mode fs.FileMode
	switch info, err := os.Stat(name); {
	case err == nil && info.Mode().IsRegular():
		mode = info.Mode()
	case err == nil && !info.IsDir():
		return os.WriteFile(name, data, 0o666) // a device or a pipe cannot be replaced
	case err == nil:
		return &fs.PathError{Op: "write", Path: name, Err: errors.New("it is a directory")}
	}
	temp := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+"."+rand.Text()[:12])
	if err := d.write(temp, data, mode); err != nil {
		return errors.Join(err, d.remove(temp))
	}
	if err := d.rename(temp, name); err != nil {
		return errors.Join(err, d.remove(temp))
	}
	return nil
}
