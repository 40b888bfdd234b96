package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What a program that only people start would not tell: that a server or the
// generator no longer works with the others.
func TestEveryServerAnswersWhatItIsMeasuredWith(t *testing.T) {
	dir := t.TempDir()
	b := &bench{dir: dir, bin: filepath.Join(dir, "bin"), options: options{
		benchtime: 100 * time.Millisecond, workers: 2, rounds: 1, postgres: os.Getenv("LOCKSPIRE_TEST_POSTGRES")}}
	if b.postgres == "" {
		b.postgres = "postgres://postgres@127.0.0.1:54329/postgres?sslmode=disable"
	}
	if err := b.build(); err != nil {
		t.Fatal(err)
	}
	if err := b.connect(); err != nil {
		t.Fatal(err)
	}
	defer b.close()
	seen := map[string]bool{}
	for _, g := range catalogue() {
		for _, s := range g.servers {
			// One workload of each kind for each server.
			kind, _, _ := strings.Cut(g.workload, "/")
			if seen[kind+s.name] {
				continue
			}
			seen[kind+s.name] = true
			got, err := b.turn(g.workload, s)
			if err != nil {
				t.Errorf("%s, %s: %v", g.workload, s.name, err)
				continue
			}
			if wantsTwo := kind == "code"; wantsTwo != (got.Requests > 1) || got.resident == 0 {
				t.Errorf("%s, %s: %+v", g.workload, s.name, got)
			}
		}
	}
}

// The verdicts are read by people who were not there.
func TestANumberIsJudgedByTheFastestPeerAndByMedians(t *testing.T) {
	table := table{}
	for _, r := range []struct {
		server server
		rates  []int
	}{{oursPostgres, []int{900, 10, 850}}, {zitadel, []int{500, 500, 500}}, {fositeSHA256, []int{1000, 1100, 9000}}} {
		row := row{group: group{workload: "code/RS256"}, server: r.server}
		for _, rate := range r.rates {
			s := sample{cpu: time.Millisecond}
			s.Operations, s.Elapsed = rate, time.Second
			row.samples = append(row.samples, s)
		}
		table.rows = append(table.rows, row)
	}
	var out strings.Builder
	table.printNumbers(&out)
	if want := "1100 ory/fosite | 0.77  | 0.80"; !strings.Contains(out.String(), want) || !strings.Contains(out.String(), "NOT MET") {
		t.Errorf("no %q in\n%s", want, out.String())
	}
	table.rows[0].samples[1].Operations = 880
	out.Reset()
	table.printNumbers(&out)
	if !strings.Contains(out.String(), "| 0.80 ") || strings.Contains(out.String(), "NOT MET") {
		t.Errorf("880 of 1100 is not met:\n%s", out.String())
	}
}
