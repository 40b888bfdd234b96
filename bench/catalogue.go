package main

import "strings"

// server is what a cell of the table runs.
type server struct {
	name string
	// command is a program of cmd/, or "oidc-provider".
	command string
	args    []string
	// engine is the database that it gets, or "".
	engine string
}

var (
	oursSQLite     = server{"lockspire, SQLite", "lockspire", nil, "sqlite"}
	oursPostgres   = server{"lockspire, PostgreSQL", "lockspire", nil, "postgres"}
	bareSQLite     = server{"control, SQLite", "control", nil, "sqlite"}
	barePostgres   = server{"control, PostgreSQL", "control", nil, "postgres"}
	writesSQLite   = server{"control (writes only), SQLite", "control", []string{"-writes"}, "sqlite"}
	writesPostgres = server{"control (writes only), PostgreSQL", "control", []string{"-writes"}, "postgres"}
	empty          = server{"control, empty handler", "control", nil, ""}
	zitadel        = server{"zitadel/oidc example, memory", "zitadel", nil, ""}
	fositeBcrypt   = server{"ory/fosite, memory, bcrypt", "fosite", []string{"-hasher", "bcrypt"}, ""}
	fositeSHA256   = server{"ory/fosite, memory, SHA-256", "fosite", []string{"-hasher", "sha256"}, ""}
	node           = server{"npm oidc-provider, memory", "oidc-provider", nil, ""}
)

// group is a workload with the servers that are measured side by side.
type group struct {
	// workload is what the servers are asked for; signing and format what its
	// tokens are.
	workload        string
	signing, format string
	servers         []server
}

// catalogue is the whole table. A server is missing from a workload that it does
// not have: this runtime signs access tokens with ES256 only, and the example of
// zitadel/oidc has one RSA key.
func catalogue() []group {
	return []group{
		{"empty", "none", "none", []server{empty}},
		{"client_credentials/opaque", "none", "opaque", []server{oursSQLite, oursPostgres, zitadel, fositeBcrypt, fositeSHA256, node}},
		{"client_credentials/RS256", "RS256", "JWT", []server{zitadel, fositeBcrypt, fositeSHA256, node}},
		{"client_credentials/ES256", "ES256", "JWT", []server{bareSQLite, oursSQLite, writesSQLite, barePostgres, oursPostgres, writesPostgres, fositeSHA256, node}},
		{"code/RS256", "RS256 (ID)", "mixed", []server{oursSQLite, oursPostgres, zitadel, fositeSHA256, node}},
		{"code/ES256", "ES256 (ID)", "mixed", []server{oursSQLite, oursPostgres, fositeSHA256, node}},
		{"introspection/JWT", "ES256", "JWT", []server{bareSQLite, oursSQLite, barePostgres, oursPostgres}},
		{"introspection/opaque", "none", "opaque", []server{oursSQLite, oursPostgres, zitadel, fositeSHA256, node}},
		{"protect/JWT", "ES256", "JWT", []server{bareSQLite, oursSQLite, barePostgres, oursPostgres}},
	}
}

// formatOf says what access tokens a server gives in a workload.
func formatOf(g group, s server) string {
	if !strings.HasPrefix(g.workload, "code/") {
		return g.format
	}
	if s.command == "lockspire" {
		return "JWT ES256"
	}
	return "opaque"
}
