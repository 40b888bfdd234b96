package main

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lockspire/lockspire/bench/internal/child"
	"github.com/lockspire/lockspire/bench/internal/load"
	_ "github.com/lockspire/lockspire/bench/internal/pool" // the drivers
)

// bench is one run of everything.
type bench struct {
	options
	dir, bin string
	admin    *sql.DB
	// postmaster is the process of the database server, where it is of this
	// machine.
	postmaster int
	databases  int
}

// sample is what one turn of one server gave.
type sample struct {
	load.Result
	// cpu and databaseCPU are processor time for one operation, of the server
	// and of PostgreSQL.
	cpu, databaseCPU time.Duration
	// resident is the peak of the server's memory, in bytes.
	resident int64
}

// build builds the servers, each as a program of its own: the memory of one has
// nothing of the others in it.
func (b *bench) build() error {
	build := exec.Command("go", "build", "-o", b.bin+"/", "./cmd/...")
	build.Env = append(os.Environ(), "GOWORK=off")
	build.Stderr = os.Stderr
	return build.Run()
}

// connect finds the PostgreSQL server and makes sure that it is durable.
func (b *bench) connect() error {
	if b.postgres == "" {
		return errors.New("PostgreSQL is needed; run: LOCKSPIRE_TEST_POSTGRES=$(scripts/postgres start), or make bench")
	}
	var err error
	if b.admin, err = sql.Open("pgx", b.postgres); err != nil {
		return err
	}
	var fsync, data string
	if err := b.admin.QueryRow("SELECT current_setting('fsync'), current_setting('data_directory')").Scan(&fsync, &data); err != nil {
		return err
	}
	if fsync != "on" {
		return fmt.Errorf("PostgreSQL runs with fsync=%s: what it would show holds for nobody", fsync)
	}
	if pid, err := os.ReadFile(filepath.Join(data, "postmaster.pid")); err == nil {
		fmt.Sscan(string(pid), &b.postmaster)
	}
	return nil
}

func (b *bench) close() { b.admin.Close() }

// measure has the servers of each group take turns, and returns the medians.
func (b *bench) measure(groups []group) (table, error) {
	var t table
	for _, g := range groups {
		if !strings.HasPrefix(g.workload, b.only) {
			continue
		}
		g.servers = b.chosen(g.servers)
		samples := make([][]sample, len(g.servers))
		for range b.rounds {
			for i, s := range g.servers {
				got, err := b.turn(g.workload, s)
				if err != nil {
					return t, fmt.Errorf("%s, %s: %w", g.workload, s.name, err)
				}
				samples[i] = append(samples[i], got)
				fmt.Fprintf(os.Stderr, "%-26s %-34s %9.0f/s\n", g.workload, s.name, got.PerSecond())
			}
		}
		for i, s := range g.servers {
			t.rows = append(t.rows, row{group: g, server: s, samples: samples[i]})
		}
	}
	return t, nil
}

// chosen are those of servers that are to be run.
func (o options) chosen(servers []server) []server {
	if o.servers == nil {
		return servers
	}
	return slices.DeleteFunc(servers, func(s server) bool { return !o.servers.MatchString(s.name) })
}

// turn starts a server on an empty database, loads it and stops it.
func (b *bench) turn(workload string, s server) (sample, error) {
	p, clean, err := b.start(workload, s)
	if err != nil {
		return sample{}, err
	}
	defer clean()
	defer p.Stop()
	return b.loaded(p, workload, b.warmUp, b.benchtime)
}

func (b *bench) loaded(p *child.Process, workload string, warmUp, d time.Duration) (sample, error) {
	var before, after [2]time.Duration
	var faults [2]error
	read := func(to *[2]time.Duration, fault *error) func() {
		return func() { *to, *fault = b.processors(p) }
	}
	result, err := load.Run(p.Server.Addr, p.Server.Workloads[workload], b.workers, warmUp, d, read(&before, &faults[0]), read(&after, &faults[1]))
	if err := errors.Join(err, faults[0], faults[1]); err != nil {
		return sample{}, err
	}
	_, peak, err := child.Memory(p.PID())
	n := time.Duration(result.Operations)
	return sample{Result: result, cpu: (after[0] - before[0]) / n, databaseCPU: (after[1] - before[1]) / n, resident: peak}, err
}

// processors is the time used so far by the server and by PostgreSQL.
func (b *bench) processors(p *child.Process) ([2]time.Duration, error) {
	var used [2]time.Duration
	var err error
	if used[0], err = child.CPU(p.PID()); err == nil && b.postmaster != 0 {
		used[1], err = child.TreeCPU(b.postmaster)
	}
	return used, err
}

// start runs a server with a fresh database, and returns what removes that.
func (b *bench) start(workload string, s server) (*child.Process, func(), error) {
	if s.command == "oidc-provider" {
		p, err := child.Start("oidc-provider", "node", "server.mjs", workload)
		return p, func() {}, err
	}
	argv := append([]string{filepath.Join(b.bin, s.command), "-workload", workload}, s.args...)
	dsn, clean, err := b.database(s.engine)
	if err != nil {
		return nil, nil, err
	}
	if s.engine != "" {
		argv = append(argv, "-engine", s.engine, "-dsn", dsn)
	}
	p, err := child.Start("", argv...)
	if err != nil {
		clean()
	}
	return p, clean, err
}

// database makes an empty database.
func (b *bench) database(engine string) (dsn string, clean func(), err error) {
	b.databases++
	name := fmt.Sprintf("bench_%d_%d", os.Getpid(), b.databases)
	switch engine {
	case "sqlite":
		file := filepath.Join(b.dir, name)
		return file, func() {
			for _, suffix := range []string{"", "-wal", "-shm"} {
				os.Remove(file + suffix)
			}
		}, nil
	case "postgres":
		u, err := url.Parse(b.postgres)
		if err != nil {
			return "", nil, err
		}
		u.Path = "/" + name
		_, err = b.admin.Exec("CREATE DATABASE " + name)
		return u.String(), func() { b.admin.Exec("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)") }, err
	}
	return "", func() {}, nil
}
