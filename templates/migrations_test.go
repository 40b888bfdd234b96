package templates

import (
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Goose skips a file that is older than the newest one applied, so ours is always newer (case M05, M07).
func TestMigrationNumbersAreAboveTheNewest(t *testing.T) {
	for name, c := range map[string]struct {
		naming string
		width  int
		newest int64
		want   string
	}{
		"timestamp, clock ahead":      {NamingTimestamp, 14, 20250101000000, "20260301120000_lockspire_"},
		"timestamp, clock behind":     {NamingTimestamp, 14, 20261231235959, "20270101000000_lockspire_"},
		"timestamp, same second":      {NamingTimestamp, 14, 20260301120000, "20260301120001_lockspire_"},
		"timestamp, empty":            {NamingTimestamp, 14, 0, "20260301120000_lockspire_"},
		"sequence":                    {NamingSequence, 5, 41, "00042_lockspire_"},
		"sequence, empty":             {NamingSequence, 5, 0, "00001_lockspire_"},
		"sequence, width outgrown":    {NamingSequence, 2, 99, "100_lockspire_"},
		"timestamp that is no moment": {NamingTimestamp, 14, 99999999999999, "100000000000000_lockspire_"},
	} {
		in := chiInputs()
		in.MigrationsNaming, in.MigrationsWidth = c.naming, c.width
		files, err := Migrations(in, 0, c.newest, noon)
		if err != nil {
			t.Fatal(err)
		}
		if len(files) != LatestSchema || !strings.HasPrefix(files[0].Path, "db/migrations/"+c.want) {
			t.Errorf("%s: %d files, the first %s; want %s", name, len(files), files[0].Path, c.want)
		}
		if base := strings.TrimPrefix(files[0].Path, "db/migrations/"); !IsMigration(in, files[0].Version, base) {
			t.Errorf("%s: %s is not recognised as ours", name, base)
		}
	}
}

func TestMigrationsAreOnlyThoseAbove(t *testing.T) {
	files, err := Migrations(chiInputs(), LatestSchema, 1, noon)
	if err != nil || len(files) != 0 {
		t.Errorf("%d files, %v; want none", len(files), err)
	}
}

// Goose needs StatementBegin where a semicolon ends no statement; that is never the case (M01, M22).
func TestGooseFileNeedsNoStatementBegin(t *testing.T) {
	for _, in := range []Inputs{chiInputs(), variants()["postgres"]} {
		files, err := Migrations(in, 0, 0, noon)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			text := string(f.Content)
			if !strings.HasPrefix(text, "-- +goose Up\n") || strings.Count(text, "-- +goose Down\n") != 1 || strings.Contains(text, "@.") {
				t.Errorf("%s: annotations or table names:\n%s", f.Path, text)
			}
			if in.Schema != "" && !strings.Contains(text, "CREATE SCHEMA IF NOT EXISTS auth;") {
				t.Errorf("%s: does not create its schema", f.Path)
			}
			for _, line := range strings.Split(text, "\n") {
				if i := strings.Index(line, ";"); i >= 0 && i != len(line)-1 {
					t.Errorf("%s: a semicolon inside a line: %s", f.Path, line)
				}
				if strings.HasPrefix(line, "--") && strings.Contains(line, ";") {
					t.Errorf("%s: a semicolon in a comment: %s", f.Path, line)
				}
			}
		}
	}
}
