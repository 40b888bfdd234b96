package plan

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

// fetched is a module that the host will have: where its files are and what its
// go.mod asks for.
type fetched struct {
	req    module.Version // as go.mod requires it
	dir    string         // its files
	repl   replacement    // zero unless replaced
	mod    *modfile.File
	sums   []sumLine // none for a module replaced by a directory
	cached bool      // the sums come from the module cache alone
}

// downloader gets modules with the go command, outside the host: there nothing
// can be written and no other requirement can fail.
type downloader struct {
	host *host
	dir  string // holds a go.mod of no name and a copy of the host's go.sum
}

// newDownloader makes the temporary module. The copy of go.sum saves a question
// to the checksum database for what the host already vouches for, and a module
// that differs from it is refused by the go command.
func newDownloader(h *host, sums []byte) (*downloader, error) {
	dir, err := os.MkdirTemp("", "lockspire-download-")
	if err != nil {
		return nil, fmt.Errorf("make a temporary directory: %w", err)
	}
	d := &downloader{host: h, dir: dir}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module lockspire.invalid\n"), 0o666); err != nil {
		return nil, errors.Join(err, d.close())
	}
	if sums != nil {
		if err := os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o666); err != nil {
			return nil, errors.Join(err, d.close())
		}
	}
	return d, nil
}

func (d *downloader) close() error { return os.RemoveAll(d.dir) }

// get finds m: in the directory or module that replaces it, or by download.
func (d *downloader) get(ctx context.Context, m module.Version) (*fetched, error) {
	f := &fetched{req: m}
	src := m
	if r, ok := d.host.replaced(m); ok {
		f.repl = r
		if r.dir != "" {
			f.dir = r.dir
			return f, f.readMod(filepath.Join(r.dir, "go.mod"))
		}
		src = r.mod
	}
	out, err := d.download(ctx, src, nil)
	if err != nil && d.proxyOff(ctx) && !strings.Contains(err.Error(), "SECURITY ERROR") {
		// With GOPROXY=off the module can still be in the cache; only the checksum
		// database is out of reach. The cache was checked when it was filled.
		out, err = d.download(ctx, src, []string{"GONOSUMDB=" + src.Path})
		f.cached = err == nil
	}
	if err != nil {
		return nil, err
	}
	f.dir = out.Dir
	f.sums = []sumLine{{src.Path, src.Version, out.Sum}, {src.Path, src.Version + "/go.mod", out.GoModSum}}
	return f, f.readMod(out.GoMod)
}

func (f *fetched) readMod(name string) error {
	raw, err := os.ReadFile(name)
	if err != nil {
		return &Refusal{Exit: 3, Path: "go.mod", What: fmt.Sprintf("%s is replaced by a directory without a readable go.mod: %s", f.req.Path, cause(err)),
			Next: "go mod edit -replace=" + f.req.Path + "=<directory>"}
	}
	f.mod, err = modfile.ParseLax("go.mod", raw, nil)
	if err != nil {
		return modRefusal(f.req.Path+"/go.mod", err)
	}
	return nil
}

// moduleJSON is what go mod download -json prints.
type moduleJSON struct{ Path, Version, Error, Dir, GoMod, Sum, GoModSum string }

func (d *downloader) download(ctx context.Context, m module.Version, extra []string) (moduleJSON, error) {
	var got moduleJSON
	// Flags of the host's GOFLAGS such as -mod=vendor speak of the host's tree.
	flags, err := d.host.goflags(ctx, "mod", "modfile", "overlay")
	if err != nil {
		return got, err
	}
	extra = append([]string{"GOWORK=off", "GO111MODULE=on", "GOFLAGS=" + flags}, extra...)
	out, err := d.host.run(ctx, d.dir, extra, "mod", "download", "-json", m.Path+"@"+m.Version)
	var failed *goError
	if err != nil && !errors.As(err, &failed) {
		return got, err
	}
	if derr := json.NewDecoder(bytes.NewReader(out)).Decode(&got); derr != nil && !errors.Is(derr, io.EOF) {
		return got, fmt.Errorf("read the answer of go mod download: %w", derr)
	}
	if err == nil && got.Error == "" {
		return got, nil
	}
	why := got.Error
	if why == "" && failed != nil {
		why = failed.stderr
	}
	return got, &Refusal{Exit: 3, Path: "go.mod",
		What: fmt.Sprintf("%s %s cannot be had: %s", m.Path, m.Version, firstLines(why)),
		Next: "go mod download " + m.Path + "@" + m.Version}
}

func (d *downloader) proxyOff(ctx context.Context) bool {
	out, err := d.host.run(ctx, d.dir, []string{"GOWORK=off"}, "env", "GOPROXY")
	return err == nil && strings.TrimSpace(string(out)) == "off"
}

// firstLines shortens a message of the go command to what fits in a sentence.
func firstLines(s string) string {
	parts := slices.DeleteFunc(strings.Split(strings.TrimSpace(s), "\n"), func(l string) bool { return strings.TrimSpace(l) == "" })
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return strings.Join(parts[:min(len(parts), 4)], " ")
}
