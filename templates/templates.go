// Package templates renders what Lockspire writes into a host repository. It is pure: the same [Inputs] give the
// same bytes, and nothing is read but the package's own embedded files.
package templates

// Owner says who may change a generated file.
type Owner string

const (
	Host    Owner = "host"    // written once, the host's from then on
	Managed Owner = "managed" // replaced by upgrade
)

// File is one rendered file.
type File struct {
	Path     string // module-relative slash path
	Owner    Owner
	Template string // stable name of the template, as the manifest records it
	Why      string // one line for the plan listing
	Content  []byte
}

// Migration is one file in a migration directory of the host. A schema version has two where the tool keeps the way back
// in a file of its own, and one or two more where the host has a directory for each engine.
type Migration struct {
	Version int    // schema version of the runtime
	Engine  string // "sqlite" or "postgres"
	File
}
