// Package sarifschema holds the SARIF that verify writes against the schema that OASIS publishes for version 2.1.0. It is
// a module of its own, so that a schema validator is no requirement of the command.
package sarifschema
