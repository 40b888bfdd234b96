package upgrade

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"time"

	"github.com/lockspire/lockspire/internal/manifest"
	"github.com/lockspire/lockspire/templates"
)

// renderTemplates is the Renderer of this version.
func renderTemplates(root string, inputs json.RawMessage, known []manifest.Migration) (Generation, error) {
	var in templates.Inputs
	if err := json.Unmarshal(inputs, &in); err != nil {
		return Generation{}, err
	}
	files, err := templates.Render(in)
	if err != nil {
		return Generation{}, err
	}
	g := Generation{Files: files, Engine: in.Engine, Hooks: templates.Hooks}
	if !templates.WritesMigrations(in.Migrations) {
		return g, nil
	}
	have := 0
	for _, m := range known {
		if m.Engine == in.Engine {
			have = max(have, m.Version)
		}
	}
	var newest int64
	for _, engine := range in.MigrationEngines() {
		dir := in.MigrationsDirOf(engine)
		n, err := newestVersion(filepath.Join(root, filepath.FromSlash(dir)))
		if err != nil {
			return Generation{}, fmt.Errorf("read %s: %w", dir, err)
		}
		newest = max(newest, n)
	}
	for _, m := range known {
		// A deleted migration was applied somewhere all the same.
		newest = max(newest, leadingNumber(path.Base(m.Path)))
	}
	g.Migrations, err = templates.Migrations(in, have, newest, time.Now())
	return g, err
}

// newestVersion is the highest number that a file name in dir begins with.
func newestVersion(dir string) (int64, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, errors.Unwrap(err)
	}
	var newest int64
	for _, entry := range entries {
		newest = max(newest, leadingNumber(entry.Name()))
	}
	return newest, nil
}

func leadingNumber(name string) int64 {
	end := 0
	for end < len(name) && name[end] >= '0' && name[end] <= '9' {
		end++
	}
	n, err := strconv.ParseInt(name[:end], 10, 64)
	if err != nil {
		return 0
	}
	return n
}
