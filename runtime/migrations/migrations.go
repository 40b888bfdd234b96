// Package migrations holds the SQL of the lockspire_* tables, one file per
// version, direction and engine. It is the one source that both the runtime
// and the code generator read, so that a host's migration files and
// lockspire.Migrate never differ.
package migrations

import (
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
)

//go:embed postgres/*.sql sqlite/*.sql
var files embed.FS

// Latest is the schema version that this runtime needs.
const Latest = 1

// Migration is one schema version on one engine. Statements end in ";" at the
// end of a line; no string or comment contains one, so that runners which
// split on ";" work.
type Migration struct {
	// Version counts from 1.
	Version int
	// Name is the file's slug, for example "init".
	Name string
	// Up and Down are SQL for one transaction, tables qualified with the
	// schema that For was given.
	Up, Down string
}

var (
	fileName   = regexp.MustCompile(`^(\d{4})_([a-z0-9_]+)\.up\.sql$`)
	schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)
)

// For returns the migrations of engine ("postgres" or "sqlite") in order.
// A non-empty schema qualifies every table with it and makes the first
// migration create it; it must match [a-z_][a-z0-9_]{0,62} and is an error on
// SQLite.
func For(engine, schema string) ([]Migration, error) {
	if engine != "postgres" && engine != "sqlite" {
		return nil, fmt.Errorf("migrations: engine %q is not postgres or sqlite", engine)
	}
	if schema != "" && (engine == "sqlite" || !schemaName.MatchString(schema)) {
		return nil, fmt.Errorf("migrations: schema %q is not usable on %s", schema, engine)
	}
	entries, err := fs.ReadDir(files, engine)
	if err != nil {
		return nil, err
	}
	var all []Migration
	for _, entry := range entries {
		match := fileName.FindStringSubmatch(entry.Name())
		if match == nil {
			continue
		}
		version, err := strconv.Atoi(match[1])
		if err != nil {
			return nil, err
		}
		up, err := files.ReadFile(engine + "/" + entry.Name())
		if err != nil {
			return nil, err
		}
		down, err := files.ReadFile(engine + "/" + match[1] + "_" + match[2] + ".down.sql")
		if err != nil {
			return nil, err
		}
		m := Migration{Version: version, Name: match[2], Up: qualify(string(up), schema), Down: qualify(string(down), schema)}
		if version == 1 && schema != "" {
			m.Up = CreateSchema(schema) + m.Up
		}
		all = append(all, m)
	}
	return all, nil
}

// CreateSchema is what the first migration of a named schema begins with.
func CreateSchema(schema string) string {
	return "CREATE SCHEMA IF NOT EXISTS " + schema + ";\n\n"
}

// qualify replaces the marker "@." before each table name.
func qualify(sql, schema string) string {
	if schema != "" {
		schema += "."
	}
	return strings.ReplaceAll(sql, "@.", schema)
}
