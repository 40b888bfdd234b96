package hostrepo

import (
	"slices"
	"strings"
)

// driver is a database driver known by its import path.
type driver struct{ path, engine, name string }

// drivers: path without major version suffix, engine, name it registers with database/sql ("" for none). The dialects of
// gorm bring a driver along and register it under the driver's name.
var drivers = []driver{
	{"modernc.org/sqlite", "sqlite", "sqlite"},
	{"github.com/glebarez/go-sqlite", "sqlite", "sqlite"},
	{"github.com/glebarez/sqlite", "sqlite", "sqlite"},
	{"github.com/mattn/go-sqlite3", "sqlite", "sqlite3"},
	{"github.com/ncruces/go-sqlite3/driver", "sqlite", "sqlite3"},
	{"github.com/ncruces/go-sqlite3/gormlite", "sqlite", "sqlite3"},
	{"github.com/uptrace/bun/driver/sqliteshim", "sqlite", "sqliteshim"},
	{"gorm.io/driver/sqlite", "sqlite", "sqlite3"}, // mattn's
	{"github.com/jinzhu/gorm/dialects/sqlite", "sqlite", "sqlite3"},
	{"zombiezen.com/go/sqlite", "sqlite", ""},
	{"github.com/jackc/pgx/stdlib", "postgres", "pgx"},
	{"github.com/jackc/pgx/pgxpool", "postgres", ""},
	{"github.com/jackc/pgx", "postgres", ""},
	{"github.com/lib/pq", "postgres", "postgres"},
	{"github.com/uptrace/bun/driver/pgdriver", "postgres", "pg"},
	{"gorm.io/driver/postgres", "postgres", "pgx"},
	{"github.com/jinzhu/gorm/dialects/postgres", "postgres", "postgres"}, // lib/pq's
	{"github.com/go-sql-driver/mysql", "mysql", "mysql"},
	{"gorm.io/driver/mysql", "mysql", "mysql"},
	{"github.com/jinzhu/gorm/dialects/mysql", "mysql", "mysql"},
	{"github.com/microsoft/go-mssqldb", "mssql", "sqlserver"},
	{"github.com/denisenkom/go-mssqldb", "mssql", "sqlserver"},
	{"gorm.io/driver/sqlserver", "mssql", "sqlserver"},
	{"github.com/jinzhu/gorm/dialects/mssql", "mssql", "mssql"},
	{"github.com/ClickHouse/clickhouse-go", "clickhouse", "clickhouse"},
	{"gorm.io/driver/clickhouse", "clickhouse", "clickhouse"},
}

// RequiredDriver is a driver of an engine that go.mod requires, whether or not anything imports it yet. The Position is zero.
func (r *Repo) RequiredDriver(engine string) (Engine, bool) {
	for _, d := range []Engine{
		{Engine: "sqlite", Driver: "sqlite", Import: "modernc.org/sqlite"},
		{Engine: "sqlite", Driver: "sqlite3", Import: "github.com/mattn/go-sqlite3"},
		{Engine: "postgres", Driver: "pgx", Import: "github.com/jackc/pgx/v5/stdlib"},
		{Engine: "postgres", Driver: "postgres", Import: "github.com/lib/pq"},
	} {
		for _, required := range r.Requires {
			if d.Engine == engine && (d.Import == required || strings.HasPrefix(d.Import, required+"/")) {
				return d, true
			}
		}
	}
	return Engine{}, false
}

// driverOf finds a driver by import path, whichever its major version.
func driverOf(path string) (driver, bool) {
	elems := strings.Split(path, "/")
	bare := slices.DeleteFunc(elems, func(e string) bool {
		return len(e) > 1 && e[0] == 'v' && strings.Trim(e[1:], "0123456789") == ""
	})
	p := strings.Join(bare, "/")
	for _, d := range drivers {
		if d.path == p {
			return d, true
		}
	}
	return driver{}, false
}

// engineOfDriver maps a registered driver name, also one that a wrapper made up, to its engine.
func engineOfDriver(name string) string {
	n := strings.ToLower(name)
	switch {
	case strings.Contains(n, "sqlite"):
		return "sqlite"
	case strings.Contains(n, "pgx"), strings.Contains(n, "postgres"), n == "pq", n == "cloudsqlpostgres":
		return "postgres"
	case strings.Contains(n, "mysql"):
		return "mysql"
	case strings.Contains(n, "sqlserver"), strings.Contains(n, "mssql"):
		return "mssql"
	case strings.Contains(n, "clickhouse"):
		return "clickhouse"
	}
	return ""
}

// engineOfDSN guesses from the form of a connection string. Nothing of the string itself is kept.
func engineOfDSN(dsn string) string {
	switch {
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"), strings.Contains(dsn, "sslmode="), strings.Contains(dsn, "dbname="):
		return "postgres"
	case strings.HasPrefix(dsn, "file:"), strings.HasPrefix(dsn, ":memory:"), strings.HasSuffix(dsn, ".db"), strings.HasSuffix(dsn, ".sqlite"), strings.HasSuffix(dsn, ".sqlite3"):
		return "sqlite"
	case strings.Contains(dsn, "@tcp("):
		return "mysql"
	}
	return ""
}
