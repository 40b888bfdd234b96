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

// Migrations renders the schema versions above after as files of the host's migration directories, in the terms of its
// migration tool. newest is the highest version number in those directories: every file gets a greater one, since tools
// silently skip or refuse a file that is older than what was applied last. A second directory gets the same numbers. now
// is the clock for directories numbered by time. A mode that writes no files gives none.
func Migrations(in Inputs, after int, newest int64, now time.Time) ([]Migration, error) {
	if err := in.Validate(); err != nil {
		return nil, err
	}
	tool, ok := migrationTools[in.Migrations]
	if !ok {
		return nil, nil
	}
	var out []Migration
	for version := after + 1; version <= LatestSchema; version++ {
		newest = next(in.MigrationsNaming, newest, now)
		for _, engine := range in.MigrationEngines() {
			m, ok := schemaVersion(in, engine, version)
			if !ok {
				return nil, fmt.Errorf("templates: there is no schema version %d for %s", version, engine)
			}
			for _, f := range tool.files {
				out = append(out, Migration{Version: version, Engine: engine, File: File{
					Path:     path.Join(in.MigrationsDirOf(engine), fmt.Sprintf("%0*d_lockspire_%s%s", in.MigrationsWidth, newest, m.Name, f.suffix)),
					Owner:    Managed,
					Template: MigrationTemplate(version),
					Why:      f.why(version),
					Content:  in.withHeader(f.suffix, []byte(f.content(m))),
				}})
			}
		}
	}
	return out, nil
}

// MigrationTemplate is the template name of a schema version.
func MigrationTemplate(version int) string { return "migrations/" + strconv.Itoa(version) }

// SQL is what `--migrations print` shows: the whole schema, for a runner that Lockspire does not know.
func SQL(in Inputs) (string, error) {
	var parts []string
	for version := 1; version <= LatestSchema; version++ {
		m, ok := schemaVersion(in, in.Engine, version)
		if !ok {
			return "", fmt.Errorf("templates: there is no schema version %d for %s", version, in.Engine)
		}
		parts = append(parts, strings.TrimSpace(m.Up)+"\n")
	}
	return strings.Join(parts, "\n"), nil
}

// MigrationFile is the content of the file of a schema version that has the base name name, whatever its number, or
// false where name is not one that Migrations gives to that version.
func MigrationFile(in Inputs, engine string, version int, name string) ([]byte, bool) {
	match := migrationName.FindStringSubmatch(name)
	m, ok := schemaVersion(in, engine, version)
	if match == nil || !ok || match[1] != m.Name {
		return nil, false
	}
	for _, f := range migrationTools[in.Migrations].files {
		if f.suffix == match[2] {
			return in.withHeader(name, []byte(f.content(m))), true
		}
	}
	return nil, false
}

var migrationName = regexp.MustCompile(`^\d+_lockspire_([a-z0-9_]+)((?:\.up|\.down)?\.sql)$`)

// schemaVersion is one version of the schema on engine, as the host's inputs want it.
func schemaVersion(in Inputs, engine string, version int) (migrations.Migration, bool) {
	schema := ""
	if engine == EnginePG {
		schema = in.Schema
	}
	all, err := migrations.For(engine, schema)
	if err != nil {
		return migrations.Migration{}, false
	}
	for _, m := range all {
		if m.Version == version {
			if in.SchemaExists { // a role that may not create schemas may not even say IF NOT EXISTS
				m.Up = strings.TrimPrefix(m.Up, migrations.CreateSchema(schema))
			}
			m.Up, m.Down = strings.TrimSpace(m.Up), strings.TrimSpace(m.Down)
			return m, true
		}
	}
	return migrations.Migration{}, false
}

const timestamp = "20060102150405"

// next is a version number above newest: the time of now, if the directory counts in times and the clock is ahead of it,
// else newest plus one (plus one second for a timestamp, so that it stays a date).
func next(naming string, newest int64, now time.Time) int64 {
	switch naming {
	case NamingUnix:
		return max(now.Unix(), newest+1)
	case NamingTimestamp:
	default:
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

// LatestSchema is the schema version that the runtime needs.
const LatestSchema = migrations.Latest
