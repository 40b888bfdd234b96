package templates

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/lockspire/lockspire/runtime/migrations"
)

// Migrations renders the schema versions above after as files of the host's migration directory. newest is the highest
// version number in that directory: every file gets a greater one, since migration tools silently skip or refuse a
// file that is older than what was applied last. now is the clock for directories numbered by time.
func Migrations(in Inputs, after int, newest int64, now time.Time) ([]Migration, error) {
	if err := in.Validate(); err != nil {
		return nil, err
	}
	all, err := migrations.For(in.Engine, in.Schema)
	if err != nil {
		return nil, err
	}
	var out []Migration
	for _, m := range all {
		if m.Version <= after {
			continue
		}
		newest = next(in.MigrationsNaming, newest, now)
		out = append(out, Migration{Version: m.Version, File: File{
			Path:     path.Join(in.MigrationsDir, fmt.Sprintf("%0*d_lockspire_%s.sql", in.MigrationsWidth, newest, m.Name)),
			Owner:    Managed,
			Template: MigrationTemplate(m.Version),
			Why:      fmt.Sprintf("lockspire_* tables, schema %d", m.Version),
			Content:  []byte(gooseFile(m)),
		}})
	}
	return out, nil
}

// MigrationTemplate is the template name of a schema version.
func MigrationTemplate(version int) string { return "migrations/" + strconv.Itoa(version) }

// SQL is what `--migrations print` shows: the whole schema, for a runner that Lockspire does not know.
func SQL(in Inputs) (string, error) {
	all, err := migrations.For(in.Engine, in.Schema)
	if err != nil {
		return "", err
	}
	parts := make([]string, len(all))
	for i, m := range all {
		parts[i] = strings.TrimSpace(m.Up) + "\n"
	}
	return strings.Join(parts, "\n"), nil
}

// GooseSQL is the content of a goose file for a schema version, or false where the runtime has no such version.
func GooseSQL(in Inputs, version int) ([]byte, bool) {
	all, err := migrations.For(in.Engine, in.Schema)
	if err != nil {
		return nil, false
	}
	for _, m := range all {
		if m.Version == version {
			return []byte(gooseFile(m)), true
		}
	}
	return nil, false
}

// gooseFile has no StatementBegin: goose splits on the semicolons that end a line, and ours are nowhere else.
func gooseFile(m migrations.Migration) string {
	return "-- +goose Up\n" + strings.TrimSpace(m.Up) + "\n\n-- +goose Down\n" + strings.TrimSpace(m.Down) + "\n"
}

const timestamp = "20060102150405"

// next is a version number above newest: the time of now, if the directory counts in timestamps and the clock is ahead of
// it, else newest plus one (plus one second for a timestamp, so that it stays a date).
func next(naming string, newest int64, now time.Time) int64 {
	if naming != NamingTimestamp {
		return newest + 1
	}
	current, err := strconv.ParseInt(now.UTC().Format(timestamp), 10, 64)
	if err == nil && current > newest {
		return current
	}
	if last, err := time.Parse(timestamp, strconv.FormatInt(newest, 10)); err == nil {
		later, err := strconv.ParseInt(last.Add(time.Second).Format(timestamp), 10, 64)
		if err == nil {
			return later
		}
	}
	return newest + 1
}

var migrationFile = regexp.MustCompile(`^\d+_lockspire_([a-z0-9_]+)\.sql$`)

// IsMigration reports whether name, the base name of a file, is one that Migrations gives to the schema version.
func IsMigration(in Inputs, version int, name string) bool {
	match := migrationFile.FindStringSubmatch(name)
	if match == nil {
		return false
	}
	all, err := migrations.For(in.Engine, in.Schema)
	if err != nil {
		return false
	}
	for _, m := range all {
		if m.Version == version {
			return m.Name == match[1]
		}
	}
	return false
}

// LatestSchema is the schema version that the runtime needs.
const LatestSchema = migrations.Latest
