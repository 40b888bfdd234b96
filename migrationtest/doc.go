// Package migrationtest applies the migration files that install writes with the tools that hosts apply them with, on
// PostgreSQL and SQLite. It has no code of its own; it is a module of its own so that no tool comes near go.mod of the
// root, whose programs need none of them.
package migrationtest
