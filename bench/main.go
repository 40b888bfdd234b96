// Command bench measures this runtime beside other authorization servers and
// beside controls that do the same work with nothing around it. Everything runs
// on loopback, each server in a process of its own, and the servers of a
// workload take turns, so that what else the machine does hits them alike.
//
// It prints one table, and which of the numbers that must hold do.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"time"
)

// options are what the flags say.
type options struct {
	benchtime time.Duration
	warmUp    time.Duration
	rounds    int
	workers   int
	// only runs the workloads that begin with it.
	only string
	// servers leaves out those whose names it does not match.
	servers  *regexp.Regexp
	postgres string
	// tokens is how many tokens the memory of one server is measured after;
	// zero leaves that out.
	tokens int
}

func main() {
	o := options{}
	flag.DurationVar(&o.benchtime, "benchtime", 4*time.Second, "how long each server is measured in each round")
	flag.IntVar(&o.rounds, "rounds", 3, "how often the servers of a workload take turns; the table has medians")
	flag.IntVar(&o.workers, "workers", 16, "connections of the load generator")
	flag.StringVar(&o.only, "only", "", "run the workloads that begin with this")
	flag.Func("servers", "run the servers whose names match this regular `expression`", func(text string) (err error) {
		o.servers, err = regexp.Compile(text)
		return err
	})
	flag.StringVar(&o.postgres, "postgres", os.Getenv("LOCKSPIRE_TEST_POSTGRES"), "URL of a PostgreSQL server that may be filled")
	flag.IntVar(&o.tokens, "tokens", 1_000_000, "tokens after which resident memory is read; 0 for never")
	flag.Parse()
	o.warmUp = min(o.benchtime/3, time.Second)
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	dir, err := os.MkdirTemp("", "lockspire-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{options: o, dir: dir, bin: filepath.Join(dir, "bin")}
	if err := b.build(); err != nil {
		return err
	}
	if err := b.connect(); err != nil {
		return err
	}
	defer b.close()
	fmt.Printf("%s %s/%s, %d processors; %d connections; %d rounds of %s each; PostgreSQL with fsync=on and synchronous_commit=on, SQLite with synchronous=FULL\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), o.workers, o.rounds, o.benchtime)
	table, err := b.measure(catalogue())
	if err != nil {
		return err
	}
	table.print(os.Stdout)
	table.printNumbers(os.Stdout)
	return b.printMemory(os.Stdout)
}
