package plan

import "slices"

// noCompiler is a program that does not exist. Without a C compiler the go command lists the files of a package that
// uses cgo as they were written, and not what cgo makes of them in the build cache: in that, positions are not those of
// the host, and a splice has no place. It also keeps a load from running compilers and pkg-config.
const noCompiler = "lockspire-runs-no-compiler"

// WithoutCompiler is an environment in which the go command lists packages without running cgo. cgo is what
// `go env CGO_ENABLED` says before: a missing compiler alone would switch it off, and other files would be listed.
func WithoutCompiler(environ []string, cgo string) []string {
	return append(slices.Clip(environ), "CGO_ENABLED="+cgo, "CC="+noCompiler, "PKG_CONFIG="+noCompiler)
}

func withoutCompiler(environ []string) bool { return slices.Contains(environ, "CC="+noCompiler) }
