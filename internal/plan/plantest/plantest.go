// Package plantest publishes modules to a directory that the go command takes
// for a module proxy, so that tests go through the real download path.
package plantest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// Published is one module in a proxy directory.
type Published struct {
	// GOPROXY is the value for the environment: the directory first, then what
	// was configured before.
	GOPROXY string
	// Path and Version name the module. The version holds a hash of the content:
	// the module cache never forgets a version, so changed content needs another.
	Path, Version string
}

// Proxy publishes the module in moduleDir below dir, which may hold others
// already. Use it from TestMain as well: it needs no *testing.T.
func Proxy(dir, moduleDir string) (Published, error) {
	var p Published
	raw, err := os.ReadFile(filepath.Join(moduleDir, "go.mod"))
	if err != nil {
		return p, fmt.Errorf("publish a module: %w", err)
	}
	p.Path = modfile.ModulePath(raw)
	hash, err := contentHash(p.Path, moduleDir)
	if err != nil {
		return p, fmt.Errorf("publish %s: %w", p.Path, err)
	}
	_, major, _ := module.SplitPathVersion(p.Path)
	if major = module.PathMajorPrefix(major); major == "" {
		major = "v0"
	}
	p.Version = major + ".0.0-20260101000000-" + hash
	return p, p.publish(dir, moduleDir, raw)
}

// As is Proxy under a version of the caller's choice, for tests of versions and
// not of content.
func As(dir, moduleDir, version string) (Published, error) {
	raw, err := os.ReadFile(filepath.Join(moduleDir, "go.mod"))
	if err != nil {
		return Published{}, fmt.Errorf("publish a module: %w", err)
	}
	p := Published{Path: modfile.ModulePath(raw), Version: version}
	return p, p.publish(dir, moduleDir, raw)
}

// Env is what a go command needs to find the module, on top of os.Environ.
func (p Published) Env() []string {
	return []string{"GOPROXY=" + p.GOPROXY, "GONOSUMDB=" + p.Path, "GOFLAGS=-buildvcs=false"}
}

func (p *Published) publish(dir, moduleDir string, goMod []byte) error {
	escaped, err := module.EscapePath(p.Path)
	if err != nil {
		return err
	}
	base := filepath.Join(dir, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(base, 0o777); err != nil {
		return err
	}
	var buf bytes.Buffer
	if err := zip.CreateFromDir(&buf, module.Version{Path: p.Path, Version: p.Version}, moduleDir); err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		p.Version + ".info": fmt.Appendf(nil, `{"Version":%q,"Time":"2026-01-01T00:00:00Z"}`, p.Version),
		p.Version + ".mod":  goMod,
		p.Version + ".zip":  buf.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join(base, name), data, 0o666); err != nil {
			return err
		}
	}
	list, err := os.OpenFile(filepath.Join(base, "list"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(list, p.Version); err != nil {
		return err
	}
	configured, err := exec.Command("go", "env", "GOPROXY").Output()
	if err != nil {
		return fmt.Errorf("go env GOPROXY: %w", err)
	}
	p.GOPROXY = fileURL(dir) + "," + strings.TrimSpace(string(configured))
	return list.Close()
}

func fileURL(dir string) string {
	dir = filepath.ToSlash(dir)
	if runtime.GOOS == "windows" {
		dir = "/" + dir
	}
	return "file://" + strings.ReplaceAll(dir, " ", "%20")
}

// contentHash is the hash of the module's zip under a fixed version.
func contentHash(path, dir string) (string, error) {
	_, major, _ := module.SplitPathVersion(path)
	if major = module.PathMajorPrefix(major); major == "" {
		major = "v0"
	}
	h := sha256.New()
	if err := zip.CreateFromDir(h, module.Version{Path: path, Version: major + ".0.0"}, dir); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil))[:12], nil
}
