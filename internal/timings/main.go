//go:build linux

// Timings measures what the commands that read a repository cost beside the go command itself.
//
//	make timings HOST=../miniflux RUNS=3
//
// It prints one table: the median of wall time and the largest resident set of any process, with a warm build cache and
// with an empty one. "bare load" is one packages.Load of the repository with the bodies of its dependencies dropped and
// nothing done with it, in a process of its own, which is what install and verify cannot do without. Compare lines of
// one table only.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/tools/go/packages"
)

// bareMode is hostrepo's.
const bareMode = packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
	packages.NeedDeps | packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo | packages.NeedTypesSizes |
	packages.NeedModule | packages.NeedEmbedPatterns

func main() {
	bare := flag.Bool("bare", false, "load the repository in this process and end")
	runs := flag.Int("runs", 3, "how often each command is run, cold and warm")
	cold := flag.Bool("cold", true, "with an empty build cache too")
	lockspire := flag.String("lockspire", "bin/lockspire", "the command")
	install := flag.String("install", "", "more flags of install, such as --router file:line")
	flag.Parse()
	dir, err := filepath.Abs(flag.Arg(0))
	if err == nil && *bare {
		err = load(dir)
	} else if err == nil {
		err = measure(dir, *lockspire, strings.Fields(*install), *runs, *cold)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "timings:", err)
		os.Exit(1)
	}
}

func load(dir string) error {
	cfg := &packages.Config{Mode: bareMode, Dir: dir, ParseFile: func(fset *token.FileSet, name string, src []byte) (*ast.File, error) {
		if strings.HasPrefix(name, dir+string(filepath.Separator)) {
			return parser.ParseFile(fset, name, src, parser.ParseComments|parser.AllErrors|parser.SkipObjectResolution)
		}
		f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
		if f != nil {
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok {
					fn.Body = nil
				}
			}
		}
		return f, err
	}}
	pkgs, err := packages.Load(cfg, "./...")
	if err == nil && len(pkgs) == 0 {
		err = errors.New("there are no packages in " + dir)
	}
	return err
}

// command is one line of the table.
type command struct {
	name  string
	args  []string
	fails bool // its exit status is no concern
}

func measure(dir, lockspire string, install []string, runs int, cold bool) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if lockspire, err = filepath.Abs(lockspire); err != nil {
		return err
	}
	commands := []command{
		{"bare load", []string{self, "-bare", dir}, false},
		{"lockspire install --dry-run", append([]string{lockspire, "install", "--dry-run"}, install...), false},
		{"lockspire verify", []string{lockspire, "verify"}, true},
		{"go vet ./...", []string{"go", "vet", "./..."}, true},
		{"go build ./...", []string{"go", "build", "./..."}, true},
	}
	fmt.Println("| command | build cache | wall, median | beside bare load | largest process |")
	fmt.Println("|---|---|--:|--:|--:|")
	states := []bool{false}
	if cold {
		states = append(states, true)
	}
	for _, empty := range states {
		if err := table(dir, commands, runs, empty); err != nil {
			return err
		}
	}
	return nil
}

// table runs the commands in turns, so that a slow minute of the machine falls on all of them.
func table(dir string, commands []command, runs int, empty bool) error {
	cache := "warm"
	if empty {
		cache = "empty"
	} else {
		for _, c := range commands {
			if _, _, err := run(dir, c, ""); err != nil {
				return err
			}
		}
	}
	walls, sizes := make([][]time.Duration, len(commands)), make([]int64, len(commands))
	for range runs {
		for i, c := range commands {
			wall, size, err := once(dir, c, empty)
			if err != nil {
				return err
			}
			walls[i], sizes[i] = append(walls[i], wall), max(sizes[i], size)
		}
	}
	for i, c := range commands {
		wall := median(walls[i])
		fmt.Printf("| %s | %s | %.2f s | %.2f | %d MB |\n", c.name, cache, wall.Seconds(), float64(wall)/float64(median(walls[0])), sizes[i]>>20)
	}
	return nil
}

func once(dir string, c command, empty bool) (time.Duration, int64, error) {
	if !empty {
		return run(dir, c, "")
	}
	cache, err := os.MkdirTemp("", "timings-")
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(cache)
	return run(dir, c, cache)
}

// run returns the wall time of a command, and the largest resident set of it or of any process that it waited for, in bytes.
func run(dir string, c command, cache string) (time.Duration, int64, error) {
	cmd := exec.CommandContext(context.Background(), c.args[0], c.args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "PWD="+dir)
	if cache != "" {
		cmd.Env = append(cmd.Env, "GOCACHE="+cache)
	}
	start := time.Now()
	out, err := cmd.CombinedOutput()
	wall := time.Since(start)
	var exit *exec.ExitError
	if err != nil && !(c.fails && errors.As(err, &exit)) {
		return 0, 0, fmt.Errorf("%s: %w\n%s", c.name, err, out)
	}
	usage, _ := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if usage == nil {
		return wall, 0, nil
	}
	return wall, usage.Maxrss << 10, nil // Linux counts it in KiB
}

func median(of []time.Duration) time.Duration {
	of = slices.Clone(of)
	slices.SortFunc(of, cmp.Compare)
	return of[len(of)/2]
}
